"""The networks of a committee: the same labels, other first weights, trained like any other model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import lightning
from hydra.utils import instantiate
from lightning.pytorch import Callback
from omegaconf import DictConfig

from ...data.base_module import LabelledDataModule
from ...data.derived import DerivedData
from ...data.labelled import LabelledConfigurations, concatenate
from ...data.statistics import Statistics
from ...nn.checkpoint import load_model, save_model
from ..parts import EachEpoch, build_model, describe, interruptible, make_task, quiet_trainer


class EnlargedData(DerivedData):
    """A dataset with more training labels, and with the scales that it had before.

    Networks that go on from their last weights keep the scale and the offset of their energy; the terms of the loss
    keep theirs as well.
    """

    def __init__(self, start: LabelledDataModule, added: Sequence[LabelledConfigurations]) -> None:
        super().__init__(start)
        self.added = list(added)

    @property
    def statistics(self) -> Statistics:
        return self.start.statistics

    def changed(self, train: LabelledConfigurations) -> LabelledConfigurations:
        return concatenate([train, *self.added])


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
    callbacks: list[Callback] = [EachEpoch(on_epoch)]
    if cfg.averaging is not None:
        callbacks.append(instantiate(cfg.averaging))
    trainer = quiet_trainer(cfg, max_epochs=epochs, callbacks=callbacks, default_root_dir=str(path.parent))
    with interruptible():
        trainer.fit(make_task(cfg, model, data, record), datamodule=data)
    save_model(path, model, record)
