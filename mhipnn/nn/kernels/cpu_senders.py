"""What sites send in layers with tensors, on CPUs: w_j = (V z_j + b) T_j for every sender, and its adjoint.

A sender is an order of a bond with a kind of tensor T: 1, the spin, its traceless tensor. A row of the plan is
(order, kind, first component in T, components, place in w, place in M, place among the products); places are those of a
site. ``C`` is the number of channels of a sender.
"""

from __future__ import annotations

from math import sqrt

import numpy as np

from .compiled import in_threads, kernel, ranges
from .tile import dot, gemm, outer

ORDER, KIND, FIRST, COMPONENTS, AT_W, AT_M, AT_PRODUCTS = range(7)
_GROUP = 32  # sites whose weights are made together


def send(z, T, H, V, b, B, plan, weights, w):  # type: ignore[no-untyped-def]
    """w (N, components x C of all senders), and the ``weights`` (N, senders x C) that the adjoint wants.

    z (N, F); T (N, 4 or 9); the hidden vectors H (N, 3, h), h = 0 for none; V (F, senders x C), b; B (orders, h, C).
    """
    given = (z, T, H, V, b, B, plan, weights, w)
    in_threads(_send, [(*given, *sites) for sites in ranges(len(T))])


def adjoint(of_w, weights, T, V, B, plan, of_T, of_z, of_H):  # type: ignore[no-untyped-def]
    """Derivatives of sum of_w w, added to those by T, z and H that are there; V (senders x C, F), B (orders, C, h).

    ``of_z`` may have no rows: not wanted.
    """
    given = (of_w, weights, T, V, B, plan, of_T, of_z, of_H)
    in_threads(_adjoint, [(*given, *sites) for sites in ranges(len(T))])


@kernel
def tensors_of_spins(spins, T):
    """T (N, 4 or 9) of spins (N, 3), after its first column of ones: ``SpinTensors.of``."""
    root = T.dtype.type(sqrt(3))
    half = T.dtype.type(0.5)
    for i in range(len(spins)):
        x, y, z = spins[i]
        T[i, 1], T[i, 2], T[i, 3] = x, y, z
        if T.shape[1] > 4:
            T[i, 4], T[i, 5], T[i, 6] = root * x * y, root * y * z, root * z * x
            T[i, 7], T[i, 8] = half * root * (x * x - y * y), z * z - half * (x * x + y * y)


@kernel
def adjoint_of_spins(spins, of_T, of_spins):
    """Derivative of sum of_T T by the spins, added to ``of_spins``."""
    root = of_T.dtype.type(sqrt(3))
    for i in range(len(spins)):
        c = of_T[i]
        for q in range(3):
            of_spins[i, q] += c[1 + q]
        if len(c) > 4:
            x, y, z = spins[i]
            of_spins[i, 0] += root * (c[4] * y + c[6] * z + c[7] * x) - c[8] * x
            of_spins[i, 1] += root * (c[4] * x + c[5] * z - c[7] * y) - c[8] * y
            of_spins[i, 2] += root * (c[5] * y + c[6] * x) + (c[8] + c[8]) * z


@kernel
def _send(z, T, H, V, b, B, plan, weights, w, start, stop):
    (n_in, n_weights), n_hidden, C, width = V.shape, H.shape[2], V.shape[1] // len(plan), w.shape[1]
    flat_z, flat_T, flat_H, flat_V, flat_B = z.reshape(-1), T.reshape(-1), H.reshape(-1), V.reshape(-1), B.reshape(-1)
    flat_weights, flat_w, one = weights.reshape(-1), w.reshape(-1), np.ones(1, w.dtype)
    for first in range(start, stop, _GROUP):
        rows, at = min(_GROUP, stop - first), first * n_weights
        gemm(flat_weights, at, n_weights, one, 0, 0, 0, b, 0, n_weights, rows, n_weights, 1, False)
        gemm(flat_weights, at, n_weights, flat_z, first * n_in, n_in, 1, flat_V, 0, n_weights, rows, n_weights, n_in,
             True)  # fmt: skip
        for i in range(first, first + rows):
            for s in range(len(plan)):
                at_w, at_T = i * width + plan[s, AT_W], i * T.shape[1] + plan[s, FIRST]
                outer(flat_w, at_w, flat_T, at_T, 1, plan[s, COMPONENTS], flat_weights, i * n_weights + s * C, C)
                if n_hidden and plan[s, KIND] == 1:
                    at_B = plan[s, ORDER] * n_hidden * C
                    gemm(flat_w, at_w, C, flat_H, i * 3 * n_hidden, n_hidden, 1, flat_B, at_B, C, 3, C, n_hidden, True)


@kernel
def _adjoint(of_w, weights, T, V, B, plan, of_T, of_z, of_H, start, stop):
    (n_weights, n_in), n_hidden, C, width = V.shape, of_H.shape[2], V.shape[0] // len(plan), of_w.shape[1]
    flat_of_w, flat_weights, flat_T, flat_of_T = of_w.reshape(-1), weights.reshape(-1), T.reshape(-1), of_T.reshape(-1)
    flat_V, flat_B, flat_of_z, flat_of_H = V.reshape(-1), B.reshape(-1), of_z.reshape(-1), of_H.reshape(-1)
    of_weights = np.empty(_GROUP * n_weights, of_w.dtype)
    for first in range(start, stop, _GROUP):
        rows = min(_GROUP, stop - first)
        for i in range(first, first + rows):
            for s in range(len(plan)):
                at_w, at_T, n = i * width + plan[s, AT_W], i * T.shape[1] + plan[s, FIRST], plan[s, COMPONENTS]
                gemm(of_weights, (i - first) * n_weights + s * C, 0, flat_T, at_T, 0, 1, flat_of_w, at_w, C, 1, C, n,
                     False)  # fmt: skip
                for q in range(n if plan[s, KIND] else 0):
                    flat_of_T[at_T + q] += dot(flat_of_w, at_w + q * C, flat_weights, i * n_weights + s * C, C)
                if n_hidden and plan[s, KIND] == 1:
                    at_H, at_B = i * 3 * n_hidden, plan[s, ORDER] * n_hidden * C
                    gemm(flat_of_H, at_H, n_hidden, flat_of_w, at_w, C, 1, flat_B, at_B, n_hidden, 3, n_hidden, C,
                         True)  # fmt: skip
        if len(of_z):
            gemm(flat_of_z, first * n_in, n_in, of_weights, 0, n_weights, 1, flat_V, 0, n_in, rows, n_in, n_weights,
                 True)  # fmt: skip
