"""The whole message of a layer on CPUs: the sum over neighbours and its product with V, a few sites at a time.

The sum of a site is n_nu n_l F numbers that are used once: made and multiplied while they are in the cache, and made
again for the adjoint, they cost no memory at any size.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import prange
from torch import Tensor

from .compiled import array, bounds, part, parts_of, shared_out, shares
from .cpu_message import _adjoint, _message_sum, results_for
from .tile import gemm

_GROUP = 16  # sites whose sums lie in the cache together


def message(s: Tensor, P: Tensor, z: Tensor, weight: Tensor, index: Tensor, counts: Tensor) -> Tensor:
    """message_sum(s, P, z) V^T for V (n_out, n_nu n_l F): (N, n_out)."""
    out = s.new_empty(len(s), len(weight))
    message_into(*(array(tensor) for tensor in (s, P, z, weight.t(), index, counts, out)))
    return out


def adjoint(
    s: Tensor, P: Tensor, z: Tensor, weight: Tensor, gradient: Tensor, index: Tensor, counts: Tensor,
    for_s: bool, for_P: bool, of_z: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """Derivatives of sum gradient message by s and P; that by z is added to of_z. As ``cpu_message.adjoint``."""
    (of_s, of_P), results = results_for((s, P), (for_s, for_P))
    arrays = [array(tensor) for tensor in (s, P, z, weight, gradient, index, counts)] + results
    arrays.append(array(s.new_empty(0, 0) if of_z is None else of_z))
    adjoint_into(arrays, for_s, 0 if for_P else P.shape[1], of_z is not None, False)
    return of_s, of_P


def message_into(s, P, z, turned, index, counts, out):  # type: ignore[no-untyped-def]
    """``message`` on arrays, with V^T."""
    _message(s, P, z, turned, index, counts, out, shares(len(s)))


def adjoint_into(arrays: Sequence[np.ndarray], for_s: bool, first_P: int, for_z: bool, add_to_P: bool) -> None:
    """``adjoint`` on arrays: s, P, z, V, gradient, index, counts, and where the derivatives by s, P and z go.

    Those by the invariants from ``first_P`` on are wanted; ``add_to_P`` adds them to what is there.
    """
    *given, of_z = arrays
    n_shares = shares(len(given[0]))
    with parts_of(of_z, n_shares) as parts:
        _layer_adjoint(*given, of_z, parts, for_s, first_P, for_z, add_to_P, n_shares)


@shared_out
def _message(s, P, z, weight, index, counts, out, n_shares):
    n_out, n_sum = out.shape[1], weight.shape[0]
    flat_out, flat_weight = out.reshape(-1), weight.reshape(-1)
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(s))
        sums = np.empty((_GROUP, n_sum // z.shape[1], z.shape[1]), s.dtype)
        flat_sums = sums.reshape(-1)
        for first in range(start, stop, _GROUP):
            last = min(first + _GROUP, stop)
            where = (index[first:last], counts[first:last])
            _message_sum(s[first:last], P[first:last], z, where[0], where[1], sums, False, 0, last - first)
            gemm(
                flat_out, first * n_out, n_out, flat_sums, 0, n_sum, 1, flat_weight, 0, n_out,
                last - first, n_out, n_sum, False,
            )  # fmt: skip


@shared_out
def _layer_adjoint(
    s, P, z, weight, gradient, index, counts, of_s, of_P, of_z, parts, for_s, first_P, for_z, add_to_P, n_shares
):  # fmt: skip
    n_out, n_sum = weight.shape
    flat_gradient, flat_weight = gradient.reshape(-1), weight.reshape(-1)
    for share in prange(n_shares):
        start, stop = bounds(share, n_shares, len(s))
        into = part(of_z, parts, share)
        c = np.empty((_GROUP, n_sum // z.shape[1], z.shape[1]), s.dtype)
        flat_c = c.reshape(-1)
        for first in range(start, stop, _GROUP):
            last = min(first + _GROUP, stop)
            gemm(
                flat_c, 0, n_sum, flat_gradient, first * n_out, n_out, 1, flat_weight, 0, n_sum,
                last - first, n_sum, n_out, False,
            )  # fmt: skip
            _adjoint(
                s[first:last], P[first:last], z, c, index[first:last], counts[first:last],
                of_s[first:last], of_P[first:last], into, for_s, first_P, for_z, add_to_P, 0, last - first,
            )  # fmt: skip
