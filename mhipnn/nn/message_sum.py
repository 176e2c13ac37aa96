r"""The message sum for autograd, to second derivatives.

With sensitivities s[i, nu, k], spin invariants P[i, l, k], features z[j, a] and cotangents c[i, (nu, l), a] there is
one form that is linear in each of the four,

.. math:: T = \sum_{i \nu l k a} s_{i \nu k} \, P_{i l k} \, z_{j(i,k) a} \, c_{i \nu l a}.

The message sum is its derivative by c, the adjoint those by s, P and z, and the derivatives of the adjoint are message
sums and adjoints again: two kernels do it all, and no array over slots, sensitivities and features is ever formed.
Vector messages take the components of S_j in the place of P.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .kernels.choice import message_kernels
from .neighbourhood import Neighbourhood


def message_sum(sensitivities: Tensor, invariants: Tensor, features: Tensor, neighbours: Neighbourhood) -> Tensor:
    """m[i, (nu, l), a] = sum_k s[i, nu, k] P[i, l, k] z[j(i, k), a], differentiable twice.

    Args:
        sensitivities: s, (N, n_nu, K).
        invariants: P, (N, n_l, K).
        features: z, (N, F).
        neighbours: which site j(i, k) sits in slot k of site i; empty slots do not count, whatever s and P hold.

    Returns:
        (N, n_nu n_l, F).
    """
    return _MessageSum.apply(sensitivities, invariants, features, neighbours)


class _MessageSum(Function):
    @staticmethod
    def forward(ctx: Any, s: Tensor, P: Tensor, z: Tensor, neighbours: Neighbourhood) -> Tensor:
        ctx.save_for_backward(s, P, z)
        ctx.neighbours, ctx.by_parameters = neighbours, False
        return message_kernels(z).message_sum(s, P, z, neighbours.index, neighbours.counts)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        for_s, for_P, for_z = ctx.needs_input_grad[:3]
        if ctx.neighbours.fields_only:  # first comes the pass by spins, then that by parameters
            for_s, for_P = for_s and ctx.by_parameters, for_P and not ctx.by_parameters
            ctx.by_parameters = True
        return *_Adjoint.apply(*ctx.saved_tensors, c, ctx.neighbours, (for_s, for_P, for_z)), None


class _Adjoint(Function):
    """The derivatives of T by s, P and z, each where it is wanted."""

    @staticmethod
    def forward(
        ctx: Any, s: Tensor, P: Tensor, z: Tensor, c: Tensor, neighbours: Neighbourhood, wanted: Sequence[bool]
    ) -> tuple[Tensor | None, ...]:
        ctx.save_for_backward(s, P, z, c)
        ctx.neighbours = neighbours
        ctx.set_materialize_grads(False)
        of_z = z.new_zeros(z.shape) if wanted[2] else None
        adjoint = message_kernels(z).adjoint
        of_s, of_P = adjoint(s, P, z, c, neighbours.index, neighbours.counts, wanted[0], wanted[1], of_z)
        return of_s, of_P, of_z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:
        """With along = (s', P', z'): the derivatives of T(s', P, z, c) + T(s, P', z, c) + T(s, P, z', c)."""
        s, P, z, c = ctx.saved_tensors
        for_s, for_P, for_z, for_c = ctx.needs_input_grad[:4]
        for_P = for_P and not ctx.neighbours.fields_only
        kernels, where = message_kernels(z), (ctx.neighbours.index, ctx.neighbours.counts)
        of_z = z.new_zeros(z.shape) if for_z else None
        total_s = total_P = total_c = None
        for place, direction in enumerate(along):
            if direction is None:
                continue
            turned = [s, P, z]
            turned[place] = direction
            wanted = (for_s and place != 0, for_P and place != 1, of_z if place != 2 else None)
            if any(item is not None and item is not False for item in wanted):
                of_s, of_P = kernels.adjoint(*turned, c, *where, *wanted)
                total_s, total_P = _plus(total_s, of_s), _plus(total_P, of_P)
            if for_c:
                total_c = kernels.message_sum(*turned, *where, into=total_c)
        return total_s, total_P, of_z, total_c, None, None


def _plus(total: Tensor | None, term: Tensor | None) -> Tensor | None:
    if total is None or term is None:
        return total if term is None else term
    return total.add_(term)
