"""``mhipnn.train experiment=tune`` as a function: a study, its table, its figure and its best settings."""

from __future__ import annotations

import shutil
from pathlib import Path

import optuna
from hydra.utils import get_class
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from ... import registry
from ...analysis.style import save
from ...atomic import atomic_path
from ...errors import ConfigError
from ...run_folder import RunFolder
from .. import run as training
from . import report
from .space import search_space
from .study import OBJECTIVE, Study, best_of


def run(cfg: DictConfig) -> dict[str, float]:
    """Search for the settings of a training; the same call goes on with a study, with more ``tune.n_trials`` too.

    Args:
        cfg: as composed from ``conf/train.yaml`` with ``experiment=tune``.

    Returns:
        The objective of the best trial.

    Raises:
        UserError: a mistake in the configuration, in the space or in the data.
    """
    if isinstance(cfg.trainer.get("strategy"), DictConfig):
        raise ConfigError("tune: every trial trains in one process; leave out trainer=ddp")
    if not isinstance(cfg.tune.n_trials, int) or cfg.tune.n_trials < 1:
        raise ConfigError(f"tune.n_trials={cfg.tune.n_trials}: expected a number of trials, at least 1")
    settings = search_space(cfg)
    console = Console()
    model = registry.name_of("model", get_class(cfg.model._target_))
    place = cfg.run_dir or Path(cfg.output_root, cfg.data.name, f"tune-{model}")
    with RunFolder.open(_identity(cfg), cfg.output_root, run_dir=place, resume=cfg.resume) as folder:
        verbosity = optuna.logging.get_verbosity()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        try:
            study = Study(folder, _trial(cfg), cfg.tune, settings, training.run)
            if done := len(study.ended()):
                console.print(f"going on with {folder.path} after {done} trials", soft_wrap=True, highlight=False)
            study.run(console, lambda trials: report.write(folder.path, study.cfg, trials, settings, model))
        finally:
            optuna.logging.set_verbosity(verbosity)
        trials = study.ended()
        best = best_of(trials)
        with atomic_path(folder.checkpoints / "best.ckpt") as partial:
            shutil.copyfile(study.path(best) / "checkpoints" / "best.ckpt", partial)
        figure = save(report.draw(trials, settings), folder.figures / "tuning.png")
        experiment = report.write(folder.path, study.cfg, trials, settings, model)
    report.print_table(trials, settings, console)
    for what, where in (("figure", figure), ("trials", folder.path / "trials.csv"), ("best", experiment)):
        console.print(f"{what:>8}  {where}", soft_wrap=True, highlight=False)
    told = f"python -m mhipnn.train --config-dir={folder.path} experiment=best"
    console.print(f"train it  {told}", soft_wrap=True, highlight=False)
    return {OBJECTIVE: report.value_of(best)}


def _identity(cfg: DictConfig) -> DictConfig:
    """What makes a study another one: everything but the number of its trials."""
    identity = cfg.copy()
    OmegaConf.set_struct(identity, False)
    del identity.tune["n_trials"]
    return identity


def _trial(cfg: DictConfig) -> DictConfig:
    """The training that trials have in common."""
    common = cfg.copy()
    OmegaConf.set_struct(common, False)
    del common["tune"]
    common.resume = True
    return common
