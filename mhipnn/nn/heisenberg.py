"""The baseline: a Heisenberg model with a learned exchange J(r)."""

from __future__ import annotations

from torch import Tensor, nn

from .energy_model import EnergyModel
from .neighbourhood import Neighbourhood
from .sensitivity import Sensitivity
from .spin_correlation import legendre_of_neighbours


class Heisenberg(EnergyModel):
    r"""E = -\frac{scale}{2} \sum_{ij} J(r_{ij}) S_i \cdot S_j + const N with J(r) = \sum_\nu c_\nu s_\nu(r).

    What a pair model can reach on the same data in the same harness: J > 0 is ferromagnetic.

    Args:
        cutoff: range of J(r), length.
        n_sensitivities: radial functions.
        n_species: number of species (they share one J(r)).
        r_inner: innermost sensitivity centre, length.
    """

    def __init__(
        self, cutoff: float = 3.0, n_sensitivities: int = 16, n_species: int = 1, r_inner: float = 0.75
    ) -> None:
        super().__init__(cutoff, n_species)
        self.sensitivity = Sensitivity(n_sensitivities, cutoff, r_inner)
        self.exchange = nn.Linear(n_sensitivities, 1, bias=False)
        self.constant = nn.Parameter(self.exchange.weight.new_zeros(()))

    def couplings(self, neighbours: Neighbourhood) -> list[Tensor]:
        return [self.exchange(self.sensitivity(neighbours).transpose(1, 2))[..., 0] * neighbours.mask]

    def site_terms(self, spins: Tensor, neighbours: Neighbourhood, couplings: list[Tensor]) -> Tensor:
        dots = legendre_of_neighbours(spins, neighbours, l_max=1)[:, 1]
        return (self.constant - 0.5 * (couplings[0] * dots).sum(-1))[:, None]
