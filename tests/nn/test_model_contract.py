"""The built-in models hold the contract that a plugin inherits."""

from __future__ import annotations

from typing import Any, ClassVar

from mhipnn.data.graph import spin_graph
from mhipnn.nn.bp import BP
from mhipnn.nn.heisenberg import Heisenberg, HeisenbergBiquadratic
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.mhip_eq import MHIPEQ
from mhipnn.nn.mhip_ts import MHIPTS
from mhipnn.structures import random_sites
from mhipnn.testing import EnergyModelContract


class TestMHIP(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = dict(
        cutoff=2.5, n_features=6, n_interactions=2, n_sensitivities=5, n_onsite=1, l_max=2, n_species=1, r_inner=0.75
    )
    changes: ClassVar[dict[str, Any]] = dict(
        cutoff=2.6, n_features=7, n_interactions=3, n_sensitivities=6, n_onsite=2, l_max=1, r_inner=0.8, shared_mu=True
    )

    def make_model(self, **arguments: Any) -> MHIP:
        return MHIP(**arguments)


class TestMHIPWithOneChemicalPotential(TestMHIP):
    arguments: ClassVar[dict[str, Any]] = TestMHIP.arguments | dict(shared_mu=True)
    changes: ClassVar[dict[str, Any]] = dict(shared_mu=False)
    additive = False


class TestMHIPTS(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = TestMHIP.arguments | dict(n_vectors=3, spin_rank=1, bond_rank=0)
    changes: ClassVar[dict[str, Any]] = TestMHIP.changes | dict(n_vectors=4, spin_rank=2, bond_rank=1)

    def make_model(self, **arguments: Any) -> MHIPTS:
        return MHIPTS(**arguments)


class TestMHIPTSWithTensors(TestMHIPTS):
    arguments: ClassVar[dict[str, Any]] = TestMHIPTS.arguments | dict(spin_rank=2, bond_rank=3)
    changes: ClassVar[dict[str, Any]] = dict(spin_rank=1, bond_rank=2)


class TestMHIPEQ(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = TestMHIPTS.arguments | dict(n_interactions=3, bond_rank=2, n_carried=2)
    changes: ClassVar[dict[str, Any]] = dict(n_interactions=2, n_vectors=4, spin_rank=2, bond_rank=1, n_carried=3)

    def make_model(self, **arguments: Any) -> MHIPEQ:
        return MHIPEQ(**arguments)


class TestMHIPEQOfAllKinds(TestMHIPEQ):
    """Lengths, species and pairs of them."""

    arguments: ClassVar[dict[str, Any]] = TestMHIPEQ.arguments | dict(
        n_species=2, spin_length=True, pair_sensitivities=True, separate_sensitivities=True, shared_mu=True,
        magnetic=[True, True],
    )  # fmt: skip
    changes: ClassVar[dict[str, Any]] = dict(
        spin_length=False, pair_sensitivities=False, separate_sensitivities=False, shared_mu=False,
        magnetic=[True, False],
    )  # fmt: skip
    spin_length = True
    additive = False


class TestHeisenberg(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = dict(cutoff=2.5, n_sensitivities=5, r_inner=0.75)
    changes: ClassVar[dict[str, Any]] = dict(cutoff=2.6, n_sensitivities=6, r_inner=0.8)

    def make_model(self, **arguments: Any) -> Heisenberg:
        return Heisenberg(**arguments)


class TestHeisenbergBiquadratic(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = TestHeisenberg.arguments
    changes: ClassVar[dict[str, Any]] = TestHeisenberg.changes

    def make_model(self, **arguments: Any) -> HeisenbergBiquadratic:
        return HeisenbergBiquadratic(**arguments)


class TestBP(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = dict(
        cutoff=2.5, n_radial=3, zeta_max=2, n_hidden=6, n_species=1, r_inner=0.75
    )
    changes: ClassVar[dict[str, Any]] = dict(cutoff=2.6, n_radial=4, zeta_max=1, n_hidden=7, n_species=2, r_inner=0.8)

    def make_model(self, **arguments: Any) -> BP:
        model = BP(**arguments)
        model.fit_features([spin_graph(random_sites(24, 2, rng=seed), model.cutoff) for seed in range(3)])
        return model
