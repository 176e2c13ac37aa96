"""Magnetic HIP-NN with tensor sensitivity: neighbours send spins and bond directions, not only how they lie to ours."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import ConfigError
from .activation import SiLU
from .compiled_tensors import CompiledMHIPTS
from .harmonics import MAX_RANK, harmonics
from .mhip import MHIP
from .neighbourhood import Neighbourhood
from .tensor_interaction import SpinTensors, TensorInteraction, Tensors


class MHIPTS(MHIP):
    """:class:`MHIP` whose interaction layers also sum spin vectors and bond directions (``TensorInteraction``).

    A layer of ``mhip`` knows the angle of each neighbour's spin with the central one; here it also knows the angles
    between the spins of neighbours, and between the directions in which they lie. Symmetries are those of ``mhip``:
    tensors enter through scalar products of two, of spins and of space separately.

    Args:
        n_vectors: channels per site, layer and kind of tensor.
        spin_rank: 1, spin vectors; 2, also the symmetric traceless tensors of spins.
        bond_rank: highest order of the angular functions of bonds, 0 .. 3; 0, spins alone.
        cutoff, n_features, n_interactions, n_sensitivities, n_onsite, l_max, n_species, r_inner, spin_length,
        pair_sensitivities, separate_sensitivities, shared_mu, magnetic: see :class:`MHIP`.
    """

    n_carried = 0

    def __init__(
        self,
        cutoff: float = 3.0,
        n_features: int = 24,
        n_interactions: int = 2,
        n_sensitivities: int = 12,
        n_onsite: int = 2,
        l_max: int = 2,
        n_vectors: int = 8,
        spin_rank: int = 1,
        bond_rank: int = 2,
        n_species: int = 1,
        r_inner: float = 0.75,
        spin_length: bool = False,
        pair_sensitivities: bool = False,
        separate_sensitivities: bool = False,
        shared_mu: bool = False,
        magnetic: Sequence[bool] | None = None,
    ) -> None:
        if n_vectors < 1 or spin_rank not in (1, 2) or bond_rank not in range(MAX_RANK + 1):
            raise ConfigError(
                f"mhip_ts: need n_vectors >= 1, spin_rank 1 or 2 and bond_rank 0 to {MAX_RANK}, "
                f"got n_vectors={n_vectors}, spin_rank={spin_rank}, bond_rank={bond_rank}"
            )
        self._tensors = Tensors(n_vectors, spin_rank, bond_rank)
        self._n_layers = n_interactions
        super().__init__(
            cutoff, n_features, n_interactions, n_sensitivities, n_onsite, l_max, n_species, r_inner,
            spin_length, pair_sensitivities, separate_sensitivities, shared_mu, magnetic,
        )  # fmt: skip

    def make_interaction(self, layer: int, n_in: int, n_out: int, n_radial: int, activation: SiLU) -> TensorInteraction:
        into, out = self.n_carried * (layer > 0), self.n_carried * (layer < self._n_layers - 1)
        tensors = self._tensors._replace(n_hidden_in=into, n_hidden_out=out)
        n_messages, separate = self.n_messages(n_radial), self.separate_sensitivities
        return TensorInteraction(n_in, n_out, n_radial, n_messages, tensors, activation, separate)

    def couplings(self, neighbours: Neighbourhood) -> list[Tensor]:
        """Sensitivities of every layer; Y_l of every slot, l = 0 .. bond_rank; radial functions of every layer."""
        sensitivities, rank = super().couplings(neighbours), self._tensors.bond_rank
        angular = harmonics(neighbours.direction, rank) if rank else []
        angular = [torch.ones_like(neighbours.distance)[..., None], *angular]
        layers: Any = zip(self.interactions, sensitivities, strict=True)
        radial = [R for layer, s in layers for R in layer.radial_functions(s, neighbours)]
        return [*sensitivities, *(Y.transpose(1, 2).contiguous() for Y in angular), *radial]

    def site_terms(self, spins: Tensor, neighbours: Neighbourhood, couplings: list[Tensor]) -> Tensor:
        polynomials = self.spin_invariants(spins, neighbours)
        features = self.site_features(spins, neighbours)
        sites = SpinTensors.of(spins, self._tensors.spin_rank)
        sensitivities, geometry = couplings[: self._n_layers], couplings[self._n_layers :]
        n_orders = self._tensors.bond_rank + 1
        angular, *radial = (geometry[at : at + n_orders] for at in range(0, len(geometry), n_orders))
        of_blocks = []
        for interaction, onsite, s, R in zip(self.interactions, self.onsite, sensitivities, radial, strict=True):
            features, hidden = interaction(features, s, polynomials, neighbours, R, angular, sites)
            features, sites = onsite(features), sites._replace(hidden=hidden)
            of_blocks.append(features)
        return self.read(of_blocks, neighbours)

    def _compiled(self, neighbours: Neighbourhood, couplings: list[Tensor]) -> CompiledMHIPTS:
        blocks: Any = zip(self.interactions, self.onsite, self.readouts, strict=True)
        charges: Any = self.charges
        return CompiledMHIPTS(blocks, charges, self.l_max, self.n_species, neighbours, couplings)
