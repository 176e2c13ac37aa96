"""The layers that carry features from site to site and refine them on a site."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .neighbourhood import Neighbourhood


def message_sum(sensitivities: Tensor, polynomials: Tensor, features: Tensor) -> Tensor:
    """The sum over neighbours of sensitivity x spin invariant x feature, for every combination of the three.

    m[i, nu, l, a] = sum_k s[i, k, nu] P[i, k, l] z[i, k, a], without an array over slots and all three indices: the
    polynomials join whichever of the other two is smaller.

    Args:
        sensitivities: (N, K, n_nu), zero in empty slots.
        polynomials: (N, K, n_l).
        features: (N, K, F), of the neighbours.

    Returns:
        (N, n_nu * n_l * F).
    """
    n_sites, _, n_nu = sensitivities.shape
    n_l, n_features = polynomials.shape[-1], features.shape[-1]
    if n_features < n_nu:
        joined = torch.einsum("ikl,ika->ikla", polynomials, features).flatten(2)
        return torch.bmm(sensitivities.transpose(1, 2), joined).flatten(1)
    joined = torch.einsum("ikn,ikl->iknl", sensitivities, polynomials).flatten(2)
    return torch.bmm(joined.transpose(1, 2), features).reshape(n_sites, n_nu * n_l * n_features)


class Interaction(nn.Module):
    r"""Spin-correlation message and self-interaction,

    .. math:: z_i[b] \leftarrow f\Big( \sum_j \sum_{\nu l} s_\nu(r_{ij}) P_l(S_i \cdot S_j) V[\nu, l, b, a] z_j[a]
              + \sum_a W[b, a] z_i[a] + b_b \Big).

    Args:
        n_in, n_out: number of features before and after.
        n_weights: number of (nu, l) pairs.
        activation: f.
    """

    def __init__(self, n_in: int, n_out: int, n_weights: int, activation: nn.Module) -> None:
        super().__init__()
        self.message = nn.Linear(n_weights * n_in, n_out, bias=False)
        self.self_interaction = nn.Linear(n_in, n_out)
        self.activation = activation

    def forward(
        self, features: Tensor, sensitivities: Tensor, polynomials: Tensor, neighbours: Neighbourhood
    ) -> Tensor:
        """features (N, n_in), s_nu (N, K, n_nu), P_l (N, K, n_l) -> (N, n_out)."""
        summed = message_sum(sensitivities, polynomials, neighbours.gather(features))
        return self.activation(self.message(summed) + self.self_interaction(features))


class OnSite(nn.Module):
    """Residual refinement of a site's own features, z <- z + W2 f(W1 z + b1) + b2; (N, F) -> (N, F)."""

    def __init__(self, n_features: int, activation: nn.Module) -> None:
        super().__init__()
        self.expand = nn.Linear(n_features, n_features)
        self.project = nn.Linear(n_features, n_features)
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        return features + self.project(self.activation(self.expand(features)))
