"""Spatial and temporal spin correlations, per realisation and averaged with standard errors (numpy)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..compilation import compiled
from ..configuration import Array, SpinConfiguration
from ..dynamics.frames import Trajectory
from ..errors import InputError
from ..structures.neighbours import neighbour_list


@dataclass(frozen=True)
class RadialCorrelation:
    """C(r) = <S_i.S_j> over the pairs in the bin at r.

    Args:
        r: (B,), middles of the bins, mean spacings.
        value: (..., B); NaN where a bin holds no pair.
        count: (B,) or (R, B), directed pairs i <- j in each bin (every pair counts twice, in ``value`` too).
    """

    r: Array
    value: Array
    count: np.ndarray


class MeanAndError(NamedTuple):
    mean: Array
    error: Array
    n: np.ndarray


def spin_correlation(
    config: SpinConfiguration, spins: Array | None = None, r_max: float = 5.0, bin_width: float = 0.5
) -> RadialCorrelation:
    """C(r) = (1/n_r) sum_{pairs at r} S_i.S_j over i != j and all periodic images within r_max.

    Pairs of a site with its own image (boxes narrower than r_max) are left out: they are 1 by construction.

    Args:
        config: sites, and the spins if ``spins`` is not given.
        spins: (..., N, 3), any number of spin states on these sites (leading axes are kept).
        r_max: largest distance, mean spacings; the last bin ends there or before.
        bin_width: bins are [k, k+1) bin_width.

    Raises:
        InputError: r_max or bin_width not positive, or spins of another shape.
    """
    spins = config.spins if spins is None else np.asarray(spins, float)
    if spins.shape[-2:] != (config.n_sites, 3):
        raise InputError(f"spin correlation: spins have shape {spins.shape}, need (..., {config.n_sites}, 3)")
    pairs = pair_bins(config, r_max, bin_width)
    value = pairs.correlation(spins.reshape(-1, config.n_sites, 3))
    return RadialCorrelation(pairs.r, value.reshape(*spins.shape[:-2], len(pairs.r)), pairs.count)


@dataclass(frozen=True)
class PairBins:
    """Directed pairs i <- j, both (P,), and the bin of their distance, (P,); ``r`` and ``count`` of the bins, (B,)."""

    i: np.ndarray
    j: np.ndarray
    bins: np.ndarray
    r: Array
    count: np.ndarray

    def correlation(self, states: Array) -> Array:
        """C(r) of spins (S, N, 3), (S, B); NaN where a bin holds no pair."""
        sums = np.zeros((len(states), len(self.r)))
        for state, into in zip(states, sums, strict=True):
            _add_products(np.ascontiguousarray(state), self.i, self.j, self.bins, into)
        return np.where(self.count > 0, sums / np.maximum(self.count, 1), np.nan)


@compiled()
def _add_products(spins, i, j, bins, into):  # type: ignore[no-untyped-def]
    """into[bin] += S_i.S_j over all pairs, in their order: one pass, no arrays of pairs."""
    for pair in range(len(i)):
        a, b = spins[i[pair]], spins[j[pair]]
        into[bins[pair]] += a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def pair_bins(config: SpinConfiguration, r_max: float, bin_width: float) -> PairBins:
    """The pairs of :func:`spin_correlation`. Raises InputError: r_max or bin_width not positive."""
    if not (bin_width > 0 and r_max >= bin_width):
        raise InputError(
            f"spin correlation: r_max {r_max} and bin_width {bin_width} must be positive, r_max the larger"
        )
    n_bins = int(r_max / bin_width + 1e-9)
    edges = neighbour_list(config.positions, config.cell, config.pbc, n_bins * bin_width)
    i, j = edges.receiver, edges.source
    distance = np.linalg.norm(config.positions[j] - config.positions[i] + edges.offset, axis=1)
    # Distances of a lattice lie on the edges of bins: the small number keeps their rounding from splitting a shell.
    bins = (distance / bin_width + 1e-9).astype(int)
    kept = (i != j) & (bins < n_bins)
    i, j, bins = i[kept], j[kept], bins[kept]
    count = np.bincount(bins, minlength=n_bins)
    return PairBins(i, j, bins, bin_middles(r_max, bin_width), count)


def bin_middles(r_max: float, bin_width: float) -> Array:
    """Middles of the bins [k, k+1) bin_width that end at r_max or before, (B,)."""
    return np.asarray((np.arange(int(r_max / bin_width + 1e-9)) + 0.5) * bin_width, np.float64)


def trajectory_correlation(
    trajectory: Trajectory, r_max: float | None = None, bin_width: float = 0.5
) -> RadialCorrelation:
    """C(r, t) of every realisation: ``value`` (T, R, B), ``count`` (R, B). See :func:`spin_correlation`.

    ``r_max`` is by default 5 mean spacings or half of the narrowest box, beyond which images of one pair come twice.
    """
    r_max = largest_distance(trajectory.configs, bin_width) if r_max is None else r_max
    each = [
        spin_correlation(config, trajectory.spins[:, replica], r_max, bin_width)
        for replica, config in enumerate(trajectory.configs)
    ]
    return RadialCorrelation(
        each[0].r, np.stack([one.value for one in each], axis=1), np.stack([one.count for one in each])
    )


def largest_distance(configs: Sequence[SpinConfiguration], bin_width: float) -> float:
    """5 mean spacings or half of the narrowest box, beyond which images of one pair come twice; one bin at least."""
    return max(bin_width, min([5.0, *(half_width(config) for config in configs)]))


def half_width(config: SpinConfiguration) -> float:
    """Half of the shortest distance between opposite faces of the box along its periodic directions."""
    widths = 1 / np.linalg.norm(np.linalg.inv(config.cell), axis=0)[config.pbc]
    return float(widths.min()) / 2 if len(widths) else np.inf


def mean_and_error(values: Array, axis: int) -> MeanAndError:
    """Mean over realisations and its standard error s/sqrt(n), s with n - 1 degrees of freedom.

    A realisation whose bin holds no pair is NaN there and is not counted: ``n`` is the number that were. The mean of
    none is NaN, the error of fewer than two is NaN.
    """
    finite = np.isfinite(values)
    n = finite.sum(axis)
    total = np.where(finite, values, 0.0).sum(axis)
    mean = np.where(n > 0, total / np.maximum(n, 1), np.nan)
    squares = np.where(finite, (values - np.expand_dims(mean, axis)) ** 2, 0.0).sum(axis)
    error = np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1) / np.maximum(n, 1)), np.nan)
    return MeanAndError(mean, error, n)


def autocorrelation(trajectory: Trajectory, waiting_time: float = 0.0) -> tuple[Array, Array]:
    """A(t, t_w) = (1/N) sum_i S_i(t_w).S_i(t_w + t) for every realisation.

    Args:
        waiting_time: t_w, hbar/t0; the recorded instant nearest to it is taken.

    Returns:
        times t (T',), from 0, and A (T', R).

    Raises:
        InputError: t_w outside of the trajectory.
    """
    times = trajectory.times
    if not times[0] <= waiting_time <= times[-1]:
        raise InputError(f"autocorrelation: t_w = {waiting_time} is outside of the trajectory, 0 to {times[-1]}")
    start = int(np.abs(times - waiting_time).argmin())
    later = trajectory.spins[start:]
    return times[start:] - times[start], np.einsum("trna,rna->tr", later, later[0]) / trajectory.n_sites


def nearest_instants(times: Array, wanted: Sequence[float]) -> list[int]:
    """Indices of the recorded times nearest to the wanted ones, each once, in order of time."""
    return sorted({int(np.abs(times - time).argmin()) for time in wanted})
