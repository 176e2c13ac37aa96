"""How far the order reaches: from C(r) by its first zero or its decay, from S(q) by the width of its peak."""

from __future__ import annotations

import numpy as np

from ..configuration import Array
from ..errors import InputError


def first_zero(r: Array, correlation: Array) -> float:
    """The distance at which C(r) first changes its sign, between bins by a straight line; NaN if it never does.

    Args:
        r: (B,), mean spacings.
        correlation: (B,); bins that are NaN (no pairs) are skipped.
    """
    known = np.isfinite(correlation)
    r, value = r[known], correlation[known]
    turns = np.flatnonzero(np.sign(value[:-1]) * np.sign(value[1:]) < 0)
    zeros = np.flatnonzero(value == 0)
    if len(zeros) and (not len(turns) or zeros[0] <= turns[0]):
        return float(r[zeros[0]])
    if not len(turns):
        return float("nan")
    k = turns[0]
    return float(r[k] + (r[k + 1] - r[k]) * value[k] / (value[k] - value[k + 1]))


def decay_length(r: Array, correlation: Array, error: Array | None = None) -> float:
    """xi of |C(r)| = A exp(-r/xi), by weighted least squares of log |C|.

    The sign is dropped, so that an antiferromagnet has a length too. Bins within two standard errors of zero are left
    out, because the logarithm of noise has no mean; without errors every bin counts alike.

    Args:
        r: (B,), mean spacings.
        correlation: (B,); NaN where there are no pairs.
        error: (B,), standard errors; NaN counts as none.

    Returns:
        xi in mean spacings; NaN if fewer than three bins are left or if |C| does not decay.
    """
    size = np.abs(correlation)
    used = np.isfinite(size) & (size > 0)
    weight = np.ones_like(size)
    if error is not None and (np.nan_to_num(error) > 0).any():
        good = np.nan_to_num(error) > 0
        used &= good & (size > 2 * np.nan_to_num(error))
        weight = np.where(good, size / np.where(good, error, 1), 0)  # sigma(log C) = sigma(C)/C
    if used.sum() < 3:
        return float("nan")
    slope = np.polyfit(r[used], np.log(size[used]), 1, w=weight[used])[0]
    return float(-1 / slope) if slope < 0 else float("nan")


def second_moment_length(q: Array, values: Array, spacing: float = 1.0) -> float:
    """xi of Ornstein and Zernike's S(q) = S_0/(1 + xi^2 k^2) around the peak at Q: a straight line 1/S against k^2.

    On a lattice k^2 = sum_a (2/a)^2 sin^2(a (q - Q)_a / 2) (which is (q - Q)^2 at small distance, and makes the form
    exact for the classical chain); ``spacing`` 0 takes k = |q - Q|, for sites without a lattice. The stars of equal k
    next to the peak whose mean S is at least a third of it are used, and the nearest one in any case (then it is
    xi = sqrt(S(Q)/S(q) - 1)/k); the weight of a wave vector is S^2, because its S fluctuates by about S.

    Args:
        q: (Q, 3), allowed wave vectors, inverse length.
        values: (Q,), S.
        spacing: lattice constant a of a chain, square or cubic lattice along the Cartesian axes, or 0.

    Returns:
        xi in mean spacings; NaN if S does not fall off.

    Raises:
        InputError: a single wave vector.
    """
    if len(q) < 2:
        raise InputError("correlation length: needs S at two wave vectors or more; raise q_max")
    k = _lattice_momentum(q - q[int(np.argmax(values))], spacing)
    _, star, count = np.unique(np.round(k, 7), return_inverse=True, return_counts=True)
    mean, momentum = (np.bincount(star, v) / count for v in (values, k))
    low = mean < mean[0] / 3
    n = max(2, int(np.argmax(low)) if low.any() else len(mean))
    if n > len(mean) or not (mean[:n] > 0).all():
        return float("nan")
    slope, offset = np.polyfit(momentum[:n] ** 2, 1 / mean[:n], 1, w=np.sqrt(count[:n]) * mean[:n])
    return float(np.sqrt(slope / offset)) if slope > 0 and offset > 0 else float("nan")


def shell_width_length(q: Array, values: Array, n_points: int = 4) -> float:
    """xi of 1/S(q) = (1 + xi^2 (q - Q)^2)/S(Q) on shells, Q the shell at which S is largest: for ring-shaped peaks.

    A straight line in (q - Q)^2 through the largest shell and up to ``n_points`` - 1 nearest ones.

    Args:
        q: (K,), middles of the shells, inverse mean spacing.
        values: (K,), S averaged over shells.

    Returns:
        xi in mean spacings; NaN if S does not fall off around its largest value.
    """
    known = np.isfinite(values) & (values > 0)
    q, values = q[known], values[known]
    if len(q) < 3:
        return float("nan")
    peak = int(np.argmax(values))
    chosen = np.argsort(np.abs(q - q[peak]), kind="stable")[:n_points]
    slope, offset = np.polyfit((q[chosen] - q[peak]) ** 2, 1 / values[chosen], 1)
    return float(np.sqrt(slope / offset)) if slope > 0 and offset > 0 else float("nan")


def _lattice_momentum(q: Array, spacing: float) -> Array:
    if spacing < 0:
        raise InputError(f"correlation length: spacing is {spacing}; give a lattice constant, or 0 for none")
    if spacing == 0:
        return np.linalg.norm(q, axis=1)
    return np.linalg.norm(2 / spacing * np.sin(q * spacing / 2), axis=1)
