"""How the energy comes down: power law or logarithm; and how torques and fields are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from ..configuration import Array
from ..errors import InputError
from .realisations import over_copies

LEAST_EXPONENT, LARGEST_EXPONENT = 0.01, 5.0
"""Between these the exponent of a power law is looked for."""


class RelaxationFit(NamedTuple):
    """E(t) = limit + amplitude t^(-exponent), or limit - amplitude log t with exponent 0; rms deviation of the fit."""

    limit: float
    amplitude: float
    exponent: float
    rms: float


def power_law(times: Array, energy: Array) -> RelaxationFit:
    """Least squares of E(t) = E_inf + a t^(-b), b in (0.01, 5); the instant t = 0 is left out.

    For a given b the other two are linear; b is found on a logarithmic grid and refined. A b at the end of its range
    says that no power law is there.

    Args:
        times: (T,), hbar/t0 since the quench.
        energy: (T,), mean over realisations.

    Raises:
        InputError: fewer than four instants after t = 0.
    """
    t, e = _later(times, energy, 4)

    def solve(log_b: float) -> tuple[float, Array]:
        design = np.stack([np.ones_like(t), (t / t[0]) ** (-np.exp(log_b))], 1)
        coefficients = np.linalg.lstsq(design, e, rcond=None)[0]
        return float(((design @ coefficients - e) ** 2).sum()), coefficients

    grid = np.linspace(np.log(LEAST_EXPONENT), np.log(LARGEST_EXPONENT), 60)
    start = int(np.argmin([solve(x)[0] for x in grid]))
    low, high = grid[max(0, start - 1)], grid[min(len(grid) - 1, start + 1)]
    best = minimize_scalar(lambda x: solve(x)[0], bounds=(low, high), method="bounded", options={"xatol": 1e-9})
    squares, (limit, amplitude) = solve(best.x)
    b = float(np.exp(best.x))
    return RelaxationFit(float(limit), float(amplitude * t[0] ** b), b, float(np.sqrt(squares / len(t))))


def logarithm(times: Array, energy: Array) -> RelaxationFit:
    """Least squares of E(t) = E_1 - a log t, t in hbar/t0 (so that E_1 is the energy at t = 1); t = 0 is left out."""
    t, e = _later(times, energy, 3)
    design = np.stack([np.ones_like(t), -np.log(t)], 1)
    limit, amplitude = np.linalg.lstsq(design, e, rcond=None)[0]
    rms = np.sqrt(((design @ [limit, amplitude] - e) ** 2).mean())
    return RelaxationFit(float(limit), float(amplitude), 0.0, float(rms))


def _later(times: Array, energy: Array, least: int) -> tuple[Array, Array]:
    after = times > 0
    if after.sum() < least:
        raise InputError(f"energy relaxation: the fit needs {least} instants after t = 0, got {int(after.sum())}")
    return times[after], energy[after]


class Distribution(NamedTuple):
    """A density: edges (B + 1,) of the bins, mean (B,) over realisations and its standard error (B,)."""

    edges: Array
    density: Array
    error: Array

    @property
    def middles(self) -> Array:
        return (self.edges[1:] + self.edges[:-1]) / 2


def distribution(
    samples: Array,
    n_bins: int = 40,
    limits: tuple[float, float] | None = None,
    realisations: Sequence[int] | None = None,
) -> Distribution:
    """Histogram density of values, with the standard error over realisations.

    Args:
        samples: (R, ...), one row a replica.
        n_bins: bins of equal width.
        limits: the range, default 0 or the smallest value to the largest; values beyond it are not counted, and the
            density integrates to the fraction inside.
        realisations: (R,), the number of the realisation of each replica; None: each is one of its own.

    Raises:
        InputError: no samples, or a range of no width.
    """
    rows = samples.reshape(len(samples), -1)
    if rows.size == 0:
        raise InputError("distribution: there are no values")
    low, high = (min(0.0, float(rows.min())), float(rows.max())) if limits is None else limits
    if not low < high:
        raise InputError(f"distribution: the range {low:g} to {high:g} has no width")
    edges = np.linspace(low, high, n_bins + 1)
    width = edges[1] - edges[0]
    each = np.stack([np.histogram(row, edges)[0] / (len(row) * width) for row in rows])
    if realisations is not None:
        each = over_copies(each, realisations, axis=0)
    n = len(each)
    error = each.std(0, ddof=1) / np.sqrt(n) if n > 1 else np.full(n_bins, np.nan)
    return Distribution(edges, each.mean(0), error)
