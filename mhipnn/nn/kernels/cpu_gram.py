"""Scalar products of all pairs of channels of a site on CPUs, compiled by numba."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from .compiled import array, kernel


def gram(X: Tensor, Y: Tensor) -> Tensor:
    """See ``reference_gram.gram``."""
    n_channels = X.shape[2]
    out = X.new_empty(len(X), n_channels * (n_channels + 1) // 2)
    _gram(array(X), array(Y), X is Y, array(out))
    return out


def adjoint(X: Tensor, c: Tensor) -> Tensor:
    """See ``reference_gram.adjoint``."""
    out = X.new_empty(X.shape)
    _adjoint(array(X), array(c), array(out))
    return out


@kernel
def _gram(X, Y, same, out):
    n_components, n_channels = np.uint64(X.shape[1]), np.uint64(X.shape[2])
    total = np.empty((X.shape[2], X.shape[2]), X.dtype)
    factor = X.dtype.type(1 if same else 0.5)
    for i in range(len(X)):
        total[:] = 0
        for m in range(n_components):
            for a in range(n_channels):
                x, y = factor * X[i, m, a], factor * Y[i, m, a]
                if same:
                    for b in range(n_channels):
                        total[a, b] += x * X[i, m, b]
                else:
                    for b in range(n_channels):
                        total[a, b] += x * Y[i, m, b] + y * X[i, m, b]
        at = np.uint64(0)
        for a in range(n_channels):
            for b in range(a, n_channels):
                out[i, at + b - a] = total[a, b]
            at += n_channels - a


@kernel
def _adjoint(X, c, out):
    n_components, n_channels = np.uint64(X.shape[1]), np.uint64(X.shape[2])
    weight = np.empty((X.shape[2], X.shape[2]), X.dtype)  # symmetric, twice c on the diagonal
    for i in range(len(X)):
        at = np.uint64(0)
        for a in range(n_channels):
            for b in range(a, n_channels):
                weight[a, b] = c[i, at + b - a]
                weight[b, a] = c[i, at + b - a]
            weight[a, a] *= 2
            at += n_channels - a
        for m in range(n_components):
            for b in range(n_channels):
                out[i, m, b] = 0
            for a in range(n_channels):
                x = X[i, m, a]
                for b in range(n_channels):
                    out[i, m, b] += x * weight[a, b]
