"""Rotation invariants of a pair of spins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .kernels import cpu_spins
from .kernels.choice import on_cpu
from .neighbourhood import Neighbourhood


def legendre(x: Tensor, l_max: int) -> Tensor:
    """P_0(x) ... P_lmax(x) by the recursion (l+1) P_{l+1} = (2l+1) x P_l - l P_{l-1}; (N, K) -> (N, l_max + 1, K)."""
    values = [torch.ones_like(x), x]
    for degree in range(1, l_max):
        values.append(((2 * degree + 1) * x * values[degree] - degree * values[degree - 1]) / (degree + 1))
    return torch.stack(values[: l_max + 1], dim=1)


def legendre_of_neighbours(spins: Tensor, neighbours: Neighbourhood, l_max: int) -> Tensor:
    """P_l(S_i.S_j) of every site with its neighbours, (N, 3) -> (N, l_max + 1, K).

    Differentiable twice. Empty slots hold a finite number that no sum over neighbours may use.
    """
    if l_max == 0:  # no spins in it, and no gradient by them
        return torch.ones_like(neighbours.distance)[:, None]
    if on_cpu(spins):
        return _Legendre.apply(spins, neighbours, l_max + 1)
    return legendre((neighbours.gather(spins) * spins[:, None]).sum(-1), l_max)


def solid_legendre(x: Tensor, square: Tensor, l_max: int) -> Tensor:
    r"""Q_l = |S_i|^l |S_j|^l P_l(cos): (l+1) Q_{l+1} = (2l+1) x Q_l - l y Q_{l-1}; (N, K) -> (N, l_max + 1, K).

    A polynomial in x = S_i.S_j and y = |S_i|^2 |S_j|^2, so smooth where a spin vanishes, and 0 there but for l = 0.

    Args:
        x: S_i.S_j, (N, K).
        square: y, (N, K).
    """
    values = [torch.ones_like(x), x]
    for degree in range(1, l_max):
        values.append(((2 * degree + 1) * x * values[degree] - degree * square * values[degree - 1]) / (degree + 1))
    return torch.stack(values[: l_max + 1], dim=1)


def solid_legendre_of_neighbours(spins: Tensor, neighbours: Neighbourhood, l_max: int) -> Tensor:
    """:func:`solid_legendre` of every site with its neighbours, (N, 3) -> (N, l_max + 1, K).

    For unit spins they are the P_l(S_i.S_j) of :func:`legendre_of_neighbours`, and so are their derivatives along the
    sphere. Empty slots hold a finite number that no sum over neighbours may use.
    """
    if l_max == 0:
        return torch.ones_like(neighbours.distance)[:, None]
    near, own = neighbours.gather(spins), spins[:, None]
    return solid_legendre((near * own).sum(-1), near.square().sum(-1) * own.square().sum(-1), l_max)


class _Legendre(Function):
    @staticmethod
    def forward(ctx: Any, spins: Tensor, neighbours: Neighbourhood, n_l: int) -> Tensor:
        ctx.save_for_backward(spins)
        ctx.neighbours, ctx.by_parameters = neighbours, False
        return cpu_spins.legendre(spins, neighbours.index, neighbours.counts, n_l)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        if ctx.neighbours.fields_only and ctx.by_parameters:
            return None, None, None
        ctx.by_parameters = True
        return _LegendreAdjoint.apply(*ctx.saved_tensors, c, ctx.neighbours), None, None


class _LegendreAdjoint(Function):
    @staticmethod
    def forward(ctx: Any, spins: Tensor, c: Tensor, neighbours: Neighbourhood) -> Tensor:
        ctx.save_for_backward(spins, c)
        ctx.neighbours = neighbours
        return cpu_spins.adjoint(spins, c, neighbours.index, neighbours.counts)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, ...]:
        (spins, c), neighbours = ctx.saved_tensors, ctx.neighbours
        where, for_spins = (neighbours.index, neighbours.counts), not neighbours.fields_only
        return *cpu_spins.second_adjoint(spins, c, along, *where, for_spins), None
