"""Two times: A(t, t_w) of a system that has not come to rest, and whether its curves are one function of t/t_w^mu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from ..configuration import Array
from ..dynamics.frames import Trajectory
from ..errors import InputError
from .correlations import autocorrelation, nearest_instants

_GRID = 40


@dataclass(frozen=True)
class TwoTime:
    """A(t, t_w) = (1/N) sum_i S_i(t_w).S_i(t_w + t) for one waiting time.

    Args:
        waiting_time: t_w, hbar/t0.
        lag: t (T',), from 0, hbar/t0.
        value: (T', R), every realisation.
    """

    waiting_time: float
    lag: Array
    value: Array


def waiting_times(times: Array, n: int = 5) -> list[float]:
    """n recorded instants, even on a logarithmic scale from the first after 0 to a quarter of the last.

    The last quarter leaves every curve at least three times its waiting time.
    """
    after = times[times > times[0]]
    if len(after) == 0:
        raise InputError("aging: the trajectory has a single instant")
    wanted = np.geomspace(after[0] - times[0], max((times[-1] - times[0]) / 4, after[0] - times[0]), n) + times[0]
    return [float(times[index]) for index in nearest_instants(times, wanted.tolist())]


def two_time_correlation(trajectory: Trajectory, waits: Sequence[float] | None = None) -> list[TwoTime]:
    """A(t, t_w) for several waiting times, by default those of :func:`waiting_times`.

    Raises:
        InputError: a waiting time outside of the trajectory.
    """
    chosen = waiting_times(trajectory.times) if waits is None else waits
    return [TwoTime(float(wait), *autocorrelation(trajectory, wait)) for wait in chosen]


def collapse_spread(curves: Sequence[TwoTime], mu: float = 1.0) -> float:
    """How far the curves are from one function of t/t_w^mu: rms over their common range of the spread about the mean.

    mu = 1 is full aging, mu = 0 none (a function of t alone). The means over realisations are compared on a
    logarithmic grid of t/t_w^mu.

    Raises:
        InputError: fewer than two curves, a waiting time 0, or no common range of t/t_w^mu.
    """
    if len(curves) < 2:
        raise InputError(f"aging: a collapse compares two waiting times or more, got {len(curves)}")
    if any(curve.waiting_time <= 0 for curve in curves):
        raise InputError("aging: t/t_w needs waiting times > 0")
    scaled = [(curve.lag[1:] / curve.waiting_time**mu, curve.value[1:].mean(1)) for curve in curves]
    low, high = max(x[0] for x, _ in scaled), min(x[-1] for x, _ in scaled)
    if not low < high:
        raise InputError(f"aging: the curves share no range of t/t_w^mu at mu = {mu:g}; choose waiting times closer")
    grid = np.geomspace(low, high, _GRID)
    values = np.array([np.interp(np.log(grid), np.log(x), y) for x, y in scaled])
    return float(np.sqrt(values.var(0).mean()))


def aging_exponent(curves: Sequence[TwoTime]) -> float:
    """The mu between 0 and 1.5 at which the curves collapse best."""

    def spread(mu: float) -> float:
        try:
            return collapse_spread(curves, mu)
        except InputError:
            return np.inf

    collapse_spread(curves, 0.0)  # says what is wrong with the curves, if anything is
    grid = np.linspace(0, 1.5, 31)
    start = grid[int(np.argmin([spread(mu) for mu in grid]))]
    best = minimize_scalar(spread, bounds=(max(0, start - 0.05), min(1.5, start + 0.05)), method="bounded")
    return float(best.x)
