"""The rounds of active learning, and what of them is on disk.

Every file is whole or absent and a function of the files before it, so a run that was killed goes on with the first one
that is missing and ends like one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

from ...data.datamodule import SpinDataModule
from ...data.labelled import LabelledConfigurations
from ...data.launchers.base import Launcher
from ...data.readers import read_files
from ...data.states import State, label_states
from ...data.writers import write_labels
from ...nn.checkpoint import load_network
from ...nn.network_potential import NetworkPotential
from ...potential import torque
from ...run_folder import RunFolder, write_json
from ..parts import quiet_trainer
from .accuracy import NUMBERS, Yardstick
from .acquisition import choose
from .committee import EnlargedData, train_member
from .pool import quench_states, random_states, torques_of
from .settings import START, Arm, Settings

_SEED_KEY = 8  # first key of the seeds of acquisitions

Report = Callable[[str, float], None]
"""Called with what is being done and with the share of a training that has been done since the last call."""


@dataclass(frozen=True)
class Stage:
    """The committee after a round, and all that it has learned from beyond the start.

    Args:
        name: of its files: "start", or "<arm>-<round>".
        checkpoints: one a member.
        added: labels of the rounds so far.
        numbers: the content of its JSON file, ``rounds/<name>.json``.
    """

    name: str
    checkpoints: tuple[Path, ...]
    added: tuple[LabelledConfigurations, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)


class ActiveLearning:
    """Rounds of choosing, labelling and training for several arms that start from one committee.

    Args:
        cfg: of the command.
        settings: of it, checked.
        data: the dataset, with ``settings.start`` training realisations.
        folder: of the run.
        launcher: makes exact labels.
        report: see `Report`.
    """

    def __init__(
        self,
        cfg: DictConfig,
        settings: Settings,
        data: SpinDataModule,
        folder: RunFolder,
        launcher: Launcher,
        report: Report = lambda what, done: None,
    ) -> None:
        self.cfg, self.settings, self.data = cfg, settings, data
        self.folder, self.launcher, self.report = folder, launcher, report
        self.device = quiet_trainer(cfg).strategy.root_device
        for name in ("labels", "rounds"):
            (folder.path / name).mkdir(exist_ok=True)
        report("exact quench of the test realisations", 0)
        self.yardstick = Yardstick(
            data, settings.snapshots.quench, settings.rollout_realisations, folder.path / "exact_quench.npz"
        )

    def run(self) -> list[Stage]:
        """All stages: the start, then the rounds of each arm."""
        start = self._finished(Stage(START, self._trained(START, (), None)), None, 0)
        stages = [start]
        for arm in self.settings.arms:
            last = start
            for number in range(1, self.settings.rounds + 1):
                last = self.round(arm, number, last)
                stages.append(last)
        return stages

    def round(self, arm: Arm, number: int, last: Stage) -> Stage:
        """Choose with the committee of the last stage, label, and train it on."""
        name = f"{arm.name}-{number}"
        added = (*last.added, self._labels(arm, number, last))
        return self._finished(Stage(name, self._trained(name, added, last), added), arm, number)

    def _trained(self, name: str, added: tuple[LabelledConfigurations, ...], last: Stage | None) -> tuple[Path, ...]:
        """The checkpoints of a stage, trained if they are not there."""
        epochs = int(self.cfg.trainer.max_epochs) if last is None else self.settings.epochs_per_round
        data = EnlargedData(self.data, added)
        paths = []
        for member in range(self.settings.members):
            path = self.folder.checkpoints / f"{name}-member-{member}.ckpt"
            report = partial(self.report, f"{name}: training network {member + 1} of {self.settings.members}")
            if path.exists():
                report(1.0)
            else:
                report(0.0)
                # Members differ in their first weights and in the order of the batches, arms in neither.
                data.shuffle_seed = seed = int(self.cfg.seed) + member
                before = None if last is None else last.checkpoints[member]
                train_member(self.cfg, data, path, seed, epochs, before, partial(report, 1 / epochs))
            paths.append(path)
        return tuple(paths)

    def _labels(self, arm: Arm, number: int, last: Stage) -> LabelledConfigurations:
        """The labels that a round adds, chosen and made if they are not there."""
        path = self.folder.path / "labels" / f"{arm.name}-{number}.npz"
        if not path.exists():
            picks, how = self._choose(arm, number, last)
            write_json(path.with_suffix(".json"), how)
            write_labels(path, {"train": picks}, self.data.units)
        return read_files(str(path), None, {}, None).labelled

    def _choose(self, arm: Arm, number: int, last: Stage) -> tuple[LabelledConfigurations, dict[str, Any]]:
        """The labels of a round, best first, and what there is to say about the choice."""
        self.report(f"{arm.name}-{number}: candidates", 0)
        candidates = self._candidates(arm, number, last)
        configs = [state.config for state in candidates]
        torques = np.stack([torques_of(network, configs) for network in self._networks(last)])
        every, exact = None, None
        if arm.acquisition.needs_exact:
            every = self._label(arm, number, candidates)
            exact = torque(every.spins, every.field).reshape(torques.shape[1:])
        rng = np.random.default_rng(np.random.SeedSequence(int(self.cfg.seed), spawn_key=(_SEED_KEY, number)))
        scores = arm.acquisition(torques, exact, rng)
        chosen = choose(
            scores,
            [state.realisation for state in candidates],
            self.settings.labels_per_round,
            self.settings.per_realisation,
        )
        if every is None:
            picks = self._label(arm, number, [candidates[index] for index in chosen])
        else:
            picks = every.select(chosen)
        return picks, {
            "candidates": len(candidates),
            "exact_evaluations": len(candidates if every is not None else picks),
            "mean_score": scores.mean(),
            "scores": scores[chosen],
            "realisations": picks.realisation,
            "times": picks.time,
        }

    def _candidates(self, arm: Arm, number: int, last: Stage) -> list[State]:
        settings, definition, seed = self.settings, self.data.definition, int(self.cfg.seed)
        fresh = settings.fresh(number)
        if arm.states == "random_spins":
            return random_states(definition, fresh, settings.states_per_realisation, seed)
        return quench_states(
            definition, fresh, settings.snapshots, settings.replicas, self._networks(last), seed
        )  # fmt: skip

    def _label(self, arm: Arm, number: int, states: list[State]) -> LabelledConfigurations:
        self.report(f"{arm.name}-{number}: exact labels of {len(states)} states", 0)
        return label_states(self.data.definition, states, self.launcher)

    def _networks(self, stage: Stage) -> list[NetworkPotential]:
        return [load_network(path, self.device) for path in stage.checkpoints]

    def _finished(self, stage: Stage, arm: Arm | None, number: int) -> Stage:
        """The stage with its numbers, measured if they are not there; their file is the last of a stage."""
        path = self.folder.path / "rounds" / f"{stage.name}.json"
        if not path.exists():
            self.report(f"{stage.name}: quenches of the test realisations", 0)
            members = [self.yardstick.measure(network) for network in self._networks(stage)]
            values = {name: [_plain(member[name]) for member in members] for name in NUMBERS}
            labels = len(self.data.labelled("train")) + sum(map(len, stage.added))
            write_json(path, {"arm": arm.name if arm else START, "round": number, "labels": labels, **values})
        return Stage(stage.name, stage.checkpoints, stage.added, json.loads(path.read_text(encoding="utf-8")))


def _plain(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
