"""Trainings of `data=sd_tiny` in this process, on labels that are made once a session."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from lightning.pytorch import Callback
from omegaconf import DictConfig

from mhipnn.config import compose_config
from mhipnn.data.datamodule import SpinDataModule
from mhipnn.training import run as training
from mhipnn.vocabulary import is_group

SMALL = ("model.n_features=6", "model.n_sensitivities=5", "model.n_onsite=1", "model.cutoff=2.2")
QUIET = [
    "callbacks.progress=null",
    "+trainer.enable_progress_bar=false",
    "callbacks.llg_rollout=null",
    "+data.progress=false",
]


@pytest.fixture(scope="module", autouse=True)
def _plain_figures(plain_figures):
    """Most runs of this folder end with figures."""


@cache
def _with_choices(command: str, choices: tuple[str, ...]) -> DictConfig:
    return compose_config(command, choices)


def composed_once(command: str, overrides: list[str]) -> DictConfig:
    """``compose_config(command, overrides)``, which reads the files of one choice of groups once.

    As in Hydra, values are put in after; reading takes as long as a short training.
    """
    given = OverridesParser.create().parse_overrides(overrides)
    values = [one for one in given if not is_group(one.key_or_group)]
    cfg = deepcopy(_with_choices(command, tuple(one.input_line for one in given if one not in values)))
    ConfigLoaderImpl._apply_overrides_to_config(values, cfg)
    return cfg


@pytest.fixture(scope="session")
def labels(tmp_path_factory) -> Path:
    """The folder of all datasets, with the labels of sd_tiny."""
    root = tmp_path_factory.mktemp("datasets")
    cfg = compose_config("train", ["data=sd_tiny", f"data.root={root}", "+data.progress=false"])
    datamodule(cfg).prepare_data()
    return root


def datamodule(cfg) -> SpinDataModule:
    from hydra.utils import instantiate

    return instantiate(cfg.data)


@dataclass
class Outcome:
    """What a training in this process leaves: its numbers and folder, and the objects that `run` keeps to itself."""

    metrics: dict[str, float] | None
    folder: Path
    callbacks: list[Callback] = field(default_factory=list)
    error: BaseException | None = None

    def checkpoint(self, name: str) -> dict:
        return torch.load(self.folder / "checkpoints" / f"{name}.ckpt", weights_only=True)

    @property
    def written(self) -> dict[str, float]:
        return json.loads((self.folder / "metrics.json").read_text())


@pytest.fixture(scope="session")
def train(labels):
    """train(output_root, *overrides, extra=callbacks) -> Outcome; exceptions are kept in it."""

    def go(
        output_root: Path, *overrides: str, extra: tuple[Callback, ...] = (), small: tuple[str, ...] = SMALL
    ) -> Outcome:
        given = ["data=sd_tiny", f"data.root={labels}", f"output_root={output_root}", *small, *QUIET, *overrides]
        if not any(override.startswith("logger=") for override in overrides):
            given.append("~logger")
        cfg = composed_once("train", given)
        used: list[Callback] = []
        make = training._callbacks

        def with_extra(cfg, folder):
            # In front, as the first to see an event: an interruption comes before anything is written.
            used[:] = [*extra, *make(cfg, folder)]
            return used

        error, metrics = None, None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(training, "_callbacks", with_extra)
            try:
                metrics = training.run(cfg)
            except (KeyboardInterrupt, SystemExit, Exception) as caught:
                error = caught
        folders = sorted(path.parent for path in Path(output_root).glob("*/*/*/config.yaml"))
        return Outcome(metrics, folders[-1] if folders else Path(output_root), used, error)

    return go


@pytest.fixture(scope="session")
def trained(train, tmp_path_factory) -> Outcome:
    """Three epochs in float64, finished; not to be written to."""
    outcome = train(tmp_path_factory.mktemp("trained"), "trainer.max_epochs=3", "data.dtype=float64", "logger=csv")
    if outcome.error:
        raise outcome.error
    return outcome
