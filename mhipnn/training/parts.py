"""What every training needs: the model of a configuration, its task, and a Lightning that keeps quiet."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from hydra.utils import get_class, instantiate
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig, OmegaConf

from .. import registry
from ..data.base_module import LabelledDataModule
from ..errors import ConfigError
from ..nn.checkpoint import CheckpointRecord
from ..nn.energy_model import EnergyModel
from .task import SpinTask


def build_model(cfg: DictConfig) -> EnergyModel:
    """The model of a configuration in the precision of its data."""
    model = instantiate(cfg.model)
    if not isinstance(model, EnergyModel):
        raise ConfigError(f"model._target_={cfg.model._target_} is not a mhipnn.nn.energy_model.EnergyModel")
    return model.in_precision(getattr(torch, cfg.data.dtype))


def describe(cfg: DictConfig, data: LabelledDataModule) -> CheckpointRecord:
    """What the checkpoints of this run say about the model: a registered name and plain arguments."""
    node: Any = OmegaConf.to_container(cfg.model, resolve=True)
    return CheckpointRecord(
        model=registry.name_of("model", get_class(node.pop("_target_"))),
        arguments=node,
        dtype=cfg.data.dtype,
        metadata={
            "dataset": data.record(),
            "units": data.units.to_dict(),
        },
    )


def make_task(cfg: DictConfig, model: EnergyModel, data: LabelledDataModule, record: CheckpointRecord) -> SpinTask:
    """The task that trains a model, which gets its fixed numbers from the training split."""
    losses = {name: instantiate(term) for name, term in cfg.loss.items() if term is not None}
    model.fit_scale(data.statistics)
    model.fit_features(data.graphs("train"))
    optimizer, scheduler = instantiate(cfg.optimizer), instantiate(cfg.scheduler)
    return SpinTask(model, losses, data.statistics, optimizer, scheduler, record, cfg.get("layer_decay", 1.0))


def whole_number(name: str, value: Any, least: int = 1) -> int:
    """A setting that counts something; raises ConfigError if it is not a whole number of at least so much."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name}={value}: expected a whole number >= {least}")
    return value


def require_species(model: EnergyModel, data: LabelledDataModule) -> None:
    """Refuse data with more species than the model was built for; raises ConfigError."""
    n_species = 1 + max(int(data.labelled(split).species.max()) for split in data.split_names)
    if n_species > model.n_species:
        given = f"model.n_species={model.n_species}"
        raise ConfigError(f"{given}, but {data.name} has {n_species} species; give model.n_species={n_species}")


def quiet_trainer(cfg: DictConfig, **settings: Any) -> Trainer:
    """A trainer, of one of several networks, that writes and says nothing by itself.

    Raises:
        ConfigError: one that needs several processes.
    """
    trainer = instantiate(
        cfg.trainer,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        limit_val_batches=0,
        **settings,
    )
    if trainer.world_size > 1:
        raise ConfigError("trainer: each of several networks trains in one process; give trainer.devices=1")
    return trainer


class EachEpoch(Callback):
    """Call a function after every epoch of training."""

    def __init__(self, function: Callable[[], None]) -> None:
        self.function = function

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.function()


@contextmanager
def interruptible() -> Iterator[None]:
    """Lightning answers Ctrl-C with sys.exit(1) and goes on ignoring it; here it stays a KeyboardInterrupt."""
    handler = signal.getsignal(signal.SIGINT)
    try:
        yield
    except SystemExit as stop:
        if not isinstance(stop.__context__, KeyboardInterrupt):
            raise
        raise stop.__context__ from None
    finally:
        if signal.getsignal(signal.SIGINT) is not handler:
            signal.signal(signal.SIGINT, handler)


_EXPECTED = (
    ".*LeafSpec.*",
    "The number of training batches .* is smaller than the logging interval",
    "Checkpoint directory .* exists and is not empty",  # it does when a run is resumed
)


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Device tables, tips and advice on numbers that are as they should be drown what a run has to say."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings():
        for message in _EXPECTED:
            warnings.filterwarnings("ignore", message)
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
