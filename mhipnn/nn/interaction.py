"""The layers that carry features from site to site and refine them on a site."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .neighbourhood import Neighbourhood


def message_sum(weights: Tensor, features: Tensor) -> Tensor:
    """sum_k weights[i, k, m] features[i, k, a]: (N, K, M), (N, K, F) -> (N, M, F), without an (N, K, M, F) array."""
    return torch.bmm(weights.transpose(1, 2), features)


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

    def forward(self, features: Tensor, weights: Tensor, neighbours: Neighbourhood) -> Tensor:
        """features (N, n_in), weights (N, K, n_weights) = s_nu P_l -> (N, n_out)."""
        summed = message_sum(weights, neighbours.gather(features))
        return self.activation(self.message(summed.flatten(1)) + self.self_interaction(features))


class OnSite(nn.Module):
    """Residual refinement of a site's own features, z <- z + W2 f(W1 z + b1) + b2; (N, F) -> (N, F)."""

    def __init__(self, n_features: int, activation: nn.Module) -> None:
        super().__init__()
        self.expand = nn.Linear(n_features, n_features)
        self.project = nn.Linear(n_features, n_features)
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        return features + self.project(self.activation(self.expand(features)))
