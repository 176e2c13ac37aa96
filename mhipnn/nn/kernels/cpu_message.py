"""The message sum and its adjoint on CPUs: one pass over the sites, all temporaries of a site in the first cache.

Compiled by numba for the CPU at hand. Sites are shared out over as many threads as torch uses.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from torch import Tensor

from .compiled import array, bounds, kernel, shares
from .tile import copy, gemm, hadamard


def message_sum(s: Tensor, P: Tensor, z: Tensor, index: Tensor, counts: Tensor) -> Tensor:
    """See ``reference.message_sum``."""
    out = s.new_empty(len(s), s.shape[1] * P.shape[1], z.shape[1])
    arrays = [array(tensor) for tensor in (s, P, z, index, counts, out)]
    n_shares = shares(len(s))
    if n_shares == 1:
        _message_sum(*arrays, 0, len(s))
    else:
        _message_sum_in_shares(*arrays, n_shares)
    return out


def adjoint(
    s: Tensor, P: Tensor, z: Tensor, c: Tensor, index: Tensor, counts: Tensor,
    for_s: bool, for_P: bool, of_z: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """See ``reference.adjoint``.

    Every share of the sites adds to a part of its own of ``of_z``, and parts are added in the order of the shares: with
    the same number of threads the result is the same to the bit.
    """
    of_s, of_P = (x.new_empty(x.shape) if wanted else None for x, wanted in ((s, for_s), (P, for_P)))
    n_shares = shares(len(s))
    arrays = [array(tensor) for tensor in (s, P, z, c, index, counts)]
    arrays += [np.empty((0, 0, 0), arrays[0].dtype) if result is None else array(result) for result in (of_s, of_P)]
    wanted = (for_s, for_P, of_z is not None)
    if n_shares == 1:
        _adjoint(*arrays, np.empty((0, 0), arrays[0].dtype) if of_z is None else array(of_z), *wanted, 0, len(s))
        return of_s, of_P
    parts = s.new_zeros(n_shares, *(of_z.shape if of_z is not None else (0, 0)))
    _adjoint_in_shares(*arrays, array(parts), *wanted, n_shares)
    if of_z is not None:
        of_z += parts.sum(0)
    return of_s, of_P


@kernel(parallel=True)
def _message_sum_in_shares(s, P, z, index, counts, out, n_shares):
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(s))
        _message_sum(s, P, z, index, counts, out, start, stop)


@kernel(parallel=True)
def _adjoint_in_shares(s, P, z, c, index, counts, of_s, of_P, parts, for_s, for_P, for_z, n_shares):
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(s))
        _adjoint(s, P, z, c, index, counts, of_s, of_P, parts[share], for_s, for_P, for_z, start, stop)


@kernel
def _message_sum(s, P, z, index, counts, out, start, stop):
    n_nu, n_slots, n_l, n_features = s.shape[1], s.shape[2], P.shape[1], z.shape[1]
    rows = n_nu * n_l
    weights, near = np.empty(rows * n_slots, s.dtype), np.empty(n_slots * n_features, s.dtype)
    flat_s, flat_P, flat_z, flat_out = s.reshape(-1), P.reshape(-1), z.reshape(-1), out.reshape(-1)
    for i in range(start, stop):
        n = counts[i]
        _join(weights, flat_s, flat_P, i, n_nu, n_l, n_slots, n)
        for k in range(n):
            copy(near, k * n_features, flat_z, index[i, k] * n_features, n_features, False)
        at = i * rows * n_features
        gemm(flat_out, at, n_features, weights, 0, n_slots, 1, near, 0, n_features, rows, n_features, n, False)


@kernel
def _adjoint(s, P, z, c, index, counts, of_s, of_P, of_z, for_s, for_P, for_z, start, stop):
    n_nu, n_slots, n_l, n_features = s.shape[1], s.shape[2], P.shape[1], z.shape[1]
    rows = n_nu * n_l
    weights, products = np.empty(rows * n_slots, s.dtype), np.empty(rows * n_slots, s.dtype)
    near, slots = np.empty(n_features * n_slots, s.dtype), np.empty(n_slots * n_features, s.dtype)
    # Unsigned, so that numba does not look for negative indices in the innermost loop.
    places, width, pitch = np.empty(n_slots, np.uint64), np.uint64(n_features), np.uint64(n_slots)
    flat_s, flat_P, flat_z, flat_c = s.reshape(-1), P.reshape(-1), z.reshape(-1), c.reshape(-1)
    flat_of_s, flat_of_P, flat_of_z = of_s.reshape(-1), of_P.reshape(-1), of_z.reshape(-1)
    for i in range(start, stop):
        n = counts[i]
        at_s, at_P, at_c = i * n_nu * n_slots, i * n_l * n_slots, i * rows * n_features
        if for_s or for_P:
            for k in range(n):
                places[k] = np.uint64(index[i, k]) * width
            for a in range(width):
                for k in range(np.uint64(n)):
                    near[a * pitch + k] = flat_z[places[k] + a]
            gemm(products, 0, n_slots, flat_c, at_c, n_features, 1, near, 0, n_slots, rows, n, n_features, False)
        if for_s:
            for nu in range(n_nu):
                q, at = nu * n_l * n_slots, at_s + nu * n_slots
                hadamard(flat_of_s, at, products, q, n_slots, flat_P, at_P, n_slots, n, n_l, False)
                flat_of_s[at + n : at + n_slots] = 0
        if for_P:
            for degree in range(n_l):
                q, at = degree * n_slots, at_P + degree * n_slots
                hadamard(flat_of_P, at, products, q, n_l * n_slots, flat_s, at_s, n_slots, n, n_nu, False)
                flat_of_P[at + n : at + n_slots] = 0
        if for_z:
            _join(weights, flat_s, flat_P, i, n_nu, n_l, n_slots, n)
            gemm(slots, 0, n_features, weights, 0, 1, n_slots, flat_c, at_c, n_features, n, n_features, rows, False)
            for k in range(n):
                copy(flat_of_z, index[i, k] * n_features, slots, k * n_features, n_features, True)


@kernel
def _join(weights, s, P, i, n_nu, n_l, n_slots, n):
    """weights[(nu, l), k] = s[i, nu, k] P[i, l, k] for the n filled slots of site i."""
    for nu in range(n_nu):
        for degree in range(n_l):
            at, at_s, at_P = (nu * n_l + degree) * n_slots, (i * n_nu + nu) * n_slots, (i * n_l + degree) * n_slots
            hadamard(weights, at, s, at_s, 0, P, at_P, 0, n, 1, False)
