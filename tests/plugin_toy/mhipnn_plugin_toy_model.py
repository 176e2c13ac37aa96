"""E = -(scale/2) sum_ij j exp(-decay r_ij) S_i.S_j: one learned number, imported only when it is chosen."""

from __future__ import annotations

import torch
from torch import Tensor

from mhipnn.nn.energy_model import EnergyModel
from mhipnn.nn.neighbourhood import Neighbourhood


class Toy(EnergyModel):
    def __init__(self, cutoff: float = 2.0, decay: float = 1.0, n_species: int = 1) -> None:
        super().__init__(cutoff, n_species)
        self.decay = decay
        self.exchange = torch.nn.Parameter(torch.zeros(()))

    def couplings(self, neighbours: Neighbourhood) -> list[Tensor]:
        smooth = torch.cos(0.5 * torch.pi * neighbours.distance / self.cutoff) ** 2
        return [torch.exp(-self.decay * neighbours.distance) * smooth * neighbours.mask]

    def site_terms(self, spins: Tensor, neighbours: Neighbourhood, couplings: list[Tensor]) -> Tensor:
        dots = (spins[:, None] * neighbours.gather(spins)).sum(-1)
        return -0.5 * self.exchange * (couplings[0] * dots).sum(-1, keepdim=True)
