"""Rotation invariants of a pair of spins."""

from __future__ import annotations

import torch
from torch import Tensor


def legendre(x: Tensor, l_max: int) -> Tensor:
    """P_0(x) ... P_lmax(x) by the recursion (l+1) P_{l+1} = (2l+1) x P_l - l P_{l-1}; (...) -> (..., l_max + 1)."""
    values = [torch.ones_like(x), x]
    for degree in range(1, l_max):
        values.append(((2 * degree + 1) * x * values[degree] - degree * values[degree - 1]) / (degree + 1))
    return torch.stack(values[: l_max + 1], dim=-1)


def neighbour_dots(spins: Tensor, neighbour_spins: Tensor) -> Tensor:
    """S_i.S_j of every site with its neighbours: (N, 3), (N, K, 3) -> (N, K)."""
    return (neighbour_spins * spins[:, None]).sum(-1)
