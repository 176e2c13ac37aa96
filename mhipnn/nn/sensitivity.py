"""Sensitivity functions: how strongly a site listens to a neighbour at distance r."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ConfigError


class Sensitivity(nn.Module):
    r"""Gaussians in inverse distance with a smooth cutoff,

    .. math:: s_\nu(r) = \exp[-(1/r - 1/\mu_\nu)^2 / (2 \sigma_\nu^2)] \cos^2(\pi r / 2 r_{cut}),

    zero beyond r_cut. The centres 1/mu_nu start evenly spaced between 1/r_cut and 1/r_inner, the widths sigma_nu at
    that spacing; both are learned.

    Args:
        n_sensitivities: number of functions.
        cutoff: r_cut, length.
        r_inner: the innermost centre, about the closest approach of two sites, length.

    Source: Lubbers, Smith, Barros, J. Chem. Phys. 148, 241715 (2018), eqs. 10-12.
    """

    def __init__(self, n_sensitivities: int, cutoff: float, r_inner: float = 0.75) -> None:
        super().__init__()
        if n_sensitivities < 1 or not 0 < r_inner < cutoff:
            raise ConfigError(
                f"sensitivities: need n_sensitivities >= 1 and 0 < r_inner < cutoff, got "
                f"n_sensitivities={n_sensitivities}, r_inner={r_inner}, cutoff={cutoff}"
            )
        self.cutoff = float(cutoff)
        centres = torch.linspace(1 / cutoff, 1 / r_inner, n_sensitivities)
        spacing = (1 / r_inner - 1 / cutoff) / max(n_sensitivities - 1, 1)
        self.inverse_centre = nn.Parameter(centres)
        self.width = nn.Parameter(torch.full((n_sensitivities,), spacing))

    def forward(self, distance: Tensor) -> Tensor:
        """(...) distances -> (..., n_sensitivities)."""
        gaussian = torch.exp(-0.5 * ((1 / distance[..., None] - self.inverse_centre) / self.width) ** 2)
        inside = (distance < self.cutoff).to(distance.dtype)
        envelope = torch.cos(0.5 * torch.pi / self.cutoff * distance) ** 2 * inside
        return gaussian * envelope[..., None]
