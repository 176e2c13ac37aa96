"""The message sum and its adjoint on CPUs: one pass over the sites, all temporaries of a site in the first cache.

Compiled by numba for the CPU at hand. Sites are shared out over as many threads as torch uses.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import prange
from torch import Tensor

from .compiled import array, bounds, kernel, part, parts_of, shared_out, shares
from .tile import combine, dot, gemm, hadamard, outer, prefetch

_FEW = 4  # features: so narrow that vectors of them do not pay


def message_sum(s: Tensor, P: Tensor, z: Tensor, index: Tensor, counts: Tensor, into: Tensor | None = None) -> Tensor:
    """See ``reference.message_sum``."""
    out = s.new_empty(len(s), s.shape[1] * P.shape[1], z.shape[1]) if into is None else into
    arrays = [array(tensor) for tensor in (s, P, z, index, counts, out)]
    _message_sum_in_shares(*arrays, into is not None, shares(len(s)))
    return out


def adjoint(
    s: Tensor, P: Tensor, z: Tensor, c: Tensor, index: Tensor, counts: Tensor,
    for_s: bool, for_P: bool, of_z: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """See ``reference.adjoint``. With the same number of threads the result is the same to the bit."""
    (of_s, of_P), results = results_for((s, P), (for_s, for_P))
    arrays = [array(tensor) for tensor in (s, P, z, c, index, counts)] + results
    wanted = (for_s, 0 if for_P else P.shape[1], of_z is not None)
    into = np.empty((0, 0), arrays[0].dtype) if of_z is None else array(of_z)
    n_shares = shares(len(s))
    with parts_of(into, n_shares) as parts:
        _adjoint_in_shares(*arrays, into, parts, *wanted, n_shares)
    return of_s, of_P


def results_for(tensors: Sequence[Tensor], wanted: Sequence[bool]) -> tuple[list[Tensor | None], list[np.ndarray]]:
    """An uninitialised derivative by each tensor, or None, and the arrays that kernels take for them."""
    results = [x.new_empty(x.shape) if want else None for x, want in zip(tensors, wanted, strict=True)]
    nothing = np.empty((0, 0, 0), array(tensors[0]).dtype)
    return results, [nothing if result is None else array(result) for result in results]


@shared_out
def _message_sum_in_shares(s, P, z, index, counts, out, accumulate, n_shares):
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(s))
        _message_sum(s, P, z, index, counts, out, accumulate, start, stop)


@shared_out
def _adjoint_in_shares(s, P, z, c, index, counts, of_s, of_P, of_z, parts, for_s, first_P, for_z, n_shares):
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(s))
        into = part(of_z, parts, share)
        _adjoint(s, P, z, c, index, counts, of_s, of_P, into, for_s, first_P, for_z, False, start, stop)


@kernel
def _message_sum(s, P, z, index, counts, out, accumulate, start, stop):
    n_nu, n_slots, n_l, n_features = s.shape[1], s.shape[2], P.shape[1], z.shape[1]
    columns = n_l * n_features
    near = np.empty(n_slots * columns, s.dtype)  # P[l, k] z[j(i, k), a] in rows k
    flat_s, flat_P, flat_z, flat_out = s.reshape(-1), P.reshape(-1), z.reshape(-1), out.reshape(-1)
    places = np.empty(n_slots, np.uint64)
    for i in range(start, stop):
        n, at_s, at_P = counts[i], i * n_nu * n_slots, i * n_l * n_slots
        if i + 1 < len(s):
            prefetch(flat_s, at_s + n_nu * n_slots, n_nu * n_slots)
        _find(places, index, i, n, n_features)
        if n_features < _FEW:
            _near_of_few_features(near, flat_P, at_P, flat_z, places, n, n_slots, n_l, n_features)
        else:
            for k in range(n):
                outer(near, k * columns, flat_P, at_P + k, n_slots, n_l, flat_z, places[k], n_features)
        at = i * n_nu * columns
        gemm(flat_out, at, columns, flat_s, at_s, n_slots, 1, near, 0, columns, n_nu, columns, n, accumulate)


@kernel
def _near_of_few_features(near, P, at_P, z, places, n, n_slots, n_l, n_features):
    for degree in range(np.uint64(n_l)):
        for a in range(np.uint64(n_features)):
            at = degree * np.uint64(n_features) + a
            for k in range(np.uint64(n)):
                factor = P[np.uint64(at_P) + degree * np.uint64(n_slots) + k]
                near[k * np.uint64(n_l * n_features) + at] = factor * z[places[k] + a]


@kernel
def _find(places, index, i, n, n_features):
    """Where the features of the neighbours of site i lie. Unsigned: numba then does not look for negative indices."""
    for k in range(n):
        places[k] = np.uint64(index[i, k]) * np.uint64(n_features)


@kernel
def _adjoint(s, P, z, c, index, counts, of_s, of_P, of_z, for_s, first_P, for_z, add_to_P, start, stop):
    n_nu, n_slots, n_l, n_features = s.shape[1], s.shape[2], P.shape[1], z.shape[1]
    columns, for_P, narrow = n_l * n_features, first_P < n_l, n_features < _FEW
    products, near = np.empty(n_nu * n_l * n_slots, s.dtype), np.empty(n_features * n_slots, s.dtype)
    listened = np.empty(n_slots * columns, s.dtype)
    places, width, pitch = np.empty(n_slots, np.uint64), np.uint64(n_features), np.uint64(n_slots)
    flat_s, flat_P, flat_z, flat_c = s.reshape(-1), P.reshape(-1), z.reshape(-1), c.reshape(-1)
    flat_of_s, flat_of_P, flat_of_z = of_s.reshape(-1), of_P.reshape(-1), of_z.reshape(-1)
    for i in range(start, stop):
        n = counts[i]
        at_s, at_P, at_c = i * n_nu * n_slots, i * n_l * n_slots, i * n_nu * columns
        if i + 1 < len(s):
            prefetch(flat_s, at_s + n_nu * n_slots, n_nu * n_slots)
        _find(places, index, i, n, n_features)
        if for_s:  # products[(nu, l), k] = sum_a c z, then a sum over l
            for a in range(width):
                for k in range(np.uint64(n)):
                    near[a * pitch + k] = flat_z[places[k] + a]
            rows = n_nu * n_l
            gemm(products, 0, n_slots, flat_c, at_c, n_features, 1, near, 0, n_slots, rows, n, n_features, False)
            for nu in range(n_nu):
                q, at = nu * n_l * n_slots, at_s + nu * n_slots
                hadamard(flat_of_s, at, products, q, n_slots, flat_P, at_P, n_slots, n, n_l, False)
                flat_of_s[at + n : at + n_slots] = 0
        if for_P and not add_to_P:
            of_P[i] = 0
        if for_P and narrow:
            _of_few_features(
                flat_of_P, at_P, flat_s, at_s, flat_z, places, flat_c, at_c,
                n, n_slots, n_nu, n_l, n_features, first_P, near,
            )  # fmt: skip
        if for_z or (for_P and not narrow):  # listened[k, (l, a)] = sum_nu s c serves both
            gemm(listened, 0, columns, flat_s, at_s, 1, n_slots, flat_c, at_c, columns, n, columns, n_nu, False)
        if for_P and not narrow:
            for degree in range(first_P, n_l):
                for k in range(n):
                    at = k * columns + degree * n_features
                    of_P[i, degree, k] += dot(listened, at, flat_z, places[k], n_features)
        if for_z:
            for k in range(n):
                combine(
                    flat_of_z, places[k], flat_z, 0, flat_P, at_P + k, n_slots, n_l,
                    listened, k * columns, n_features, n_features, False,
                )  # fmt: skip


@kernel
def _of_few_features(of_P, at_P, s, at_s, z, places, c, at_c, n, n_slots, n_nu, n_l, n_features, first_P, near):
    """of_P[i, l, k] += sum_a z[j(i, k), a] sum_nu c[(nu, l), a] s[nu, k], with the slots in the vectors."""
    for a in range(n_features):
        for k in range(np.uint64(n)):
            near[k] = z[places[k] + np.uint64(a)]
        for degree in range(first_P, n_l):
            combine(
                of_P, at_P + degree * n_slots, near, 0, c, at_c + degree * n_features + a, n_l * n_features, n_nu,
                s, at_s, n_slots, n, True,
            )  # fmt: skip
