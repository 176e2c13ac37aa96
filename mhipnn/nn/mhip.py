"""Magnetic HIP-NN: hierarchically interacting particles that listen to spin correlations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import hypot, sqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..data.statistics import Statistics
from ..errors import ConfigError
from .activation import SiLU
from .chemical_potential import shared_terms
from .compiled_mhip import CompiledMHIP
from .energy_model import EnergyModel
from .interaction import Interaction, OnSite
from .kernels.choice import on_cpu
from .neighbourhood import Neighbourhood
from .pair_sensitivity import PairSensitivity
from .sensitivity import Sensitivity
from .spin_correlation import legendre_of_neighbours, solid_legendre_of_neighbours


class MHIP(EnergyModel):
    """HIP-NN made magnetic; the equations stand in docs/model.md.

    Blocks of one interaction layer (sensitivities times Legendre polynomials of S_i.S_j) and some residual on-site
    layers; a linear readout after every block gives the hierarchy e_i^(n). Stacked blocks turn pair correlations into
    many-spin ones, since z_j already carries S_j.S_k. Spins enter through S_i.S_j alone (and |S_i|^2, if asked for), so
    E is invariant under spin rotations independently of space rotations, and even in the spins (time reversal).

    Args:
        cutoff: r_cut, length.
        n_features: features per site.
        n_interactions: blocks.
        n_sensitivities: radial functions per block.
        n_onsite: residual layers per block.
        l_max: highest Legendre order; 0 is the ordinary, non-magnetic HIP-NN.
        n_species: number of species.
        r_inner: innermost sensitivity centre, length.
        spin_length: whether |S_i| is an input: invariants of a pair are |S_i|^l |S_j|^l P_l(cos), and |S_i|^2 and
            |S_i|^4 are features of a site, all in units of the rms length of the training spins.
        pair_sensitivities: whether every pair of species has radial functions of its own (:class:`PairSensitivity`).
        separate_sensitivities: whether every order l of the messages has radial functions of its own.
        shared_mu: whether sites share one chemical potential, whose deviation they read from two more numbers each
            (``chemical_potential``): for labels at a fixed number of electrons.
        magnetic: for every species whether it carries a spin, (n_species,); None: all do. Of those without, whatever
            stands in ``spins`` is ignored, and their fields are zero.

    Source: Lubbers, Smith, Barros, J. Chem. Phys. 148, 241715 (2018) for the hierarchy.
    """

    spin_unit: Tensor
    _carries_spin: Tensor

    def __init__(
        self,
        cutoff: float = 3.0,
        n_features: int = 24,
        n_interactions: int = 2,
        n_sensitivities: int = 12,
        n_onsite: int = 2,
        l_max: int = 2,
        n_species: int = 1,
        r_inner: float = 0.75,
        spin_length: bool = False,
        pair_sensitivities: bool = False,
        separate_sensitivities: bool = False,
        shared_mu: bool = False,
        magnetic: Sequence[bool] | None = None,
    ) -> None:
        super().__init__(cutoff, n_species)
        if min(n_features, n_interactions) < 1 or min(n_onsite, l_max) < 0:
            raise ConfigError(
                f"mhip: need n_features, n_interactions >= 1 and n_onsite, l_max >= 0, got n_features={n_features}, "
                f"n_interactions={n_interactions}, n_onsite={n_onsite}, l_max={l_max}"
            )
        self.l_max, self.spin_length, self.separate_sensitivities = l_max, spin_length, separate_sensitivities
        n_sets = l_max + 1 if separate_sensitivities else 1
        if spin_length:
            self.register_buffer("spin_unit", torch.ones(()))
        carries_spin = _checked(magnetic, n_species)
        self.all_magnetic = all(carries_spin)
        self.register_buffer("_carries_spin", torch.tensor(carries_spin, dtype=torch.float32), persistent=False)
        activation = SiLU()
        widths = [n_species + 2 * spin_length] + [n_features] * n_interactions
        radial = (n_sensitivities, cutoff, r_inner, n_sets)
        self.sensitivities = nn.ModuleList(
            PairSensitivity(n_species, *radial) if pair_sensitivities else Sensitivity(*radial) for _ in widths[1:]
        )
        self.interactions = nn.ModuleList(
            self.make_interaction(layer, n_in, n_features, n_sets * n_sensitivities, activation)
            for layer, n_in in enumerate(widths[:-1])
        )
        self.onsite = nn.ModuleList(
            nn.Sequential(*(OnSite(n_features, activation) for _ in range(n_onsite))) for _ in widths[1:]
        )
        self.readouts = nn.ModuleList(nn.Linear(n_features, 1) for _ in widths[1:])
        self.charges = nn.ModuleList(nn.Linear(n_features, 2) for _ in widths[1:] if shared_mu)

    def make_interaction(self, layer: int, n_in: int, n_out: int, n_radial: int, activation: SiLU) -> Interaction:
        return Interaction(n_in, n_out, self.n_messages(n_radial), activation, self.separate_sensitivities)

    def n_messages(self, n_radial: int) -> int:
        """How many products of a radial function and a polynomial there are."""
        return n_radial * (1 if self.separate_sensitivities else self.l_max + 1)

    def seen_spins(self, spins: Tensor, neighbours: Neighbourhood) -> Tensor:
        """Zero on species without a spin; with ``spin_length`` in units of the rms length of the training spins."""
        if not self.all_magnetic:
            spins = spins * self._carries_spin.index_select(0, neighbours.species)[:, None]
        return spins / self.spin_unit if self.spin_length else spins

    def spin_invariants(self, spins: Tensor, neighbours: Neighbourhood) -> Tensor:
        """What interaction layers are told of the spins of every pair, (N, n, K)."""
        if self.spin_length or not self.all_magnetic:  # P_2(0) = -1/2 would speak of spins that are not there
            return solid_legendre_of_neighbours(spins, neighbours, self.l_max)
        return legendre_of_neighbours(spins, neighbours, self.l_max)

    def site_features(self, spins: Tensor, neighbours: Neighbourhood) -> Tensor:
        """z_i before the first block: the one-hot species, and |S_i|^2 - 1 and |S_i|^4 - 1 with ``spin_length``."""
        species = one_hot(neighbours.species, self.n_species).to(spins.dtype)
        if not self.spin_length:
            return species
        square = spins.square().sum(-1, keepdim=True)
        return torch.cat([species, square - 1, square.square() - 1], dim=-1)

    def couplings(self, neighbours: Neighbourhood) -> list[Tensor]:
        return [sensitivity(neighbours) for sensitivity in self.sensitivities]

    def site_terms(self, spins: Tensor, neighbours: Neighbourhood, couplings: list[Tensor]) -> Tensor:
        invariants = self.spin_invariants(spins, neighbours)
        features = self.site_features(spins, neighbours)
        of_blocks = []
        for interaction, onsite, coupling in zip(self.interactions, self.onsite, couplings, strict=True):
            features = onsite(interaction(features, coupling, invariants, neighbours))
            of_blocks.append(features)
        return self.read(of_blocks, neighbours)

    def read(self, of_blocks: Sequence[Tensor], neighbours: Neighbourhood) -> Tensor:
        """Features of every block, (N, n_features) each -> the site terms."""
        terms = [readout(z) for readout, z in zip(self.readouts, of_blocks, strict=True)]
        if self.charges:
            readings = [charge(z) for charge, z in zip(self.charges, of_blocks, strict=True)]
            terms.append(shared_terms(torch.stack(readings).sum(0), neighbours))
        return torch.cat(terms, dim=-1)

    def fit_scale(self, statistics: Statistics) -> None:
        """As every model; with ``spin_length`` also the unit of spins, and in the scale the field along them.

        Of that field it is the deviation from its mean that counts: where electrons magnetise along large spins the
        mean is ten times the rest, and torques would start as much too large.
        """
        super().fit_scale(statistics)
        if self.spin_length:
            self.spin_unit.fill_(statistics.spin_length or 1.0)
            varying = hypot(statistics.tangential_rms, statistics.radial_std / sqrt(3))  # rms of a component
            self.scale.fill_(varying * statistics.spin_length or 1.0)

    def compiled(
        self, neighbours: Neighbourhood, couplings: list[Tensor]
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
        plain = self.all_magnetic and not (self.spin_length or self.separate_sensitivities)
        return self._compiled(neighbours, couplings) if plain and on_cpu(neighbours.distance) else None

    def _compiled(
        self, neighbours: Neighbourhood, couplings: list[Tensor]
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
        blocks: Any = zip(self.interactions, self.onsite, self.readouts, strict=True)
        charges: Any = self.charges
        return CompiledMHIP(blocks, charges, self.l_max, self.n_species, neighbours, couplings)


def _checked(magnetic: Sequence[bool] | None, n_species: int) -> list[bool]:
    """One truth value a species; raises ConfigError."""
    if magnetic is None:
        return [True] * n_species
    carries = list(magnetic) if isinstance(magnetic, Sequence) else []
    if len(carries) != n_species or not all(isinstance(value, bool) for value in carries) or not any(carries):
        raise ConfigError(
            f"magnetic: expected true or false for each of {n_species} species, one true at least, got {magnetic}"
        )
    return carries
