"""A study: trials one after the other, each a training in a folder of its own, until there are as many as asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console

from ...errors import ConfigError, NonFiniteError, UserError
from ...run_folder import RunFolder
from .space import Setting

OBJECTIVE = "val/torque_r2"
_NAME = "tune"


class Study:
    """Optuna's record of the trials (``study.journal``), and how to go on with it.

    A trial that an interruption left unfinished is the next one to run: with the same settings, in the same folder,
    where its training goes on from its last epoch. The sampler is seeded anew for every trial, by the seed of the study
    and the number of trials before it, so that an interrupted study takes the same choices as another one.

    Args:
        folder: of the study, held by this process alone.
        cfg: of a training, without ``tune``.
        tune: that node.
        settings: what is searched.
        train: a training as a function of its configuration and of more callbacks.
    """

    def __init__(
        self,
        folder: RunFolder,
        cfg: DictConfig,
        tune: DictConfig,
        settings: list[Setting],
        train: Callable[[DictConfig, list[Callback]], dict[str, float]],
    ) -> None:
        self.folder, self.cfg, self.tune, self.settings, self.train = folder, cfg, tune, settings, train
        storage = JournalStorage(JournalFileBackend(str(folder.path / "study.journal")))
        self.study = optuna.create_study(
            storage=storage,
            study_name=_NAME,
            direction="maximize",
            load_if_exists=True,
            pruner=instantiate(tune.pruner),
        )

    def run(self, console: Console, after_each: Callable[[list[FrozenTrial]], object]) -> None:
        """Trials until there are ``tune.n_trials``; ``after_each`` gets those that have ended so far."""
        for trial in self.study.get_trials(states=(TrialState.RUNNING,)):
            self.study.enqueue_trial(trial.params, user_attrs={**trial.user_attrs, "goes_on_from": trial.number})
            self.study.tell(trial.number, state=TrialState.FAIL)
        while len(ended := self.ended()) < self.tune.n_trials:
            seed = np.random.SeedSequence([self.cfg.seed, len(ended)]).generate_state(1)[0]
            self.study.sampler = instantiate(self.tune.sampler, seed=int(seed))
            self._run_one(self.study.ask(), len(ended) + 1)
            after_each(ended := self.ended())
            console.print(_line(ended, self.tune.n_trials), soft_wrap=True, highlight=False)

    def ended(self) -> list[FrozenTrial]:
        """Trials that count, in their order: complete, stopped early, or diverged."""
        settled = (TrialState.COMPLETE, TrialState.PRUNED)
        return [t for t in self.study.get_trials() if t.state in settled or "diverged" in t.user_attrs]

    def path(self, trial: FrozenTrial | optuna.Trial) -> Path:
        """The run folder of a trial."""
        return self.folder.path / "trials" / trial.user_attrs["folder"]

    def _run_one(self, trial: optuna.Trial, number: int) -> None:
        values = {setting.key: setting.draw(trial) for setting in self.settings}
        if "folder" not in trial.user_attrs:
            trial.set_user_attr("folder", f"{number:04d}")
        if (before := trial.user_attrs.get("goes_on_from")) is not None:
            for epoch, value in self.study.get_trials()[before].intermediate_values.items():
                trial.report(value, epoch)
        try:
            self.study.tell(trial, self._objective(trial, values))
        except optuna.TrialPruned:
            self.study.tell(trial, state=TrialState.PRUNED)
        except NonFiniteError as error:  # an answer, too: these settings are no good
            trial.set_user_attr("diverged", str(error))
            self.study.tell(trial, state=TrialState.FAIL)
        except UserError:
            self.study.tell(trial, state=TrialState.FAIL)
            raise

    def _objective(self, trial: optuna.Trial, values: dict[str, Any]) -> float:
        path = self.path(trial)
        if (path / "metrics.json").is_file():  # finished, but the interruption came before it was noted
            return float(json.loads((path / "metrics.json").read_text())[OBJECTIVE])
        cfg = self.cfg.copy()
        for key, value in values.items():
            OmegaConf.update(cfg, key, value)
        cfg.run_dir = str(path)
        metrics = self.train(cfg, [StopUnpromising(trial)])
        trial.set_user_attr("seconds", metrics["seconds/fit"])
        trial.set_user_attr("parameters", metrics["parameters"])
        return metrics[OBJECTIVE]


class StopUnpromising(Callback):
    """Reports the objective after every epoch; raises ``TrialPruned`` when the pruner says that it will not pay."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.trial.report(float(trainer.callback_metrics[OBJECTIVE]), trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def best_of(trials: list[FrozenTrial]) -> FrozenTrial:
    """The complete trial with the largest objective; raises ConfigError if none is complete."""
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not complete:
        raise ConfigError("tune: no trial was trained to its end; lower the learning rates of tune.space")
    return max(complete, key=lambda trial: trial.values[0])


def _line(trials: list[FrozenTrial], n_trials: int) -> str:
    last = trials[-1]
    what = "diverged"
    if last.state == TrialState.COMPLETE:
        what = f"{OBJECTIVE} {last.value:.4f}"
    elif last.state == TrialState.PRUNED:
        epochs = last.intermediate_values
        what = f"stopped after {1 + max(epochs)} epochs at {epochs[max(epochs)]:.4f}"
    done = [trial.value for trial in trials if trial.state == TrialState.COMPLETE and trial.value is not None]
    best = f", best so far {max(done):.4f}" if done else ""
    return f"trial {len(trials)} of {n_trials}: {what}{best}"
