"""Scalar products of all pairs of channels of a site on CPUs, compiled by numba."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .compiled import array, kernel
from .tile import gemm


def gram(X: Tensor, Y: Tensor) -> Tensor:
    """See ``reference_gram.gram``."""
    n_channels = X.shape[2]
    out = X.new_empty(len(X), n_channels * (n_channels + 1) // 2)
    _gram(array(X), array(Y), array(out))
    return out


def adjoint(X: Tensor, c: Tensor) -> Tensor:
    """See ``reference_gram.adjoint``."""
    out = X.new_empty(X.shape)
    _adjoint(array(X), array(c), array(out))
    return out


@kernel
def _gram(X, Y, out):
    n_components, n_channels = X.shape[1], X.shape[2]
    full = np.empty((n_channels, n_channels), X.dtype)
    flat_X, flat_Y, flat, half = X.reshape(-1), Y.reshape(-1), full.reshape(-1), X.dtype.type(0.5)
    for i in range(len(X)):
        at = i * n_components * n_channels
        gemm(flat, 0, n_channels, flat_X, at, 1, n_channels, flat_Y, at, n_channels, n_channels, n_channels,
             n_components, False)  # fmt: skip
        place = np.uint64(0)
        for a in range(np.uint64(n_channels)):
            for b in range(a, np.uint64(n_channels)):
                out[i, place] = half * (full[a, b] + full[b, a])
                place += np.uint64(1)


@kernel
def _adjoint(X, c, out):
    n_components, n_channels = X.shape[1], X.shape[2]
    weight = np.empty((n_channels, n_channels), X.dtype)  # symmetric, twice c on the diagonal
    flat_X, flat_weight, flat_out = X.reshape(-1), weight.reshape(-1), out.reshape(-1)
    for i in range(len(X)):
        place = np.uint64(0)
        for a in range(np.uint64(n_channels)):
            for b in range(a, np.uint64(n_channels)):
                weight[a, b] = c[i, place]
                weight[b, a] = c[i, place]
                place += np.uint64(1)
            weight[a, a] *= 2
        at = i * n_components * n_channels
        gemm(flat_out, at, n_channels, flat_X, at, n_channels, 1, flat_weight, 0, n_channels, n_components, n_channels,
             n_channels, False)  # fmt: skip
