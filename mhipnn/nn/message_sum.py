r"""The message sum for autograd, to second derivatives.

With sensitivities s[i, nu, k], spin invariants P[i, l, k], features z[j, a] and cotangents c[i, (nu, l), a] there is
one form that is linear in each of the four,

.. math:: T = \sum_{i \nu l k a} s_{i \nu k} \, P_{i l k} \, z_{j(i,k) a} \, c_{i \nu l a}.

The message sum is its derivative by c, the adjoint those by s, P and z, and the derivatives of the adjoint are message
sums and adjoints again: two kernels do it all, and no array over slots, sensitivities and features is ever formed.

The channel sum is the same with R[i, k, c] for s, angular functions Y[i, m, k] for P and w[j, (q, c)] for z,

.. math:: T = \sum_{i k m q c} R_{i k c} \, Y_{i m k} \, w_{j(i,k) q c} \, c_{i m q c}.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .kernels.choice import channel_kernels, message_kernels
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
    return _MessageSum.apply(sensitivities, invariants, features, neighbours, message_kernels(features))


def channel_sum(radial: Tensor, angular: Tensor, sent: Tensor, neighbours: Neighbourhood) -> Tensor:
    """M[i, m, (q, c)] = sum_k Y[i, m, k] R[i, k, c] w[j(i, k), (q, c)], differentiable twice.

    Every channel c has a radial function of its own; the components q of what is sent share it.

    Args:
        radial: R, (N, K, C).
        angular: Y, (N, n_m, K); functions of the geometry, not of spins.
        sent: w, (N, Q C).
        neighbours: which site j(i, k) sits in slot k of site i; empty slots must hold finite numbers.

    Returns:
        (N, n_m, Q C).
    """
    return _MessageSum.apply(radial, angular, sent, neighbours, channel_kernels(sent))


class _MessageSum(Function):
    @staticmethod
    def forward(ctx: Any, s: Tensor, P: Tensor, z: Tensor, neighbours: Neighbourhood, kernels: ModuleType) -> Tensor:
        ctx.save_for_backward(s, P, z)
        ctx.neighbours, ctx.kernels, ctx.by_parameters = neighbours, kernels, False
        return kernels.message_sum(s, P, z, neighbours.index, neighbours.counts)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> tuple[Tensor | None, ...]:
        for_s, for_P, for_z = ctx.needs_input_grad[:3]
        if ctx.neighbours.fields_only:  # first comes the pass by spins, then that by parameters
            for_s, for_P = for_s and ctx.by_parameters, for_P and not ctx.by_parameters
            ctx.by_parameters = True
        wanted = (for_s, for_P, for_z)
        return *_Adjoint.apply(*ctx.saved_tensors, c, ctx.neighbours, ctx.kernels, wanted), None, None


class _Adjoint(Function):
    """The derivatives of T by s, P and z, each where it is wanted."""

    @staticmethod
    def forward(
        ctx: Any, s: Tensor, P: Tensor, z: Tensor, c: Tensor,
        neighbours: Neighbourhood, kernels: ModuleType, wanted: Sequence[bool],
    ) -> tuple[Tensor | None, ...]:  # fmt: skip
        ctx.save_for_backward(s, P, z, c)
        ctx.neighbours, ctx.kernels = neighbours, kernels
        ctx.set_materialize_grads(False)
        of_z = z.new_zeros(z.shape) if wanted[2] else None
        of_s, of_P = kernels.adjoint(s, P, z, c, neighbours.index, neighbours.counts, wanted[0], wanted[1], of_z)
        return of_s, of_P, of_z

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *along: Tensor | None) -> tuple[Tensor | None, ...]:
        """With along = (s', P', z'): the derivatives of T(s', P, z, c) + T(s, P', z, c) + T(s, P, z', c)."""
        s, P, z, c = ctx.saved_tensors
        for_s, for_P, for_z, for_c = ctx.needs_input_grad[:4]
        for_P = for_P and not ctx.neighbours.fields_only
        kernels, where = ctx.kernels, (ctx.neighbours.index, ctx.neighbours.counts)
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
        return total_s, total_P, of_z, total_c, None, None, None


def _plus(total: Tensor | None, term: Tensor | None) -> Tensor | None:
    if total is None or term is None:
        return total if term is None else term
    return total.add_(term)
