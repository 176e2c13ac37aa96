"""The built-in models hold the contract that a plugin inherits."""

from __future__ import annotations

from typing import Any, ClassVar

from mhipnn.nn.heisenberg import Heisenberg
from mhipnn.nn.mhip import MHIP
from mhipnn.testing import EnergyModelContract


class TestMHIP(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = dict(
        cutoff=2.5, n_features=6, n_interactions=2, n_sensitivities=5, n_onsite=1, l_max=2, n_species=1, r_inner=0.75
    )
    changes: ClassVar[dict[str, Any]] = dict(
        cutoff=2.6, n_features=7, n_interactions=3, n_sensitivities=6, n_onsite=2, l_max=1, r_inner=0.8
    )

    def make_model(self, **arguments: Any) -> MHIP:
        return MHIP(**arguments)


class TestHeisenberg(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = dict(cutoff=2.5, n_sensitivities=5, r_inner=0.75)
    changes: ClassVar[dict[str, Any]] = dict(cutoff=2.6, n_sensitivities=6, r_inner=0.8)

    def make_model(self, **arguments: Any) -> Heisenberg:
        return Heisenberg(**arguments)
