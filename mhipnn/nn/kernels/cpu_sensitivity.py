"""Derivatives of the sensitivities on CPUs, compiled by numba: one pass over the slots instead of dozens.

With u = (1/r - c)/w, p = 1/(r^2 w), g = exp(-u^2/2) and an envelope e(r), the sensitivity is s = g e and

    s_r = g (e u p + e'),          s_c = g e u/w,                        s_w = g e u^2/w,
    s_rr = g (e ((u^2 - 1) p^2 - 2 u p/r) + 2 e' u p + e''),
    s_rc = g (e (u^2 - 1) p + e' u)/w,                                   s_rw = g u (e (u^2 - 2) p + e' u)/w.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from .compiled import array, empty, kernel


def exponent(distance: Tensor, shape: Tensor, counts: Tensor) -> Tensor:
    """-u^2/2 of the filled slots, and no less than -60: exp(-60) is nothing, and subnormal numbers are slow."""
    out = empty((len(distance), shape.shape[1], distance.shape[1]), distance)
    _exponent(*(array(tensor) for tensor in (distance, shape, counts, out)))
    return out


def adjoint(gaussian: Tensor, geometry: Tensor, shape: Tensor, counts: Tensor, of_s: Tensor) -> tuple[Tensor, Tensor]:
    """Derivatives of sum of_s s by the distances and by the parameters.

    Args:
        gaussian: g, (N, n_nu, K).
        geometry: r, e, e', e'', each (N, K): (4, N, K).
        shape: c and w, (2, n_nu).
        counts: filled slots of each site, (N,).
        of_s: (N, n_nu, K).

    Returns:
        (N, K), zero in empty slots, and (2, n_nu).
    """
    of_r, of_shape = torch.zeros_like(geometry[0]), torch.zeros_like(shape)
    _adjoint(*(array(tensor) for tensor in (gaussian, geometry, shape, counts, of_s, of_r, of_shape)))
    return of_r, of_shape


def second_adjoint(
    gaussian: Tensor, geometry: Tensor, shape: Tensor, counts: Tensor, of_s: Tensor, along: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Derivatives of sum along (d/dr sum of_s s), ``along`` (N, K), by the distances, the parameters and of_s."""
    of_r, of_shape, of_of_s = torch.zeros_like(along), torch.zeros_like(shape), torch.zeros_like(gaussian)
    given = (gaussian, geometry, shape, counts, of_s, along, of_r, of_of_s, of_shape)
    _second_adjoint(*(array(tensor) for tensor in given))
    return of_r, of_shape, of_of_s


@kernel
def _exponent(distance, shape, counts, out):
    x, one = np.empty(distance.shape[1], out.dtype), out.dtype.type(1)
    half, least = out.dtype.type(-0.5), out.dtype.type(-60)
    for i in range(len(counts)):
        for k in range(counts[i]):
            x[k] = one / distance[i, k]
        for nu in range(shape.shape[1]):
            c, inverse, row = shape[0, nu], one / shape[1, nu], out[i, nu]
            for k in range(counts[i]):
                u = (x[k] - c) * inverse
                row[k] = max(half * u * u, least)
            row[counts[i] :] = least


@kernel
def _adjoint(gaussian, geometry, shape, counts, of_s, of_r, of_shape):
    n_nu, n_slots = shape.shape[1], of_r.shape[1]
    # Slot by slot, so that the loops over slots are vectors; `one`, for an integer would make the arithmetic float64.
    sums, x, one = np.zeros((2, n_nu, n_slots), of_r.dtype), np.empty(n_slots, of_r.dtype), of_r.dtype.type(1)
    for i in range(len(counts)):
        n, e, de, total = counts[i], geometry[1, i], geometry[2, i], of_r[i]
        for k in range(n):
            x[k] = one / geometry[0, i, k]
        for nu in range(n_nu):
            c, inverse, g, b = shape[0, nu], one / shape[1, nu], gaussian[i, nu], of_s[i, nu]
            of_c, of_w = sums[0, nu], sums[1, nu]
            for k in range(n):
                weight, u = g[k] * b[k], (x[k] - c) * inverse
                moved = weight * e[k] * u * inverse
                total[k] += moved * x[k] * x[k] + weight * de[k]
                of_c[k] += moved
                of_w[k] += moved * u
    for nu in range(n_nu):
        of_shape[0, nu], of_shape[1, nu] = sums[0, nu].sum(), sums[1, nu].sum()


@kernel
def _second_adjoint(gaussian, geometry, shape, counts, of_s, along, of_r, of_of_s, of_shape):
    n_nu, n_slots = shape.shape[1], of_r.shape[1]
    sums, x, one = np.zeros((2, n_nu, n_slots), of_r.dtype), np.empty(n_slots, of_r.dtype), of_r.dtype.type(1)
    for i in range(len(counts)):
        n, e, de, dde, total = counts[i], geometry[1, i], geometry[2, i], geometry[3, i], of_r[i]
        for k in range(n):
            x[k] = one / geometry[0, i, k]
        for nu in range(n_nu):
            c, inverse, g, b, of_b = shape[0, nu], one / shape[1, nu], gaussian[i, nu], of_s[i, nu], of_of_s[i, nu]
            of_c, of_w = sums[0, nu], sums[1, nu]
            for k in range(n):
                u, p = (x[k] - c) * inverse, inverse * x[k] * x[k]
                up, moved = u * p, along[i, k] * g[k]
                weight = moved * b[k]
                of_b[k] = moved * (e[k] * up + de[k])
                total[k] += weight * (e[k] * (up * up - p * p - (up + up) * x[k]) + (de[k] + de[k]) * up + dde[k])
                of_c[k] += weight * (e[k] * (u * up - p) + de[k] * u) * inverse
                of_w[k] += weight * u * (e[k] * (u * up - p - p) + de[k] * u) * inverse
    for nu in range(n_nu):
        of_shape[0, nu], of_shape[1, nu] = sums[0, nu].sum(), sums[1, nu].sum()
