"""The learning curves of a run, kept through interruptions."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class History(Callback):
    """One row of averaged metrics an epoch, stored in every checkpoint so that a resumed run keeps its past."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        rates = {f"rate/{i}": group["lr"] for i, group in enumerate(trainer.optimizers[0].param_groups)}
        self.rows.append({"epoch": trainer.current_epoch, "step": trainer.global_step, **row, **rates})

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
