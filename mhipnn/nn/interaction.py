"""The layers that carry features from site to site and refine them on a site."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from .message_blocks import message_by_blocks
from .message_sum import message_sum
from .neighbourhood import Neighbourhood


class Interaction(nn.Module):
    r"""Spin-correlation message and self-interaction,

    .. math:: z_i[b] \leftarrow f\Big( \sum_j \sum_{\nu l} s_\nu(r_{ij}) P_l(S_i \cdot S_j) V[\nu, l, b, a] z_j[a]
              + \sum_a W[b, a] z_i[a] + b_b \Big).

    Args:
        n_in, n_out: number of features before and after.
        n_weights: number of (nu, l) pairs.
        activation: f.
        separate: whether every order l has sensitivities of its own, s_{l nu}, one order after the other.
    """

    def __init__(self, n_in: int, n_out: int, n_weights: int, activation: nn.Module, separate: bool = False) -> None:
        super().__init__()
        self.separate = separate
        self.message = nn.Linear(n_weights * n_in, n_out, bias=False)
        self.self_interaction = nn.Linear(n_in, n_out)
        self.activation = activation

    def forward(
        self, features: Tensor, sensitivities: Tensor, polynomials: Tensor, neighbours: Neighbourhood
    ) -> Tensor:
        """features (N, n_in), s_nu (N, n_nu, K) or s_{l nu} (N, n_l n_nu, K), P_l (N, n_l, K) -> (N, n_out)."""
        message = self._message(features, sensitivities, polynomials, neighbours)
        return self.activation(message + self.self_interaction(features))

    def _message(self, features: Tensor, s: Tensor, P: Tensor, neighbours: Neighbourhood) -> Tensor:
        if not self.separate:
            return _weighted_sum(s, P, features, self.message.weight, neighbours)
        orders = P.shape[1]
        each = zip(s.chunk(orders, 1), P.split(1, 1), self.message.weight.chunk(orders, 1), strict=True)
        parts = [_weighted_sum(s_l.contiguous(), P_l.contiguous(), features, V, neighbours) for s_l, P_l, V in each]
        return torch.stack(parts).sum(0)


def _weighted_sum(s: Tensor, P: Tensor, z: Tensor, weight: Tensor, neighbours: Neighbourhood) -> Tensor:
    if neighbours.block_sites is not None:
        return message_by_blocks(s, P, z, weight, neighbours)
    return linear(message_sum(s, P, z, neighbours).flatten(1), weight)


class OnSite(nn.Module):
    """Residual refinement of a site's own features, z <- z + W2 f(W1 z + b1) + b2; (N, F) -> (N, F)."""

    def __init__(self, n_features: int, activation: nn.Module) -> None:
        super().__init__()
        self.expand = nn.Linear(n_features, n_features)
        self.project = nn.Linear(n_features, n_features)
        self.activation = activation

    def forward(self, features: Tensor) -> Tensor:
        return features + self.project(self.activation(self.expand(features)))
