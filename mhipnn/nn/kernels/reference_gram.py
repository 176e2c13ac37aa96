"""Scalar products of all pairs of channels in PyTorch: what the compiled ones are tested against, and for GPUs."""

from __future__ import annotations

import torch
from torch import Tensor


def gram(X: Tensor, Y: Tensor) -> Tensor:
    """g[i, (a, b)] = sum_m (X[i, m, a] Y[i, m, b] + Y[i, m, a] X[i, m, b]) / 2 for a <= b, row by row of the triangle.

    Args:
        X, Y: (N, components, C).

    Returns:
        (N, C (C + 1) / 2).
    """
    full = X.mT @ Y
    rows, columns = _triangle(X)
    return ((full + full.mT) / 2)[:, rows, columns]


def adjoint(X: Tensor, c: Tensor) -> Tensor:
    """Derivative of sum c g(X, X) by X: sum_b X[i, m, b] (c[i, (a, b)] + c[i, (b, a)]), (N, components, C)."""
    rows, columns = _triangle(X)
    half = X.new_zeros(len(X), X.shape[2], X.shape[2])
    half[:, rows, columns] = c
    return X @ (half + half.mT)


def _triangle(X: Tensor) -> Tensor:
    return torch.triu_indices(X.shape[2], X.shape[2], device=X.device)
