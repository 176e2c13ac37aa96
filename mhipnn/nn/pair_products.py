r"""All scalar products of two channels of a site's tensors, to second derivatives.

With g(X, Y)[a, b] = \sum_m (X_{ma} Y_{mb} + Y_{ma} X_{mb}) / 2 the products are g(X, X); their adjoint is linear in X
and in the cotangents c, and the derivatives of the adjoint are a product and an adjoint again.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from .kernels.choice import gram_kernels


def pair_products(X: Tensor) -> Tensor:
    """X[i, :, a] . X[i, :, b] for a <= b, differentiable twice: (N, components, C) -> (N, C (C + 1) / 2)."""
    return _Products.apply(X)


class _Products(Function):
    @staticmethod
    def forward(ctx: Any, X: Tensor) -> Tensor:
        ctx.save_for_backward(X)
        return gram_kernels(X).gram(X, X)

    @staticmethod
    def backward(ctx: Any, c: Tensor) -> Tensor:
        return _Adjoint.apply(*ctx.saved_tensors, c)


class _Adjoint(Function):
    @staticmethod
    def forward(ctx: Any, X: Tensor, c: Tensor) -> Tensor:
        ctx.save_for_backward(X, c)
        return gram_kernels(X).adjoint(X, c)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, along: Tensor) -> tuple[Tensor | None, Tensor | None]:
        (X, c), kernels = ctx.saved_tensors, gram_kernels(along)
        for_X, for_c = ctx.needs_input_grad
        return kernels.adjoint(along, c) if for_X else None, 2 * kernels.gram(X, along) if for_c else None
