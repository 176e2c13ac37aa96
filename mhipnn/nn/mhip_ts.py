"""Magnetic HIP-NN with tensor sensitivity in spin space: neighbours send their spins, not only how they lie to ours."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ConfigError
from .activation import SiLU
from .mhip import MHIP
from .neighbourhood import Neighbourhood
from .tensor_interaction import TensorInteraction, n_components, sent_tensors


class MHIPTS(MHIP):
    """:class:`MHIP` whose interaction layers also sum the spin vectors of the neighbours (``TensorInteraction``).

    A layer of ``mhip`` knows the angle of each neighbour's spin with the central one; here it also knows the angles
    between the spins of neighbours, and between the directions in which they lie. Symmetries are those of ``mhip``:
    vectors enter through scalar products of two, of spins and of space separately.

    Args:
        n_vectors: vectors per site, layer and kind.
        spin_rank: 1, spin vectors; 2, also the symmetric traceless tensors of spins.
        bond_rank: 1, also unit vectors of bonds, and bonds times spins; 0, spins alone.
        cutoff, n_features, n_interactions, n_sensitivities, n_onsite, l_max, n_species, r_inner: see :class:`MHIP`.

    Source: the bond vectors are the tensor sensitivities of Chigaev et al., J. Chem. Phys. 158, 184108 (2023).
    """

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
        bond_rank: int = 1,
        n_species: int = 1,
        r_inner: float = 0.75,
    ) -> None:
        if n_vectors < 1 or spin_rank not in (1, 2) or bond_rank not in (0, 1):
            raise ConfigError(
                "mhip_ts: need n_vectors >= 1, spin_rank 1 or 2 and bond_rank 0 or 1, "
                f"got n_vectors={n_vectors}, spin_rank={spin_rank}, bond_rank={bond_rank}"
            )
        self._ranks = spin_rank, bond_rank
        self._n_vectors = n_vectors
        super().__init__(cutoff, n_features, n_interactions, n_sensitivities, n_onsite, l_max, n_species, r_inner)

    def make_interaction(self, n_in: int, n_out: int, n_sensitivities: int, activation: SiLU) -> TensorInteraction:
        sizes = (n_in, n_out, n_sensitivities, self.l_max + 1, self._n_vectors)
        return TensorInteraction(*sizes, n_components(*self._ranks), activation)

    def spin_invariants(self, spins: Tensor, neighbours: Neighbourhood) -> Tensor:
        """P_l of every pair, and after them the components of what is sent, (N, l_max + 1 + components, K)."""
        polynomials = super().spin_invariants(spins, neighbours)
        return torch.cat([polynomials, *sent_tensors(spins, neighbours, *self._ranks)], 1)

    def compiled(self, neighbours: Neighbourhood, couplings: list[Tensor]) -> None:
        return None
