"""The learning curves of a run, kept through interruptions."""

from __future__ import annotations

import math
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class History(Callback):
    """One row of averaged metrics an epoch, stored in every checkpoint so that a resumed run keeps its past.

    ``seconds`` of a row is the time of the fit up to the end of that epoch, validation included; what an interruption
    threw away does not count.
    """

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self._start = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        past = self.rows[-1].get("seconds", math.nan) if self.rows else 0.0  # older checkpoints did not count
        self._start = time.perf_counter() - past

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        row = {name: float(value) for name, value in trainer.callback_metrics.items() if "/" in name}
        rates = {f"rate/{i}": group["lr"] for i, group in enumerate(trainer.optimizers[0].param_groups)}
        counts = {"epoch": trainer.current_epoch, "step": trainer.global_step}
        self.rows.append({**counts, "seconds": time.perf_counter() - self._start, **row, **rates})

    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows = list(state_dict["rows"])
