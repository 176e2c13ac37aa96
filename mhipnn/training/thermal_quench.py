"""The story of a thermal quench after a training: a figure sheet and report.md of exact, learned and large quenches."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console

from ..analysis.correlations import largest_distance, pair_bins
from ..analysis.quench_sheet import LargeQuench, quench_sheet
from ..analysis.rollout import RolloutComparison
from ..analysis.simulation.progress_bar import progress_bar
from ..analysis.style import save
from ..configuration import SpinConfiguration
from ..data.datamodule import SpinDataModule
from ..data.sources import build
from ..dynamics.quench import Quench
from ..errors import ConfigError
from ..nn.energy_model import EnergyModel
from ..nn.network_potential import NetworkPotential
from ..potential import Potential
from ..run_folder import write_atomically
from .rollout import LLGRollout


class ThermalQuench(Callback):
    """After the test: ``thermal_quench.png`` and ``report.md`` in the folder of the run.

    The quenches on held-out realisations are those of :class:`LLGRollout`, which must stand before it among the
    callbacks; the large one is the learned quench of one new realisation of the same disorder.

    Args:
        quench: the dynamics of the large system.
        n_sites: of the large system.
        seed: of its sites, spins and noise.
    """

    def __init__(self, quench: Quench, n_sites: int = 10000, seed: int = 0) -> None:
        if n_sites < 1 or seed < 0:
            raise ConfigError(f"thermal_quench: n_sites must be >= 1 and seed >= 0, got {n_sites} and {seed}")
        self.quench, self.n_sites, self.seed = quench, n_sites, seed

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What is missing is told before the training, not after it."""
        self._needs(trainer)

    def _needs(self, trainer: Trainer) -> tuple[list[LLGRollout], SpinDataModule]:
        """The rollouts that come before this callback, and a dataset that knows its disorder and its electrons."""
        callbacks: list[Callback] = list(trainer.callbacks)  # type: ignore[attr-defined]
        before = callbacks[: callbacks.index(self)] if self in callbacks else []
        rollouts = [callback for callback in before if isinstance(callback, LLGRollout)]
        data = trainer.datamodule  # type: ignore[attr-defined]
        if not rollouts or not isinstance(data, SpinDataModule) or data.no_rollout:
            raise ConfigError(
                "thermal_quench: needs the rollouts of callbacks.llg_rollout, which must stand before it, and a "
                "dataset that knows its disorder and its exact electrons (data=sd_disorder, ...)"
            )
        return rollouts, data

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        rollouts, data = self._needs(trainer)
        result = next((callback.result for callback in rollouts if callback.result is not None), None)
        if result is None:
            raise RuntimeError("thermal_quench: the rollouts of the test have no result")
        learned = NetworkPotential(deepcopy(cast(EnergyModel, pl_module.model)))
        config = self.large(data)
        console = Console()
        console.print(f"learned quench of {config.n_sites} spins")
        with progress_bar(console, config.n_sites) as report_step:
            large = large_quench(learned, config, self.quench, self.seed, report_step)
        folder = Path(trainer.default_root_dir)
        save(quench_sheet(result, large), folder / "thermal_quench.png")
        measured = {name: float(value) for name, value in trainer.callback_metrics.items()}
        write_atomically(folder / "report.md", report(data.name, result, large, self.quench, measured))
        console.print(f"thermal quench: {folder / 'report.md'} and thermal_quench.png", soft_wrap=True, highlight=False)

    def large(self, data: SpinDataModule) -> SpinConfiguration:
        """A new realisation of the disorder of a dataset with at least ``n_sites`` sites and uncorrelated spins."""
        structure = build(data.definition.structure, "structure")
        if not hasattr(structure, "enlarged"):
            raise ConfigError(f"thermal_quench: {type(structure).__name__} has no method enlarged(factor)")
        rng = np.random.default_rng([self.seed, 6])  # not a stream that labels were made of
        n = structure.sample(rng).n_sites
        return structure.enlarged(max(1, round(self.n_sites / n))).sample(rng)


def large_quench(
    potential: Potential,
    config: SpinConfiguration,
    quench: Quench,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> LargeQuench:
    """One quench of one large system, of which correlations are kept and spins only at the end."""
    pairs = pair_bins(config, largest_distance([config], 0.5), 0.5)
    times, energies, correlations = [], [], []
    spins = config.spins
    started = perf_counter()
    for frame in quench.frames(potential, [config], [seed], progress):
        spins = frame.spins[0]
        times.append(frame.time)
        energies.append(frame.energies[0])
        correlations.append(pairs.correlation(spins[None])[0])
    seconds = (perf_counter() - started) / quench.n_steps
    return LargeQuench(config, np.array(times), np.array(energies), pairs.r, np.stack(correlations), spins, seconds)


@dataclass(frozen=True)
class _Line:
    meaning: str
    value: str


def report(name: str, result: RolloutComparison, large: LargeQuench, quench: Quench, measured: dict[str, float]) -> str:
    """The numbers of one run as Markdown."""
    summary = result.summary()
    n, replicas = result.exact.n_sites, result.exact.n_replicas
    size = large.config.n_sites
    nearest = int(np.argmax(np.isfinite(large.correlation[-1])))
    near = int(np.argmin(np.abs(result.exact_correlation.r - large.r[nearest])))
    exact, learned = result.exact_mean, result.learned_mean
    lines = [
        _Line("torque R^2, test realisations", f"{measured.get('test/torque_r2', float('nan')):.4f}"),
        _Line("torque R^2 along the exact quenches", f"{summary['torque_r2']:.4f}"),
        _Line("smallest torque R^2 at an instant of the exact quenches", f"{summary['torque_r2_min']:.4f}"),
        _Line("torque R^2 along the learned quenches", f"{summary['own_path_torque_r2']:.4f}"),
        _Line("(r, t) bins of C within 2 standard errors", f"{100 * summary['within_2_errors']:.1f} %"),
        _Line("largest deviation of C(r, t)", f"{summary['max_correlation_deviation']:.4f}"),
        _Line("largest deviation of the energy per site (t0)", f"{summary['max_energy_deviation_per_site']:.5f}"),
        _Line(
            f"C(r = {large.r[nearest]:g}) at the end, exact, N = {n}",
            _value(exact.mean[-1, near], exact.error[-1, near]),
        ),
        _Line(f"the same, learned, N = {n}", _value(learned.mean[-1, near], learned.error[-1, near])),
        _Line(f"the same, learned, N = {size}", f"{large.correlation[-1, nearest]:.4f}"),
        _Line(f"seconds per step, learned, N = {size}", f"{large.seconds_per_step:.3f}"),
    ]
    rows = "\n".join(f"| {line.meaning} | {line.value} |" for line in lines)
    return f"""# Thermal quench: {name}

Uncorrelated spins at t = 0, then LLG at alpha = {quench.damping} and kT = {quench.temperature} t0, to
t = {result.times[-1]:g} hbar/t0: {replicas} disorder realisations of {n} sites that no training saw, with
exact electrons and with the network, from the same spins and under the same noise; then the network alone on {size}
sites.

| | |
|---|---|
{rows}

![Thermal quench](thermal_quench.png)

(a) Torques of the network against exact ones at the states of the exact quenches. (b) Energy per site, mean and
standard error. (c) Spin correlations: exact with standard errors over realisations, learned as lines. (d) Structure
factor, mean over shells of |q|; dotted: uncorrelated spins. (e) Spin correlations of {size} sites. (f) Some of their
spins at the end; hue: azimuth, lightness: S_z.
"""


def _value(mean: float, error: float) -> str:
    return f"{mean:.4f}" if not np.isfinite(error) else f"{mean:.4f} ± {error:.4f}"
