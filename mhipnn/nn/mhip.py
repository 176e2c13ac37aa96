"""Magnetic HIP-NN: hierarchically interacting particles that listen to spin correlations."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..errors import ConfigError
from .activation import SiLU
from .compiled_mhip import CompiledMHIP
from .energy_model import EnergyModel
from .interaction import Interaction, OnSite
from .kernels.choice import on_cpu
from .neighbourhood import Neighbourhood
from .sensitivity import Sensitivity
from .spin_correlation import legendre_of_neighbours


class MHIP(EnergyModel):
    """HIP-NN made magnetic; the equations stand in docs/model.md.

    Blocks of one interaction layer (sensitivities times Legendre polynomials of S_i.S_j) and some residual on-site
    layers; a linear readout after every block gives the hierarchy e_i^(n). Stacked blocks turn pair correlations into
    many-spin ones, since z_j already carries S_j.S_k. Spins enter through S_i.S_j alone, so E is invariant under spin
    rotations independently of space rotations, and even in the spins (time reversal).

    Args:
        cutoff: r_cut, length.
        n_features: features per site.
        n_interactions: blocks.
        n_sensitivities: radial functions per block.
        n_onsite: residual layers per block.
        l_max: highest Legendre order; 0 is the ordinary, non-magnetic HIP-NN.
        n_species: number of species.
        r_inner: innermost sensitivity centre, length.

    Source: Lubbers, Smith, Barros, J. Chem. Phys. 148, 241715 (2018) for the hierarchy.
    """

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
    ) -> None:
        super().__init__(cutoff, n_species)
        if min(n_features, n_interactions) < 1 or min(n_onsite, l_max) < 0:
            raise ConfigError(
                f"mhip: need n_features, n_interactions >= 1 and n_onsite, l_max >= 0, got n_features={n_features}, "
                f"n_interactions={n_interactions}, n_onsite={n_onsite}, l_max={l_max}"
            )
        self.l_max = l_max
        activation = SiLU()
        widths = [n_species] + [n_features] * n_interactions
        self.sensitivities = nn.ModuleList(Sensitivity(n_sensitivities, cutoff, r_inner) for _ in widths[1:])
        self.interactions = nn.ModuleList(
            self.make_interaction(layer, n_in, n_features, n_sensitivities, activation)
            for layer, n_in in enumerate(widths[:-1])
        )
        self.onsite = nn.ModuleList(
            nn.Sequential(*(OnSite(n_features, activation) for _ in range(n_onsite))) for _ in widths[1:]
        )
        self.readouts = nn.ModuleList(nn.Linear(n_features, 1) for _ in widths[1:])

    def make_interaction(
        self, layer: int, n_in: int, n_out: int, n_sensitivities: int, activation: SiLU
    ) -> Interaction:
        return Interaction(n_in, n_out, n_sensitivities * (self.l_max + 1), activation)

    def spin_invariants(self, spins: Tensor, neighbours: Neighbourhood) -> Tensor:
        """What interaction layers are told of the spins of every pair, (N, n, K)."""
        return legendre_of_neighbours(spins, neighbours, self.l_max)

    def couplings(self, neighbours: Neighbourhood) -> list[Tensor]:
        return [sensitivity(neighbours) for sensitivity in self.sensitivities]

    def site_terms(self, spins: Tensor, neighbours: Neighbourhood, couplings: list[Tensor]) -> Tensor:
        invariants = self.spin_invariants(spins, neighbours)
        features = one_hot(neighbours.species, self.n_species).to(spins.dtype)
        terms = []
        for layer, (interaction, onsite, readout) in enumerate(
            zip(self.interactions, self.onsite, self.readouts, strict=True)
        ):
            features = onsite(interaction(features, couplings[layer], invariants, neighbours))
            terms.append(readout(features))
        return torch.cat(terms, dim=-1)

    def compiled(self, neighbours: Neighbourhood, couplings: list[Tensor]) -> CompiledMHIP | None:
        if not on_cpu(neighbours.distance):
            return None
        blocks: Any = zip(self.interactions, self.onsite, self.readouts, strict=True)
        return CompiledMHIP(blocks, self.l_max, self.n_species, neighbours, couplings)
