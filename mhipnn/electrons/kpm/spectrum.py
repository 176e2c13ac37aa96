"""Bounds of the spectrum that hold for every state of the spins."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import ArpackNoConvergence, eigsh

from ...configuration import Array

DENSE = 64  # sites up to which the hopping is simply diagonalized
MARGIN = 0.01  # of the width, on each side
SPIN_LENGTH = 1.01  # lengths up to this share one bound, so that differences of the energy are taken at one expansion
SPIN_STEP = 0.25
GRID = 64  # bounds are rounded outward to 1/GRID of a power of two near the width, for the same reason


@dataclass(frozen=True)
class Band:
    """H = centre + half_width H~ with the spectrum of H~ inside [-1, 1]; energy."""

    centre: float
    half_width: float


def hopping_bounds(T: csr_array) -> tuple[float, float]:
    """Below and above all eigenvalues of a real symmetric matrix: Lanczos with a margin, Gershgorin where tighter."""
    diagonal = T.diagonal()
    rest = np.asarray(abs(T).sum(1)).ravel() - np.abs(diagonal)
    gershgorin = float((diagonal - rest).min()), float((diagonal + rest).max())
    try:
        low, high = _extremes(T)
    except ArpackNoConvergence:
        return _outward(*gershgorin)
    margin = MARGIN * (high - low)
    return _outward(max(low - margin, gershgorin[0]), min(high + margin, gershgorin[1]))


def _extremes(T: csr_array) -> tuple[float, float]:
    n = T.shape[0]
    if n <= DENSE:
        levels = np.linalg.eigvalsh(T.toarray())
        return float(levels[0]), float(levels[-1])
    start = np.random.default_rng(0).normal(size=n)  # deterministic: the same sites give the same bounds
    levels = eigsh(T, 2, which="BE", v0=start, tol=1e-4, return_eigenvectors=False)
    return float(levels.min()), float(levels.max())


def _outward(low: float, high: float) -> tuple[float, float]:
    if high <= low:
        return low, high
    step = 2.0 ** math.floor(math.log2(high - low)) / GRID
    return math.floor(low / step) * step, math.ceil(high / step) * step


def band(bounds: tuple[float, float], onsite: Array, exchange: float, kT: float) -> Band:
    """Around T + diag(onsite) - h.sigma with |h| <= exchange at every site (Weyl)."""
    low = bounds[0] + float(onsite.min()) - exchange
    high = bounds[1] + float(onsite.max()) + exchange
    # levels at the ends of [-1, 1] are fine, a band of no width is not
    half_width = max((high - low) / 2, kT, 1e-12) * (1 + 1e-9)
    return Band((low + high) / 2, half_width)


def spin_length_bound(spins: Array) -> float:
    """Above all |S_i|; in steps."""
    longest = float(np.sqrt((spins**2).sum(-1)).max())
    return SPIN_LENGTH if longest <= SPIN_LENGTH else SPIN_STEP * math.ceil(longest / SPIN_STEP)
