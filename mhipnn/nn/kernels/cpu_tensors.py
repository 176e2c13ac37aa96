"""Tensor messages of a layer on CPUs: their sum over neighbours, products and what these add to the message of a site.

A site's tensors go through all of it while they lie in the first cache. For senders, the plan and C see
``cpu_senders``; M_i holds for every sender its tensor (2 l + 1, components, C). Products of channels are taken of whole
matrices, with weights that are symmetric: no triangle is ever packed.
"""

from __future__ import annotations

import numpy as np

from .compiled import in_threads, kernel, parts_of, ranges
from .cpu_senders import AT_M, AT_PRODUCTS, AT_W, COMPONENTS, FIRST, KIND, ORDER
from .rows import scaled_rows
from .tile import dot, gemm, hadamard

_GROUP = 16  # sites whose products are weighed together


def tensors_into(R, Y, w, T, H, index, counts, plan, spans, weight, M, message):  # type: ignore[no-untyped-def]
    """Channel sums into ``M``, and what their products give added to the ``message`` (N, n_out).

    R (N, K, orders x C); Y (N, (rank + 1)^2, K); w, T, H, plan: ``cpu_senders.send``; spans (orders, 3): place in w,
    components and place of the products with the own spin of every order; weight (products, n_out).
    """
    given = (R, Y, w, T, H, index, counts, plan, spans, weight, M, message)
    in_threads(_tensors, [(*given, *sites) for sites in ranges(len(R))])


def adjoint(R, Y, M, T, H, index, counts, plan, spans, doubled, gradient, of_M, of_w, of_T, of_H):  # type: ignore[no-untyped-def]
    """Derivatives of sum gradient message by w, T and H, added to what is there; ``doubled``: (n_out, 2 x products).

    ``of_M``: derivatives by M of anything else (hidden vectors), or no rows.
    """
    given, sites = (R, Y, M, T, H, index, counts, plan, spans, doubled, gradient, of_M), ranges(len(R))
    with parts_of(of_w, len(sites)) as parts:
        shares = zip([of_w, *parts], sites, strict=True)
        in_threads(_adjoint, [(*given, into, of_T, of_H, *rows) for into, rows in shares])


@kernel
def _tensors(R, Y, w, T, H, index, counts, plan, spans, weight, M, message, start, stop):
    n_products, n_out = weight.shape
    (n_slots, C), kinds = (R.shape[1], R.shape[2] // len(spans)), plan[-1, KIND] + 1
    near, n_zero = np.empty(n_slots * w.shape[1], w.dtype), C + (H.shape[2] + 1 if H.shape[2] else 0)
    at_zero, own = np.empty(3 * n_zero, w.dtype), np.empty(kinds * C * Y.shape[1], w.dtype)
    products = np.empty(_GROUP * n_products, w.dtype)
    flat_M, flat_T, flat_weight, flat_message = M.reshape(-1), T.reshape(-1), weight.reshape(-1), message.reshape(-1)
    for first in range(start, stop, _GROUP):
        rows = min(_GROUP, stop - first)
        for i in range(first, first + rows):
            at, at_T, to = i * M.shape[1], i * T.shape[1], (i - first) * n_products
            _sum_of_neighbours(flat_M, at, R, Y, w, index, i, counts[i], plan, spans, near, C)
            _own(own, flat_M, at, flat_T, at_T, plan, kinds, C)
            _at_zero(at_zero, flat_M, at, H, flat_T, at_T, i, C, n_zero)
            gemm(products, to, n_zero, at_zero, 0, 1, n_zero, at_zero, 0, n_zero, n_zero, n_zero, 3, False)
            for s in range(1, len(plan)):
                if plan[s, KIND]:
                    n, here = (2 * plan[s, ORDER] + 1) * plan[s, COMPONENTS], at + plan[s, AT_M]
                    gemm(products, to + plan[s, AT_PRODUCTS], C, flat_M, here, 1, C, flat_M, here, C, C, C, n, False)
            for order in range(1, len(spans)):
                n, here = kinds * C, kinds * C * (order * order - 1)
                gemm(products, to + spans[order, 2], n, own, here, 1, n, own, here, n, n, n, 2 * order + 1, False)
        gemm(flat_message, first * n_out, n_out, products, 0, n_products, 1, flat_weight, 0, n_out, rows, n_out,
             n_products, True)  # fmt: skip


@kernel
def _sum_of_neighbours(M, at, R, Y, w, index, i, n, plan, spans, near, C):
    """M of site i: near[k] = R[k] w_j for all senders, then the sum with Y for each of them."""
    n_slots, width, flat_R, flat_Y, flat_w = R.shape[1], w.shape[1], R.reshape(-1), Y.reshape(-1), w.reshape(-1)
    for k in range(n):
        at_R, at_w = (i * n_slots + k) * R.shape[2], index[i, k] * width
        for order in range(len(spans)):
            place = spans[order, 0]
            scaled_rows(near, k * width + place, flat_R, at_R + order * C, flat_w, at_w + place, spans[order, 1], C,
                        False)  # fmt: skip
    for s in range(len(plan)):
        order, columns = plan[s, ORDER], plan[s, COMPONENTS] * C
        gemm(M, at + plan[s, AT_M], columns, flat_Y, (i * Y.shape[1] + order * order) * n_slots, n_slots, 1,
             near, plan[s, AT_W], width, 2 * order + 1, columns, n, False)  # fmt: skip


@kernel
def _own(own, M, at, T, at_T, plan, kinds, C):
    """own[m, (kind, c)] = sum_q T_q M[m, q, c] of every order > 0, one order after the other."""
    for s in range(len(plan)):
        order, n = plan[s, ORDER], plan[s, COMPONENTS]
        for m in range(2 * order + 1 if order else 0):
            to, given = ((order * order - 1 + m) * kinds + plan[s, KIND]) * C, at + plan[s, AT_M] + m * n * C
            gemm(own, to, 0, T, at_T + plan[s, FIRST], 0, 1, M, given, C, 1, C, n, False)


@kernel
def _at_zero(out, M, at, H, T, at_T, i, C, n_zero):
    """The spin vectors of order 0 with the hidden ones and the spin: (3, C + h + 1), or (3, C)."""
    for q in range(3):
        for c in range(C):
            out[q * n_zero + c] = M[at + q * C + c]
        if n_zero > C:
            for h in range(H.shape[2]):
                out[q * n_zero + C + h] = H[i, q, h]
            out[q * n_zero + n_zero - 1] = T[at_T + 1 + q]


@kernel
def _adjoint(
    R, Y, M, T, H, index, counts, plan, spans, doubled, gradient, given_M, of_w, of_T, of_H, start, stop
):  # fmt: skip
    n_out, n_products = doubled.shape
    (n_slots, C), kinds, n_T = (R.shape[1], R.shape[2] // len(spans)), plan[-1, KIND] + 1, T.shape[1]
    n_zero = C + (H.shape[2] + 1 if H.shape[2] else 0)
    at_zero, of_zero = np.empty(3 * n_zero, M.dtype), np.empty(3 * n_zero, M.dtype)
    own, of_own = np.empty(kinds * C * Y.shape[1], M.dtype), np.empty(kinds * C * Y.shape[1], M.dtype)
    of_M, by_T, ones = np.empty(M.shape[1], M.dtype), np.empty(n_T * C, M.dtype), np.ones(C, M.dtype)
    of_products, listened = np.empty(_GROUP * n_products, M.dtype), np.empty(n_slots * of_w.shape[1], M.dtype)
    flat_M, flat_T = M.reshape(-1), T.reshape(-1)
    flat_doubled, flat_gradient = doubled.reshape(-1), gradient.reshape(-1)
    for first in range(start, stop, _GROUP):
        rows = min(_GROUP, stop - first)
        gemm(of_products, 0, n_products, flat_gradient, first * n_out, n_out, 1, flat_doubled, 0, n_products, rows,
             n_products, n_out, False)  # fmt: skip
        for i in range(first, first + rows):
            at, at_T, c = i * M.shape[1], i * n_T, (i - first) * n_products
            _own(own, flat_M, at, flat_T, at_T, plan, kinds, C)
            _at_zero(at_zero, flat_M, at, H, flat_T, at_T, i, C, n_zero)
            gemm(of_zero, 0, n_zero, at_zero, 0, n_zero, 1, of_products, c, n_zero, 3, n_zero, n_zero, False)
            _of_at_zero(of_zero, of_M, of_H, of_T, i, C, n_zero)
            for order in range(1, len(spans)):
                n, here = kinds * C, kinds * C * (order * order - 1)
                gemm(of_own, here, n, own, here, n, 1, of_products, c + spans[order, 2], n, 2 * order + 1, n, n, False)
            by_T[:] = 0
            for s in range(1, len(plan)):
                order, kind, n, to = plan[s, ORDER], plan[s, KIND], plan[s, COMPONENTS], plan[s, AT_M]
                if kind:
                    gemm(of_M, to, C, flat_M, at + to, C, 1, of_products, c + plan[s, AT_PRODUCTS], C,
                         (2 * order + 1) * n, C, C, False)  # fmt: skip
                from_own = (kinds * (order * order - 1) + kind) * C
                for m in range(2 * order + 1 if order else 0):
                    gemm(of_M, to + m * n * C, C, flat_T, at_T + plan[s, FIRST], 1, 0, of_own, from_own + m * kinds * C,
                         0, n, C, 1, kind > 0)  # fmt: skip
                for q in range(n if order and kind else 0):
                    hadamard(by_T, (plan[s, FIRST] + q) * C, flat_M, at + to + q * C, n * C, of_own, from_own,
                             kinds * C, C, 2 * order + 1, True)  # fmt: skip
            for q in range(1, n_T):
                of_T[i, q] += dot(by_T, q * C, ones, 0, C)
            if len(given_M):
                of_M += given_M[i]
            _to_neighbours(of_w, of_M, R, Y, index, i, counts[i], plan, spans, listened, C)


@kernel
def _of_at_zero(of_zero, of_M, of_H, of_T, i, C, n_zero):
    for q in range(3):
        for c in range(C):
            of_M[q * C + c] = of_zero[q * n_zero + c]
        if n_zero > C:
            for h in range(of_H.shape[2]):
                of_H[i, q, h] += of_zero[q * n_zero + C + h]
            of_T[i, 1 + q] += of_zero[q * n_zero + n_zero - 1]


@kernel
def _to_neighbours(of_w, of_M, R, Y, index, i, n, plan, spans, listened, C):
    """of_w_j += R sum_m Y_m of_M[m] for the neighbours of site i."""
    (n_slots, width), flat_of_w = (R.shape[1], of_w.shape[1]), of_w.reshape(-1)
    flat_R, flat_Y = R.reshape(-1), Y.reshape(-1)
    for s in range(len(plan)):
        order, columns = plan[s, ORDER], plan[s, COMPONENTS] * C
        gemm(listened, plan[s, AT_W], width, flat_Y, (i * Y.shape[1] + order * order) * n_slots, 1, n_slots,
             of_M, plan[s, AT_M], columns, n, columns, 2 * order + 1, False)  # fmt: skip
    for k in range(n):
        at_R, at_w = (i * n_slots + k) * R.shape[2], index[i, k] * width
        for order in range(len(spans)):
            place = spans[order, 0]
            scaled_rows(flat_of_w, at_w + place, flat_R, at_R + order * C, listened, k * width + place,
                        spans[order, 1], C, True)  # fmt: skip
