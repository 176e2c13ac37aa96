"""Several networks as one potential: their mean, and how far they are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ..configuration import Array, SpinConfiguration
from ..errors import InputError
from ..potential import Evaluation
from .frozen import FrozenNetwork
from .network_potential import NetworkPotential

Values = TypeVar("Values", Array, Tensor)


def spread(values: Values) -> Values:
    r"""\sigma_i = sqrt(1/k \sum_m |v_i^m - \bar v_i|^2), \bar v_i = 1/k \sum_m v_i^m: vectors (k, ..., 3) -> (...)."""
    return ((values - values.mean(0)) ** 2).sum(-1).mean(0) ** 0.5


@dataclass(frozen=True, kw_only=True)
class EnsembleEvaluation(Evaluation):
    r"""Means over the k members, and what the members say apart.

    The mean field is -dE/dS_i of the mean energy, since the gradient is linear.

    Args:
        torque_spread: (N,), `spread` of the members' torques at each site, energy units.
        energy_spread: standard deviation (divisor k) of the members' energies.
        members: their evaluations.
    """

    torque_spread: Array
    energy_spread: float
    members: tuple[Evaluation, ...]


class EnsemblePotential:
    r"""E = 1/k \sum_m E_m, and so B_i = 1/k \sum_m B_i^m, of k networks: a ``Potential`` like any other.

    The networks must be of one kind of system: equal cutoff, number of species and units; they may be different models.

    Args:
        members: the networks, at least two.
        names: of the members, for messages.

    Raises:
        InputError: fewer than two members, or one that differs from the first.

    Source: B. Lakshminarayanan, A. Pritzel, C. Blundell, NeurIPS 2017 (deep ensembles).
    """

    def __init__(self, members: Sequence[NetworkPotential], names: Sequence[str] | None = None) -> None:
        self.members = tuple(members)
        _require_alike(self.members, names or [f"member {number}" for number in range(len(members))])
        first = self.members[0]
        self.device, self.dtype = first.device, first.dtype
        self.metadata = first.metadata

    def evaluate(self, config: SpinConfiguration, forces: bool = True) -> EnsembleEvaluation:
        """Means and spreads of one configuration.

        Raises:
            InputError, NonFiniteError: see :meth:`NetworkPotential.evaluate`.
        """
        members = tuple(member.evaluate(config, forces) for member in self.members)

        def mean(name: str) -> Array:
            return np.mean([getattr(member, name) for member in members], axis=0)

        return EnsembleEvaluation(
            energy=float(mean("energy")),
            site_energy=mean("site_energy"),
            field=mean("field"),
            torque=mean("torque"),
            forces=mean("forces") if forces else None,
            torque_spread=spread(np.stack([member.torque for member in members])),
            energy_spread=float(np.std([member.energy for member in members])),
            members=members,
        )

    def prepare(self, configs: Sequence[SpinConfiguration]) -> FrozenEnsemble:
        """Freeze the sites of R configurations of N sites each, for all members."""
        return FrozenEnsemble([member.prepare(configs) for member in self.members])


class FrozenEnsemble:
    """Mean energy and fields of R replicas at fixed sites: spins (R, N, 3) -> (R,), (R, N, 3).

    Args:
        members: the networks at these sites.
    """

    def __init__(self, members: Sequence[FrozenNetwork]) -> None:
        self.members = tuple(members)
        self.device, self.dtype = self.members[0].device, self.members[0].dtype

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        energies, fields = self._each(spins)
        # Total energies are large, and their mean is to have the digits of each of them.
        return energies.double().mean(0).to(self.dtype), fields.mean(0)

    def torque_spread(self, spins: Tensor) -> Tensor:
        """`spread` of the members' torques at each site, (R, N): how sure the ensemble is along its own rollout."""
        return spread(torch.linalg.cross(spins.expand(len(self.members), *spins.shape), self._each(spins)[1]))

    def _each(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Energies (k, R) and fields (k, R, N, 3) of the members."""
        energies, fields = zip(*(member(spins) for member in self.members), strict=True)
        return torch.stack(energies), torch.stack(fields)


def _require_alike(members: Sequence[NetworkPotential], names: Sequence[str]) -> None:
    if len(members) < 2:
        raise InputError(f"ensemble: expected at least two members, got {', '.join(names) or 'none'}")
    wanted = _kind(members[0])
    for member, name in zip(members[1:], names[1:], strict=True):
        for what, value in _kind(member).items():
            if value != wanted[what]:
                raise InputError(
                    f"ensemble: {what} is {value} in {name} and {wanted[what]} in {names[0]}; members must share "
                    f"{', '.join(wanted)}"
                )


def _kind(member: NetworkPotential) -> dict[str, Any]:
    """What all members of an ensemble have in common."""
    return {
        "cutoff": member.model.cutoff,
        "n_species": member.model.n_species,
        "units": member.metadata.get("units"),
        "dtype": str(member.dtype).removeprefix("torch."),
        "device": str(member.device),
    }
