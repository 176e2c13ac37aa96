"""Angular functions of a direction, orthogonal and normalised so that their products are Legendre polynomials."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MAX_RANK = 3


def harmonics(u: Tensor, rank: int) -> list[Tensor]:
    r"""Y_1(u) ... Y_rank(u), real, with \sum_m Y_lm(u) Y_lm(v) = P_l(u.v); (..., 3) -> (..., 2 l + 1) each.

    Args:
        u: unit vectors, or zero, of which all are zero.
        rank: 0 .. 3.
    """
    x, y, z = u.unbind(-1)
    square = u.square().sum(-1)  # 1, or 0 where there is no direction
    values = [u]
    if rank > 1:
        values.append(traceless(u))
    if rank > 2:
        a, b, c = math.sqrt(5 / 8), math.sqrt(15), math.sqrt(3 / 8)
        axial = 5 * z * z - square
        parts = [
            a * y * (3 * x * x - y * y),
            b * x * y * z,
            c * y * axial,
            z * (5 * z * z - 3 * square) / 2,
            c * x * axial,
            b / 2 * z * (x * x - y * y),
            a * x * (x * x - 3 * y * y),
        ]
        values.append(torch.stack(parts, -1))
    return values[:rank]


def traceless(v: Tensor) -> Tensor:
    """sqrt(3/2) (v v - |v|^2 / 3) in an orthonormal basis, which is Y_2 for unit vectors; (..., 3) -> (..., 5)."""
    x, y, z = v.unbind(-1)
    root = math.sqrt(3)
    parts = [root * x * y, root * y * z, root * z * x, root / 2 * (x * x - y * y), z * z - (x * x + y * y) / 2]
    return torch.stack(parts, -1)
