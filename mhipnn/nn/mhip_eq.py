"""Magnetic HIP-NN whose sites carry spin vectors from layer to layer."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConfigError
from .mhip_ts import MHIPTS


class MHIPEQ(MHIPTS):
    """:class:`MHIPTS` with hidden vectors: equivariant in spin space, invariant in real space.

    In a second layer a neighbour of ``mhip_ts`` sends its own spin, weighted by what it knows; here it also sends sums
    of its neighbours' spins. A product of two such messages holds chains of spins, S_k.S_l of neighbours' neighbours:
    the many-spin terms of loops of electrons.

    Args:
        n_carried: vectors that a site carries.
        cutoff, n_features, n_interactions, n_sensitivities, n_onsite, l_max, n_vectors, spin_rank, bond_rank,
        n_species, r_inner, spin_length, pair_sensitivities, separate_sensitivities, shared_mu, magnetic: see
            :class:`MHIPTS`.
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
        bond_rank: int = 2,
        n_carried: int = 8,
        n_species: int = 1,
        r_inner: float = 0.75,
        spin_length: bool = False,
        pair_sensitivities: bool = False,
        separate_sensitivities: bool = False,
        shared_mu: bool = False,
        magnetic: Sequence[bool] | None = None,
    ) -> None:
        if n_carried < 1 or n_interactions < 2:
            raise ConfigError(
                "mhip_eq: need n_carried >= 1, and n_interactions >= 2 since the last layer hands no vectors on, "
                f"got n_carried={n_carried}, n_interactions={n_interactions}; model=mhip_ts has no hidden vectors"
            )
        self.n_carried = n_carried
        super().__init__(
            cutoff, n_features, n_interactions, n_sensitivities, n_onsite, l_max, n_vectors, spin_rank, bond_rank,
            n_species, r_inner, spin_length, pair_sensitivities, separate_sensitivities, shared_mu, magnetic,
        )  # fmt: skip
