"""The networks of a committee: the same labels, other first weights, trained like any other model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lightning
from hydra.utils import instantiate
from lightning.pytorch import Callback, LightningModule, Trainer
from omegaconf import DictConfig

from ...data.base_module import LabelledDataModule
from ...data.labelled import LabelledConfigurations, concatenate
from ...data.statistics import Statistics
from ...errors import ConfigError
from ...nn.checkpoint import load_model, save_model
from ...potential import Potential
from ..parts import build_model, describe, interruptible, make_task


class EnlargedData(LabelledDataModule):
    """A dataset with more training labels, and with the scales that it had before.

    Networks that go on from their last weights keep the scale and the offset of their energy; the terms of the loss
    keep theirs as well.
    """

    def __init__(self, start: LabelledDataModule, added: Sequence[LabelledConfigurations]) -> None:
        dtype = str(start.dtype).removeprefix("torch.")
        super().__init__(start.name, start.cutoff, start.batch_size, dtype, start.shuffle_seed)
        self.start = start
        self.added = list(added)

    @property
    def split_names(self) -> tuple[str, ...]:
        return self.start.split_names

    @property
    def location(self) -> str:
        return self.start.location

    @property
    def statistics(self) -> Statistics:
        return self.start.statistics

    def read_split(self, split: str) -> LabelledConfigurations:
        labelled = self.start.labelled(split)
        return concatenate([labelled, *self.added]) if split == "train" else labelled

    def potential(self) -> Potential | None:
        return self.start.potential()

    def record(self) -> dict[str, Any]:
        return self.start.record()


def train_member(
    cfg: DictConfig,
    data: EnlargedData,
    path: Path,
    seed: int,
    epochs: int,
    last: Path | None,
    on_epoch: Callable[[], None] = lambda: None,
) -> None:
    """Train one network and write its checkpoint; a function of these arguments alone.

    Args:
        cfg: model, loss, optimizer, scheduler, trainer and averaging of the command.
        data: the labels.
        path: of the checkpoint; it holds the averaged weights of the last step.
        seed: of the first weights.
        epochs: of this training; optimiser and schedule are new.
        last: checkpoint to go on from; None: new weights.
        on_epoch: called after every epoch.
    """
    lightning.seed_everything(seed, verbose=False)
    model = build_model(cfg) if last is None else load_model(last)[0]
    record = describe(cfg, data)
    callbacks: list[Callback] = [_Epochs(on_epoch)]
    if cfg.averaging is not None:
        callbacks.append(instantiate(cfg.averaging))
    trainer = quiet_trainer(cfg, max_epochs=epochs, callbacks=callbacks, default_root_dir=str(path.parent))
    with interruptible():
        trainer.fit(make_task(cfg, model, data, record), datamodule=data)
    save_model(path, model, record)


def quiet_trainer(cfg: DictConfig, **settings: Any) -> Trainer:
    """A trainer that writes and says nothing by itself.

    Raises:
        ConfigError: several processes, which cannot share the rounds between trainings.
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
        raise ConfigError("trainer: active learning trains in one process; give trainer.devices=1")
    return trainer


class _Epochs(Callback):
    def __init__(self, on_epoch: Callable[[], None]) -> None:
        self.on_epoch = on_epoch

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.on_epoch()
