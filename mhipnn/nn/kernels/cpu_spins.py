"""Legendre polynomials of S_i.S_j and their derivatives on CPUs, compiled by numba."""

from __future__ import annotations

import numpy as np
import torch
from numba import prange
from torch import Tensor

from .compiled import array, bounds, kernel, part, parts_of, shared_out, shares


def legendre(spins: Tensor, index: Tensor, counts: Tensor, n_l: int) -> Tensor:
    """P_l(S_i.S_j) of the filled slots, 0 in the empty ones: (N, 3) -> (N, n_l, K)."""
    out = spins.new_zeros(len(spins), n_l, index.shape[1])
    legendre_into(*(array(tensor) for tensor in (spins, index, counts, out)))
    return out


def adjoint(spins: Tensor, c: Tensor, index: Tensor, counts: Tensor) -> Tensor:
    """Derivative of sum c[i, l, k] P_l(S_i.S_j(i, k)) by the spins, (N, 3)."""
    total = torch.zeros_like(spins)
    adjoint_into(*(array(tensor) for tensor in (spins, c, index, counts, total)))
    return total


def second_adjoint(
    spins: Tensor, c: Tensor, along: Tensor, index: Tensor, counts: Tensor, for_spins: bool
) -> tuple[Tensor | None, Tensor]:
    """Derivatives of sum_i along_i . adjoint(spins, c)_i by the spins (N, 3), if wanted, and by c (N, n_l, K)."""
    of_spins, of_c = torch.zeros_like(spins), torch.zeros_like(c, memory_format=torch.contiguous_format)
    _second_adjoint(*(array(tensor) for tensor in (spins, c, along, index, counts, of_c, of_spins)), for_spins)
    return of_spins if for_spins else None, of_c


def legendre_into(spins, index, counts, out):  # type: ignore[no-untyped-def]
    """``legendre`` on arrays; the empty slots of ``out`` stay as they are."""
    _legendre(spins, index, counts, out, shares(len(counts)))


def adjoint_into(spins, c, index, counts, of_spins):  # type: ignore[no-untyped-def]
    """``adjoint`` on arrays, added to ``of_spins``."""
    n_shares = shares(len(counts))
    with parts_of(of_spins, n_shares) as parts:
        _adjoint(spins, c, index, counts, of_spins, parts, n_shares)


@shared_out
def _legendre(spins, index, counts, out, n_shares):
    n_l = out.shape[1]
    raise_x, lower = _recursion(n_l, spins.dtype)
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(counts))
        x = np.empty(index.shape[1], spins.dtype)
        for i in range(start, stop):
            n = counts[i]
            _dots(spins, spins, index, i, n, x)
            for k in range(n):
                out[i, 0, k] = 1
            if n_l > 1:
                out[i, 1, :n] = x[:n]
            for degree in range(1, n_l - 1):
                up, down = raise_x[degree], lower[degree]
                for k in range(n):
                    out[i, degree + 1, k] = up * x[k] * out[i, degree, k] - down * out[i, degree - 1, k]


@shared_out
def _adjoint(spins, c, index, counts, of_spins, parts, n_shares):
    n_slots, n_l = index.shape[1], c.shape[1]
    recursion = _recursion(n_l + 1, spins.dtype)
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(counts))
        into = part(of_spins, parts, share)
        x, slope = np.empty(n_slots, spins.dtype), np.empty(n_slots, spins.dtype)
        P = np.empty((3, n_l + 1, n_slots), spins.dtype)
        first = P[1]
        for i in range(start, stop):
            n = counts[i]
            _dots(spins, spins, index, i, n, x)
            _derivatives(x, n, P, 2, recursion)
            _weigh(c, i, n, first, slope)
            _send(into, slope, spins, index, i, n)


@kernel
def _second_adjoint(spins, c, along, index, counts, of_c, of_spins, for_spins):
    n_slots, n_l = index.shape[1], c.shape[1]
    x, slope, curvature = np.empty((3, n_slots), spins.dtype)
    y, other = np.empty(n_slots, spins.dtype), np.empty(n_slots, spins.dtype)
    P = np.empty((3, n_l + 1, n_slots), spins.dtype)
    first, second, recursion = P[1], P[2], _recursion(n_l + 1, spins.dtype)
    for i in range(len(counts)):
        n = counts[i]
        _dots(spins, spins, index, i, n, x)
        _dots(along, spins, index, i, n, y)
        _dots(spins, along, index, i, n, other)
        _derivatives(x, n, P, 3 if for_spins else 2, recursion)
        for k in range(n):
            y[k] += other[k]  # the change of x along the direction
        if for_spins:
            _weigh(c, i, n, first, slope)
            _weigh(c, i, n, second, curvature)
            for k in range(n):
                curvature[k] *= y[k]
            _send(of_spins, curvature, spins, index, i, n)
            _send(of_spins, slope, along, index, i, n)
        for degree in range(n_l):
            for k in range(n):
                of_c[i, degree, k] = first[degree, k] * y[k]


@kernel
def _dots(a, b, index, i, n, out):
    """a_i . b_j of the n neighbours j of site i."""
    x, y, z = a[i, 0], a[i, 1], a[i, 2]
    for k in range(n):
        j = np.uint64(index[i, k])  # unsigned: numba then does not look for negative indices
        out[k] = x * b[j, 0] + y * b[j, 1] + z * b[j, 2]


@kernel
def _send(total, weights, vectors, index, i, n):
    """total_i += sum_k weights_k vectors_j and total_j += weights_k vectors_i: the derivative of sum_k w_k a_i.a_j.

    A site that is its own neighbour gets both."""
    x, y, z = vectors[i, 0], vectors[i, 1], vectors[i, 2]
    of_x, of_y, of_z = total.dtype.type(0), total.dtype.type(0), total.dtype.type(0)
    for k in range(n):
        j, w = np.uint64(index[i, k]), weights[k]
        of_x += w * vectors[j, 0]
        of_y += w * vectors[j, 1]
        of_z += w * vectors[j, 2]
        total[j, 0] += w * x
        total[j, 1] += w * y
        total[j, 2] += w * z
    total[i, 0] += of_x
    total[i, 1] += of_y
    total[i, 2] += of_z


@kernel
def _derivatives(x, n, P, orders, recursion):
    """P_l, P_l' (and P_l'' if orders = 3): P_{l+1}' = P_{l-1}' + (2l+1) P_l, and the same once more."""
    n_l, (raise_x, lower) = P.shape[1], recursion
    for k in range(n):
        P[0, 0, k], P[1, 0, k], P[2, 0, k] = 1, 0, 0
        P[0, 1, k], P[1, 1, k], P[2, 1, k] = x[k], 1, 0
    for degree in range(1, n_l - 1):
        odd = x.dtype.type(2 * degree + 1)  # an integer would make the arithmetic float64
        for k in range(n):
            P[0, degree + 1, k] = raise_x[degree] * x[k] * P[0, degree, k] - lower[degree] * P[0, degree - 1, k]
        for order in range(1, orders):
            for k in range(n):
                P[order, degree + 1, k] = P[order, degree - 1, k] + odd * P[order - 1, degree, k]


@kernel
def _weigh(c, i, n, derivative, out):
    """sum_l c_l P_l' of site i, or of another derivative."""
    out[:n] = 0
    for degree in range(1, c.shape[1]):
        for k in range(n):
            out[k] += c[i, degree, k] * derivative[degree, k]


@kernel
def _recursion(n_l, dtype):
    """Coefficients of P_{l+1} = raise_l x P_l - lower_l P_{l-1}, in the precision of the spins."""
    raise_x, lower = np.empty(n_l, dtype), np.empty(n_l, dtype)
    for degree in range(n_l):
        raise_x[degree], lower[degree] = (2 * degree + 1) / (degree + 1), degree / (degree + 1)
    return raise_x, lower
