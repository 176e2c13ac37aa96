"""Errors of numbers that are not plain means: one realisation left out at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from ..configuration import Array


class Estimate(NamedTuple):
    """A number and its standard error; NaN where there is none."""

    value: float
    error: float


def jackknife(estimator: Callable[[Array], float], samples: Array) -> Estimate:
    """theta of all realisations, and sqrt((n - 1)/n sum_k (theta_k - <theta_k>)^2), theta_k without realisation k.

    For a mean this is s/sqrt(n) exactly. With fewer than two realisations, or where one of the theta_k is NaN, the
    error is NaN.

    Args:
        estimator: (n, ...) -> a number.
        samples: (n, ...), one row a realisation.
    """
    n = len(samples)
    value = float(estimator(samples))
    if n < 2:
        return Estimate(value, float("nan"))
    without = np.array([estimator(np.delete(samples, k, axis=0)) for k in range(n)])
    return Estimate(value, float(np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())))
