"""Whether a network was trained for systems like this one."""

from __future__ import annotations

import math

from ..configuration import SpinConfiguration
from ..errors import CheckpointError
from ..structures.neighbours import neighbour_list
from .ensemble import EnsemblePotential
from .network_potential import NetworkPotential

FACTOR = 2.0
"""By which numbers of neighbours may differ: those of one density scatter by much less."""


def require_trained_for(
    potential: NetworkPotential | EnsemblePotential, config: SpinConfiguration, checkpoint: str
) -> None:
    """Refuse a system with species that the network does not know, or with other numbers of sites within its cutoff.

    Args:
        potential: the network; what its checkpoint says of its dataset is compared.
        config: of the system.
        checkpoint: named in the message.

    Raises:
        CheckpointError: what the checkpoint says, and what the system has.
    """
    network = potential.members[0] if isinstance(potential, EnsemblePotential) else potential
    known, present = int(network.model.n_species), int(config.species.max()) + 1
    if present > known:
        raise CheckpointError(
            f"{checkpoint}: trained for {known} species, the system has {present}; choose another system.species, or "
            "a checkpoint that knows them"
        )
    cutoff = network.model.cutoff
    seen = len(neighbour_list(config.positions, config.cell, config.pbc, cutoff).source) / config.n_sites
    trained = _neighbours(network, cutoff)
    if seen == 0 or (trained is not None and not 1 / FACTOR <= seen / trained <= FACTOR):
        before = "" if trained is None else f" and about {trained:.3g} neighbours within it"
        raise CheckpointError(
            f"{checkpoint}: trained with cutoff {cutoff:g}{before}, a site of the system has {seen:.3g}; "
            "look at the density and the dimension of the system, or choose another checkpoint"
        )


def _neighbours(network: NetworkPotential, cutoff: float) -> float | None:
    """density x volume within the cutoff, in the structures that the network was trained on; None: not recorded."""
    dataset = network.metadata.get("dataset")
    structure = dataset.get("structure") if isinstance(dataset, dict) else None
    if not isinstance(structure, dict):
        return None
    density, dimension = structure.get("density"), structure.get("dimension")
    if not isinstance(density, (int, float)) or dimension not in (1, 2, 3):
        return None
    return float(density) * math.pi ** (dimension / 2) / math.gamma(dimension / 2 + 1) * cutoff**dimension
