"""Accuracy of vector labels over a whole split, as specialists quote it."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class Accuracy(Metric):
    r"""R^2 = 1 - \sum (y - \hat y)^2 / \sum (y - <y>)^2, NRMSE = RMSE / rms(y), RMSE and MAE over all components.

    The sums run in float64 over the whole split, so the result does not depend on the batches.
    """

    full_state_update = False
    count: Tensor
    squared_error: Tensor
    absolute_error: Tensor
    total: Tensor
    squares: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("count", "squared_error", "absolute_error", "total", "squares"):
            self.add_state(name, torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, target: Tensor) -> None:
        predicted, target = predicted.detach().double(), target.detach().double()
        error = predicted - target
        self.count += target.numel()
        self.squared_error += (error**2).sum()
        self.absolute_error += error.abs().sum()
        self.total += target.sum()
        self.squares += (target**2).sum()

    def compute(self) -> dict[str, Tensor]:
        rmse = (self.squared_error / self.count).sqrt()
        variation = self.squares - self.total**2 / self.count
        # Labels that do not vary (a single configuration) have no R^2: NaN, not a division by rounding.
        variation = torch.where(variation > 1e-12 * self.squares, variation, torch.nan)
        return {
            "r2": 1 - self.squared_error / variation,
            "nrmse": rmse / (self.squares / self.count).sqrt(),
            "rmse": rmse,
            "mae": self.absolute_error / self.count,
        }
