"""A whole message of a layer in blocks of sites: memory bounded by choice, and every temporary stays in the cache."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .kernels import cpu_layer
from .kernels.choice import message_kernels, on_cpu
from .neighbourhood import Neighbourhood


def message_by_blocks(
    sensitivities: Tensor, invariants: Tensor, features: Tensor, weight: Tensor, neighbours: Neighbourhood
) -> Tensor:
    r"""m[i, b] = \sum_k \sum_{nu l a} V[b, (nu, l, a)] s[i, nu, k] P[i, l, k] z[j(i, k), a].

    ``message_sum`` and the product with V, block after block. Nothing of a block is kept: its adjoint starts again from
    s, P and z. First derivatives only, and none for V: this is the form for fields, not for training.

    Args:
        sensitivities: s, (N, n_nu, K).
        invariants: P, (N, n_l, K).
        features: z, (N, F).
        weight: V, (n_out, n_nu n_l F).
        neighbours: with ``block_sites``.

    Returns:
        (N, n_out).
    """
    return _MessageByBlocks.apply(sensitivities, invariants, features, weight.detach(), neighbours)


class _MessageByBlocks(Function):
    @staticmethod
    def forward(ctx: Any, s: Tensor, P: Tensor, z: Tensor, weight: Tensor, neighbours: Neighbourhood) -> Tensor:
        ctx.save_for_backward(s, P, z, weight)
        ctx.neighbours = neighbours
        if on_cpu(z):
            return cpu_layer.message(s, P, z, weight, neighbours.index, neighbours.counts)
        kernels, out = message_kernels(z), z.new_empty(len(s), len(weight))
        for rows in _blocks(neighbours):
            summed = kernels.message_sum(s[rows], P[rows], z, neighbours.index[rows], neighbours.counts[rows])
            torch.mm(summed.flatten(1), weight.t(), out=out[rows])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        s, P, z, weight = ctx.saved_tensors
        neighbours, (for_s, for_P, for_z) = ctx.neighbours, ctx.needs_input_grad[:3]
        of_z = z.new_zeros(z.shape) if for_z else None
        if on_cpu(z):
            where = (neighbours.index, neighbours.counts)
            of_s, of_P = cpu_layer.adjoint(s, P, z, weight, gradient, *where, for_s, for_P, of_z)
            return of_s, of_P, of_z, None, None
        kernels = message_kernels(z)
        of_s, of_P = (torch.empty_like(x) if wanted else None for x, wanted in ((s, for_s), (P, for_P)))
        for rows in _blocks(neighbours):
            c = torch.mm(gradient[rows], weight).view(-1, s.shape[1] * P.shape[1], z.shape[1])
            index, counts = neighbours.index[rows], neighbours.counts[rows]
            block_s, block_P = kernels.adjoint(s[rows], P[rows], z, c, index, counts, for_s, for_P, of_z)
            if of_s is not None:
                of_s[rows] = block_s
            if of_P is not None:
                of_P[rows] = block_P
        return of_s, of_P, of_z, None, None


def _blocks(neighbours: Neighbourhood) -> Iterator[slice]:
    size = neighbours.block_sites or neighbours.n_sites
    return (slice(start, start + size) for start in range(0, neighbours.n_sites, max(size, 1)))
