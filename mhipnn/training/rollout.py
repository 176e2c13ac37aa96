"""The test that counts: the same LLG quench with the exact electrons and with the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..analysis.rollout import RolloutComparison, compare_rollouts, turned_starts
from ..configuration import SpinConfiguration
from ..data.base_module import LabelledDataModule
from ..dynamics.quench import Quench
from ..errors import ConfigError
from ..nn.energy_model import EnergyModel
from ..nn.network_potential import NetworkPotential
from ..potential import Potential
from ..structures.spins import random_spins


class LLGRollout(Callback):
    """Quench held-out realisations with both potentials, from the same spins and under the same noise.

    Runs when the test ends (the weights are then those of the best checkpoint) and, if asked, during the fit.
    Logs torque R^2 along the exact and along the learned trajectory, the deviation of the energy and of C(r, t), and
    the fraction of (r, t) bins in which C agrees within one and two standard errors. ``result`` holds the comparison.

    Args:
        quench: the dynamics of both runs.
        n_realisations: realisations of the test split (fewer if it has fewer).
        every_n_epochs: also after every so many epochs; None: at the end only.
        seed: of the starting spins and the noise.
    """

    def __init__(
        self, quench: Quench, n_realisations: int = 8, every_n_epochs: int | None = None, seed: int = 0
    ) -> None:
        if n_realisations < 1 or (every_n_epochs is not None and every_n_epochs < 1):
            raise ConfigError(
                "llg_rollout: n_realisations and every_n_epochs must be >= 1, "
                f"got {n_realisations} and {every_n_epochs}"
            )
        if not isinstance(quench, Quench):
            raise ConfigError(f"llg_rollout: networks are compared along a quench; {type(quench).__name__} is none")
        self.quench = quench
        self.n_realisations = n_realisations
        self.every_n_epochs = every_n_epochs
        self.seed = seed
        self.result: RolloutComparison | None = None

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        due = self.every_n_epochs and not trainer.sanity_checking and epoch % self.every_n_epochs == 0
        if due and trainer.is_global_zero:  # of processes that train together, the others wait
            self._compare(trainer, pl_module)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._compare(trainer, pl_module)

    def _compare(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data: LabelledDataModule = trainer.datamodule  # type: ignore[attr-defined]
        exact = None if data.no_rollout else data.potential()
        if exact is None:
            reason = data.no_rollout or "the dataset knows no exact potential"
            Console().print(f"no LLG rollout: {reason}", soft_wrap=True, highlight=False)
            return
        learned = NetworkPotential(deepcopy(cast(EnergyModel, pl_module.model)))
        self.result = self.compare(exact, learned, data)
        for logger in trainer.loggers:
            logger.log_metrics({f"rollout/{k}": v for k, v in self.result.summary().items()}, trainer.global_step)

    def compare(self, exact: Potential, learned: Potential, data: LabelledDataModule) -> RolloutComparison:
        """Both quenches from new spins on the first realisations of the test split, with progress bars."""
        starts = self.starts(data.configurations("test"), data.labelled("test").realisation)
        with self._bars("exact", "learned") as report:
            return compare_rollouts(exact, learned, starts, self.quench, self._seeds(len(starts)), progress=report)

    def control(self, result: RolloutComparison, exact: Potential, angle: float) -> RolloutComparison:
        """The exact quenches of ``result`` again, from spins turned by ``angle``, against those that were not."""
        with self._bars("turned") as report:
            seeds = self._seeds(result.exact.n_replicas)
            return turned_starts(result, exact, self.quench, seeds, angle, progress=partial(report, "turned"))

    def _seeds(self, n: int) -> list[int]:
        return [self.seed + number for number in range(n)]

    @contextmanager
    def _bars(self, *names: str) -> Iterator[Callable[[str, int, int], None]]:
        with Progress(
            TextColumn("[bold]{task.description}"), BarColumn(), TextColumn("step {task.completed}/{task.total}"),
            TimeElapsedColumn(), TimeRemainingColumn(), transient=True,
        ) as bar:  # fmt: skip
            tasks = {name: bar.add_task(f"LLG quenches, {name}", total=self.quench.n_steps) for name in names}
            yield lambda name, done, _: bar.update(tasks[name], completed=done)

    def starts(self, configs: list[SpinConfiguration], realisations: np.ndarray) -> list[SpinConfiguration]:
        """The first realisations of a split with uncorrelated spins that no label was made of."""
        _, first = np.unique(realisations, return_index=True)
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(1,)))
        chosen = [configs[index] for index in first[: self.n_realisations]]
        return [config.with_spins(random_spins(config.n_sites, rng)) for config in chosen]
