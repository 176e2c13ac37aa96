"""Sensitivity functions that differ from one pair of species to the next."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from .neighbourhood import Neighbourhood
from .sensitivity import Sensitivity


class PairSensitivity(Sensitivity):
    r""":class:`Sensitivity` with a weight for every pair of species (a_i of the receiver, a_j of the sender),

    .. math:: s_\nu(r_{ij}) \leftarrow (1 + w_\nu[a_i, a_j]) \, s_\nu(r_{ij}).

    All pairs share their centres and widths, and each has radial functions of its own as sums over them. The weights
    start at 0, as the shared functions, and weight decay leads back there. They are not symmetric: a message has a
    direction, and what an iron hears from an oxygen is not what the oxygen hears from it. Forces and fields are
    reciprocal all the same, being gradients of one energy.

    Args:
        n_species: number of species.
        n_sensitivities, cutoff, r_inner, n_sets: see :class:`Sensitivity`.
    """

    def __init__(
        self, n_species: int, n_sensitivities: int, cutoff: float, r_inner: float = 0.75, n_sets: int = 1
    ) -> None:
        super().__init__(n_sensitivities, cutoff, r_inner, n_sets)
        self.n_species = n_species
        self.pair_weight = nn.Parameter(torch.zeros(n_species, len(self.width), n_species))  # [a_i, nu, a_j]

    def forward(self, neighbours: Neighbourhood) -> Tensor:
        """s_nu(r_ij) of every slot, (N, n_sets n_nu, K); empty slots hold what no sum over neighbours may use."""
        species = one_hot(neighbours.species, self.n_species).to(self.pair_weight.dtype)
        # Products instead of look-ups: their derivatives need no scattered sums.
        of_receiver = (species @ self.pair_weight.flatten(1)).unflatten(1, self.pair_weight.shape[1:])
        return super().forward(neighbours) * (1 + of_receiver @ neighbours.gather(species).mT)
