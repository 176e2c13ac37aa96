"""Candidates of a round: states on disorder that nobody has seen, of quenches that the networks drive or at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...analysis.rollout import torques_along
from ...configuration import SpinConfiguration
from ...data.definition import DatasetDefinition
from ...data.realisations import sites_of
from ...data.states import State
from ...dynamics.sampling import QuenchSnapshots
from ...potential import Potential
from ...structures.spins import UNCORRELATED_TIME, random_spins

KINDS = ("quench", "random_spins")

# First key of the seeds of starting spins and of noise; neither the dataset's seeds nor those of rollouts begin so.
_SEED_KEY = 7


def quench_states(
    definition: DatasetDefinition,
    realisations: Sequence[int],
    snapshots: QuenchSnapshots,
    replicas: int,
    drivers: Sequence[Potential],
    seed: int,
) -> list[State]:
    """States of learned quenches from uncorrelated spins, realisation by realisation.

    Realisation number i of the list is driven by network i mod k; all that one network drives runs side by side.

    Args:
        definition: the dataset, whose sites of the training split these are.
        realisations: their numbers.
        snapshots: which times of which quench.
        replicas: quenches on each realisation.
        drivers: the k networks.
        seed: of spins and noise, together with the number of the realisation.
    """
    states: dict[int, list[State]] = {}
    for member, driver in enumerate(drivers):
        mine = list(realisations)[member :: len(drivers)]
        if not mine:
            continue
        starts, noise = [], []
        for number in mine:
            sites, rng = sites_of(definition, "train", number), _rng(seed, number)
            for _ in range(replicas):
                starts.append(sites.with_spins(random_spins(sites.n_sites, rng)))
                noise.append(int(rng.integers(2**63)))
        owners = np.repeat(mine, replicas).tolist()
        for frame in snapshots.quench.frames(driver, starts, noise, steps=snapshots.steps):
            for number, start, spins in zip(owners, starts, frame.spins, strict=True):
                unit = spins / np.linalg.norm(spins, axis=-1, keepdims=True)
                states.setdefault(number, []).append(State(start.with_spins(unit), number, frame.time))
    return [state for number in realisations for state in states[number]]


def random_states(
    definition: DatasetDefinition, realisations: Sequence[int], per_realisation: int, seed: int
) -> list[State]:
    """Uncorrelated spins, so many states on each realisation."""
    states = []
    for number in realisations:
        sites, rng = sites_of(definition, "train", number), _rng(seed, number)
        for _ in range(per_realisation):
            states.append(State(sites.with_spins(random_spins(sites.n_sites, rng)), number, UNCORRELATED_TIME))
    return states


def torques_of(potential: Potential, configs: Sequence[SpinConfiguration], batch: int = 64) -> np.ndarray:
    """S_i x B_i of C configurations with N sites each, (C, N, 3), float64."""
    parts = []
    for first in range(0, len(configs), batch):
        some = configs[first : first + batch]
        spins = np.stack([config.spins for config in some])
        parts.append(torques_along(potential.prepare(some), spins[None])[0])
    return np.concatenate(parts)


def _rng(seed: int, realisation: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_SEED_KEY, realisation)))
