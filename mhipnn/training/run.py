"""``mhipnn.train`` as a function: labels, fit, test, rollout, report."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import wandb
from hydra.utils import instantiate
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger, WandbLogger
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from ..data.base_module import LabelledDataModule
from ..data.datamodule import SpinDataModule
from ..data.launchers.configured import configured
from ..errors import CheckpointError, ConfigError
from ..nn.checkpoint import load_model, read_checkpoint
from ..run_folder import RunFolder
from . import processes
from .parts import build_model, describe, interruptible, make_task, quiet_lightning, require_species
from .predictions import predict
from .report import Report, collect_metrics
from .task import SpinTask
from .transfer import take_weights


def run(cfg: DictConfig, more_callbacks: Sequence[Callback] = ()) -> dict[str, float]:
    """Train, test and roll out one model; everything that comes of it lies in the run's folder.

    Args:
        cfg: as composed from ``conf/train.yaml``.
        more_callbacks: beside those of the configuration, in this process.

    Returns:
        The numbers of metrics.json.

    Raises:
        UserError: a mistake in the configuration, in the data, or a number that is not finite.
    """
    if processes.follows(cfg):
        try:
            return follow(cfg)
        except KeyboardInterrupt:
            sys.exit(130)  # the first process says it
    clock = Clock()
    lightning.seed_everything(cfg.seed, verbose=False)
    data: LabelledDataModule = instantiate(cfg.data)
    model = build_model(cfg)
    record = describe(cfg, data)
    parts = (data.name, record.model)
    with quiet_lightning(), RunFolder.open(cfg, cfg.output_root, parts, cfg.run_dir, cfg.resume) as folder:
        with clock("labels"):
            if isinstance(data, SpinDataModule):
                data.launcher = configured(cfg)
            data.prepare_data()
            data.setup()
            require_species(model, data)
        task = make_task(cfg, model, data, record)
        last = _last_checkpoint(folder)
        if cfg.init_from is not None and last is None:
            take_weights(model, record, cfg.init_from)
        callbacks = [*_callbacks(cfg, folder), *more_callbacks]
        best = _checkpointing(callbacks)
        with _logger(cfg, folder) as logger:
            shared = {"callbacks": callbacks, "logger": logger, "default_root_dir": str(folder.path)}
            trainer = _trainer(cfg, **shared)
            with clock("fit"), interruptible(), processes.together(trainer, cfg):
                _fit(trainer, task, data, last)
            # Read back what a user will load, so that the numbers are those of the file.
            model.load_state_dict(load_model(best.best_model_path)[0].state_dict())
            trainer = _alone(trainer, cfg, **shared)
            with clock("test_and_rollout"), interruptible():
                trainer.test(task, datamodule=data, verbose=False)
                loaders = zip(data.split_names[2:], data.test_dataloader(), strict=True)
                predictions = {split: predict(model, loader) for split, loader in loaders}
            metrics = collect_metrics(trainer, model) | clock.seconds()
            metrics["val/torque_r2"] = float(best.best_model_score or float("nan"))
            Report(folder, trainer, predictions, metrics, data.units.energy).write()
    return metrics


def follow(cfg: DictConfig, ready: Callable[[], None] = lambda: None) -> dict[str, float]:
    """What every process but the first does of a training in several: its share of the fit.

    Args:
        cfg: that of the first.
        ready: called before this process waits for the others.
    """
    lightning.seed_everything(cfg.seed, verbose=False)
    data: LabelledDataModule = instantiate(cfg.data)
    model = build_model(cfg)
    with quiet_lightning():
        callbacks = _callbacks(cfg, None)
        best = _checkpointing(callbacks)
        trainer = _trainer(cfg, callbacks=callbacks, logger=False)
        ready()
        with interruptible():
            trainer.strategy.setup_environment()  # waits for the first, which comes when the labels are there
            data.setup("fit")
            _fit(trainer, make_task(cfg, model, data, describe(cfg, data)), data, None)
    return {"val/torque_r2": float(best.best_model_score or float("nan"))}


def _trainer(cfg: DictConfig, **settings: Any) -> Trainer:
    trainer = instantiate(cfg.trainer, **settings)
    if trainer.world_size > 1 and not isinstance(cfg.trainer.get("strategy"), DictConfig):
        raise ConfigError(
            f"trainer: {trainer.world_size} processes need trainer=ddp, as in trainer=ddp trainer.devices=2; "
            "else give trainer.devices=1"
        )
    return trainer


def _alone(trainer: Trainer, cfg: DictConfig, **settings: Any) -> Trainer:
    """A trainer that goes on in this process after a fit in several: every configuration is tested exactly once."""
    if not processes.shares(trainer):
        return trainer
    device = trainer.strategy.root_device
    devices = 1 if device.index is None else [device.index]
    single = instantiate(cfg.trainer, strategy="auto", devices=devices, num_nodes=1, **settings)
    single.fit_loop.load_state_dict(trainer.fit_loop.state_dict())  # epoch and step, for the loggers
    return single


def _last_checkpoint(folder: RunFolder) -> Path | None:
    """Where an unfinished run goes on from."""
    last = folder.checkpoints / "last.ckpt"
    if not (folder.resumed and last.is_file()):
        return None
    try:
        epochs = int(read_checkpoint(last)[1].get("epoch", -1)) + 1
    except CheckpointError as error:
        raise CheckpointError(
            f"{error}; the unfinished run {folder.path} cannot go on from it: remove the file to train this run "
            "from the start, copy best.ckpt over it to go on from the best epoch, or give resume=false"
        ) from error
    Console().print(f"going on with {folder.path} after {epochs} epochs", soft_wrap=True, highlight=False)
    return last


def _fit(trainer: Trainer, task: SpinTask, data: LabelledDataModule, last: Path | None) -> None:
    if processes.shares(trainer):
        trainer.strategy.setup_environment()
        last = trainer.strategy.broadcast(last)
    trainer.fit(task, datamodule=data, ckpt_path=last, weights_only=True)
    trainer.strategy.barrier()


def _callbacks(cfg: DictConfig, folder: RunFolder | None) -> list[Callback]:
    nodes = [node for node in (cfg.callbacks or {}).values() if node is not None]
    callbacks: list[Callback] = [instantiate(node) for node in nodes]
    for callback in callbacks:
        if folder and isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
            callback.dirpath = str(folder.checkpoints)
    return callbacks


def _checkpointing(callbacks: list[Callback]) -> ModelCheckpoint:
    for callback in callbacks:
        if isinstance(callback, ModelCheckpoint) and callback.monitor is not None:
            return callback
    raise ConfigError(
        "callbacks: a run needs a ModelCheckpoint with a monitor; keep callbacks.checkpoint of callbacks=default"
    )


@contextmanager
def _logger(cfg: DictConfig, folder: RunFolder) -> Iterator[Logger | bool]:
    if not cfg.get("logger"):
        yield False
        return
    if "settings" in cfg.logger:  # wandb speaks before a run's own settings reach it
        wandb.setup(instantiate(cfg.logger.settings))
    logger = instantiate(cfg.logger, save_dir=str(folder.path))
    try:
        logger.log_hyperparams(OmegaConf.to_container(cfg, resolve=True))
        yield logger
    finally:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()  # else the next run of a sweep would write into this one


class Clock:
    """Seconds of the stages of a run, and since it was made."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self._stages[stage] = time.perf_counter() - start

    def seconds(self) -> dict[str, float]:
        stages = self._stages | {"total": time.perf_counter() - self._start}
        return {f"seconds/{stage}": value for stage, value in stages.items()}
