"""Sensitivity functions: how strongly a site listens to a neighbour at distance r."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..errors import ConfigError
from .kernels import cpu_sensitivity
from .kernels.choice import on_cpu
from .kernels.compiled import empty
from .neighbourhood import Neighbourhood


class Sensitivity(nn.Module):
    r"""Gaussians in inverse distance with a smooth cutoff,

    .. math:: s_\nu(r) = \exp[-(1/r - 1/\mu_\nu)^2 / (2 \sigma_\nu^2)] \cos^2(\pi r / 2 r_{cut}),

    zero beyond r_cut. The centres 1/mu_nu start evenly spaced between 1/r_cut and 1/r_inner, the widths sigma_nu at
    that spacing; both are learned.

    Args:
        n_sensitivities: number of functions.
        cutoff: r_cut, length.
        r_inner: the innermost centre, about the closest approach of two sites, length.
        n_sets: sets of so many functions, all alike before training, one set after the other.

    Source: Lubbers, Smith, Barros, J. Chem. Phys. 148, 241715 (2018), eqs. 10-12.
    """

    def __init__(self, n_sensitivities: int, cutoff: float, r_inner: float = 0.75, n_sets: int = 1) -> None:
        super().__init__()
        if n_sensitivities < 1 or not 0 < r_inner < cutoff:
            raise ConfigError(
                f"sensitivities: need n_sensitivities >= 1 and 0 < r_inner < cutoff, got "
                f"n_sensitivities={n_sensitivities}, r_inner={r_inner}, cutoff={cutoff}"
            )
        self.cutoff = float(cutoff)
        centres = torch.linspace(1 / cutoff, 1 / r_inner, n_sensitivities)
        spacing = (1 / r_inner - 1 / cutoff) / max(n_sensitivities - 1, 1)
        self.inverse_centre = nn.Parameter(centres.repeat(n_sets))
        self.width = nn.Parameter(torch.full((n_sets * n_sensitivities,), spacing))

    def forward(self, neighbours: Neighbourhood) -> Tensor:
        """s_nu(r_ij) of every slot, (N, n_sets n_nu, K); empty slots hold what no sum over neighbours may use."""
        distance, shape = neighbours.distance, torch.stack([self.inverse_centre, self.width])
        if on_cpu(distance):
            return _Sensitivity.apply(distance, shape, neighbours.counts, self.cutoff)
        return _gaussian(distance, shape) * _envelope(distance, self.cutoff)[1][:, None]


def _gaussian(distance: Tensor, shape: Tensor) -> Tensor:
    """(N, K), (2, n_nu) -> (N, n_nu, K)."""
    centre, width = shape[:, :, None]
    exponent = -0.5 * ((1 / distance[:, None] - centre) / width) ** 2
    return torch.exp(exponent.clamp(min=-60))  # 1e-26 is nothing; subnormal numbers would slow every product


def _envelope(distance: Tensor, cutoff: float) -> Tensor:
    """r, e = cos^2(pi r / 2 r_cut), e' and e'', the last three zero beyond the cutoff; (N, K) -> (4, N, K)."""
    half = 0.5 * torch.pi / cutoff
    inside = (distance < cutoff).to(distance.dtype)
    cosine, sine = torch.cos(half * distance) * inside, torch.sin(half * distance) * inside
    e = cosine**2
    return torch.stack([distance, e, -2 * half * sine * cosine, 2 * half**2 * (sine**2 - e)])


class _Sensitivity(Function):
    """Gaussian times envelope; twice differentiable in the distances, once in the parameters."""

    @staticmethod
    def forward(ctx: Any, distance: Tensor, shape: Tensor, counts: Tensor, cutoff: float) -> Tensor:
        gaussian, geometry = cpu_sensitivity.exponent(distance, shape, counts).exp_(), _envelope(distance, cutoff)
        ctx.save_for_backward(distance, shape, gaussian, geometry, counts)
        return torch.mul(gaussian, geometry[1][:, None], out=empty(gaussian.shape, gaussian))

    @staticmethod
    def backward(ctx: Any, of_s: Tensor) -> tuple[Tensor | None, ...]:
        return *_SensitivityAdjoint.apply(*ctx.saved_tensors, of_s), None, None


class _SensitivityAdjoint(Function):
    @staticmethod
    def forward(
        ctx: Any, distance: Tensor, shape: Tensor, gaussian: Tensor, geometry: Tensor, counts: Tensor, of_s: Tensor
    ) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(gaussian, geometry, shape, counts, of_s)
        ctx.set_materialize_grads(False)
        return cpu_sensitivity.adjoint(gaussian, geometry, shape, counts, of_s)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, along: Tensor | None, along_shape: Tensor | None) -> tuple[Tensor | None, ...]:
        if along_shape is not None:
            raise RuntimeError("sensitivities: no second derivatives by their parameters")
        if along is None:
            return (None,) * 6
        gaussian, geometry, shape, counts, of_s = ctx.saved_tensors
        of_r, of_shape, of_of_s = cpu_sensitivity.second_adjoint(gaussian, geometry, shape, counts, of_s, along)
        return of_r, of_shape, None, None, None, of_of_s
