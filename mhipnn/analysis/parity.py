"""How well one array predicts another: R^2 and NRMSE over all components."""

from __future__ import annotations

import numpy as np

from ..configuration import Array
from ..errors import InputError


def r_squared(exact: Array, predicted: Array) -> float:
    """R^2 = 1 - sum (y - y^)^2 / sum (y - <y>)^2 over all components; NaN if y does not vary."""
    exact, predicted = _same_shape(exact, predicted)
    variation = ((exact - exact.mean()) ** 2).sum()
    varies = variation > 1e-12 * (exact**2).sum()
    return float(1 - ((exact - predicted) ** 2).sum() / variation) if varies else float("nan")


def nrmse(exact: Array, predicted: Array) -> float:
    """NRMSE = RMSE / rms(y) over all components; NaN if y is zero."""
    exact, predicted = _same_shape(exact, predicted)
    square = (exact**2).mean()
    return float(np.sqrt(((exact - predicted) ** 2).mean() / square)) if square > 0 else float("nan")


def _same_shape(exact: Array, predicted: Array) -> tuple[Array, Array]:
    exact, predicted = np.asarray(exact, float), np.asarray(predicted, float)
    if exact.shape != predicted.shape or exact.size == 0:
        raise InputError(f"parity: shapes {exact.shape} and {predicted.shape} must be equal and not empty")
    return exact, predicted
