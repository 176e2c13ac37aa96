"""The baselines of pair couplings: Heisenberg exchange J(r), and with it the biquadratic coupling K(r), learned."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from .energy_model import EnergyModel
from .neighbourhood import Neighbourhood
from .pair_sensitivity import PairSensitivity
from .sensitivity import Sensitivity
from .spin_correlation import legendre_of_neighbours


class Heisenberg(EnergyModel):
    r"""E = -\frac{scale}{2} \sum_{ij} J(r_{ij}) S_i \cdot S_j + const N with J(r) = \sum_\nu c_\nu s_\nu(r).

    What a pair model can reach on the same data in the same harness: J > 0 is ferromagnetic.

    Args:
        cutoff: range of J(r), length.
        n_sensitivities: radial functions.
        n_species: number of species.
        r_inner: innermost sensitivity centre, length.
        pair_sensitivities: whether every pair of species has a J(r) of its own; else they share one.
    """

    n_orders: ClassVar[int] = 1
    """Couplings multiply P_1(S_i.S_j) ... P_n(S_i.S_j)."""

    def __init__(
        self,
        cutoff: float = 3.0,
        n_sensitivities: int = 16,
        n_species: int = 1,
        r_inner: float = 0.75,
        pair_sensitivities: bool = False,
    ) -> None:
        super().__init__(cutoff, n_species)
        radial = (n_sensitivities, cutoff, r_inner)
        self.sensitivity = PairSensitivity(n_species, *radial) if pair_sensitivities else Sensitivity(*radial)
        self.exchange = nn.Linear(n_sensitivities, self.n_orders, bias=False)
        self.constant = nn.Parameter(self.exchange.weight.new_zeros(()))

    def couplings(self, neighbours: Neighbourhood) -> list[Tensor]:
        """J of every slot, and K after it: (N, n_orders, K)."""
        exchange = self.exchange(self.sensitivity(neighbours).transpose(1, 2)).transpose(1, 2)
        return [exchange * neighbours.mask[:, None]]

    def site_terms(self, spins: Tensor, neighbours: Neighbourhood, couplings: list[Tensor]) -> Tensor:
        polynomials = legendre_of_neighbours(spins, neighbours, self.n_orders)[:, 1:]
        return (self.constant - 0.5 * (couplings[0] * polynomials).sum((1, 2)))[:, None]


class HeisenbergBiquadratic(Heisenberg):
    r"""E = -\frac{scale}{2} \sum_{ij} [J(r_{ij}) S_i \cdot S_j + K(r_{ij}) P_2(S_i \cdot S_j)] + const N.

    P_2(x) = (3 x^2 - 1) / 2 is x^2 up to a factor and a constant. K(r) is another sum over the sensitivities of J(r);
    K > 0 favours collinear spins, parallel or antiparallel.

    Args:
        cutoff, n_sensitivities, n_species, r_inner, pair_sensitivities: see :class:`Heisenberg`.
    """

    n_orders: ClassVar[int] = 2
