"""The channel sum and its adjoint on CPUs: one pass over the sites, all temporaries of a site in the first cache.

Compiled by numba for the CPU at hand. Sites are shared out over as many threads as torch uses.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from torch import Tensor

from .compiled import array, bounds, kernel, part, parts_of, shared_out, shares
from .cpu_message import results_for
from .rows import scaled_rows
from .tile import dot, gemm, hadamard


def message_sum(R: Tensor, Y: Tensor, w: Tensor, index: Tensor, counts: Tensor, into: Tensor | None = None) -> Tensor:
    """See ``reference_channels.message_sum``."""
    out = w.new_empty(len(R), Y.shape[1], w.shape[1]) if into is None else into
    arrays = [array(tensor) for tensor in (R, Y, w, index, counts, out)]
    _channel_sum(*arrays, into is not None, shares(len(R)))
    return out


def adjoint(
    R: Tensor, Y: Tensor, w: Tensor, c: Tensor, index: Tensor, counts: Tensor,
    for_R: bool, for_Y: bool, of_w: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """See ``reference_channels.adjoint``. With the same number of threads the result is the same to the bit."""
    (of_R, of_Y), results = results_for((R, Y), (for_R, for_Y))
    arrays = [array(tensor) for tensor in (R, Y, w, c, index, counts)] + results
    into = np.empty((0, 0), arrays[0].dtype) if of_w is None else array(of_w)
    n_shares = shares(len(R))
    with parts_of(into, n_shares) as parts:
        _adjoint(*arrays, into, parts, for_R, for_Y, of_w is not None, n_shares)
    return of_R, of_Y


@shared_out
def _channel_sum(R, Y, w, index, counts, out, accumulate, n_shares):
    n_slots, n_channels, n_angular, columns = R.shape[1], R.shape[2], Y.shape[1], w.shape[1]
    flat_R, flat_Y, flat_w, flat_out = R.reshape(-1), Y.reshape(-1), w.reshape(-1), out.reshape(-1)
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(R))
        near = np.empty(n_slots * columns, R.dtype)
        for i in range(start, stop):
            n = counts[i]
            _near(near, flat_R, i * n_slots * n_channels, flat_w, index, i, n, n_channels, columns)
            at_out, at_Y = i * n_angular * columns, i * n_angular * n_slots
            gemm(
                flat_out, at_out, columns, flat_Y, at_Y, n_slots, 1, near, 0, columns, n_angular, columns, n, accumulate
            )


@kernel
def _near(near, R, at_R, w, index, i, n, n_channels, columns):
    """near[k, (q, c)] = R[k, c] w[j(i, k), (q, c)]."""
    for k in range(n):
        at_w, n_rows = index[i, k] * columns, columns // n_channels
        scaled_rows(near, k * columns, R, at_R + k * n_channels, w, at_w, n_rows, n_channels, False)


@kernel
def _add(out, out_at, a, a_at, n):
    to, given = np.uint64(out_at), np.uint64(a_at)
    for p in range(np.uint64(n)):
        out[to + p] += a[given + p]


@shared_out
def _adjoint(R, Y, w, c, index, counts, of_R, of_Y, of_w, parts, for_R, for_Y, for_w, n_shares):
    n_slots, n_channels, n_angular, columns = R.shape[1], R.shape[2], Y.shape[1], w.shape[1]
    n_rows = columns // n_channels
    flat_R, flat_Y, flat_w, flat_c = R.reshape(-1), Y.reshape(-1), w.reshape(-1), c.reshape(-1)
    flat_of_R = of_R.reshape(-1)
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(R))
        near, listened = np.empty(n_slots * columns, R.dtype), np.empty(n_slots * columns, R.dtype)
        flat_of_w = part(of_w, parts, share).reshape(-1)
        for i in range(start, stop):
            n, at_R, at_Y, at_c = counts[i], i * n_slots * n_channels, i * n_angular * n_slots, i * n_angular * columns
            if for_Y:
                _near(near, flat_R, at_R, flat_w, index, i, n, n_channels, columns)
                of_Y[i, :, n:] = 0
                for m in range(n_angular):
                    for k in range(n):
                        of_Y[i, m, k] = dot(flat_c, at_c + m * columns, near, k * columns, columns)
            if not (for_R or for_w):
                continue
            # listened[k, (q, c)] = sum_m Y[m, k] c[m, (q, c)] serves both
            gemm(listened, 0, columns, flat_Y, at_Y, 1, n_slots, flat_c, at_c, columns, n, columns, n_angular, False)
            for k in range(n):
                at, at_w, heard = at_R + k * n_channels, index[i, k] * columns, k * columns
                if for_R:
                    hadamard(
                        flat_of_R, at, flat_w, at_w, n_channels, listened, heard, n_channels, n_channels, n_rows, False
                    )
                if for_w:
                    scaled_rows(near, heard, flat_R, at, listened, heard, n_rows, n_channels, False)
            if for_R:
                of_R[i, n:] = 0
            if for_w:  # in a loop of its own: what was just stored in narrow vectors is slow to load in wide ones
                for k in range(n):
                    _add(flat_of_w, index[i, k] * columns, near, k * columns, columns)
