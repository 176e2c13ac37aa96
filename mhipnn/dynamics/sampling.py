"""Spin states that rollouts meet: snapshots along quenches of the exact electrons, or of a learned potential."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import CheckpointError, ConfigError, DatasetError
from ..potential import Potential
from ..structures.spins import random_spins
from ..structures.structure_file import require_digest
from .quench import Quench


@dataclasses.dataclass(frozen=True)
class QuenchSnapshots:
    """Sampler: quench uncorrelated spins on the given sites and return the states at ``times``.

    Args:
        times: increasing times > 0, hbar/t0, each rounded to a whole step and not beyond the quench's duration.
        quench: damping, temperature, time step and integrator of the trajectory.
        every: use this sampler on realisations whose number is divisible by it.
        float32: run the trajectory (not the labels, which are made afterwards) in float32 where the potential is a
            dataclass with a ``dtype``; half the time for electrons, and as good a set of states.

    Raises:
        ConfigError: no times, times out of order or beyond the duration.
    """

    times: Sequence[float]
    quench: Quench
    every: int = 1
    float32: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", _checked_times(self.times, self.quench, self.every))

    @property
    def steps(self) -> list[int]:
        return _steps(self.times, self.quench)

    def sample(
        self, sites: SpinConfiguration, potential: Potential, rng: np.random.Generator
    ) -> list[tuple[float, Array]]:
        """[(time, spins (N, 3))], unit spins in float64; determined by ``rng``."""
        if self.float32 and dataclasses.is_dataclass(potential) and hasattr(potential, "dtype"):
            potential = dataclasses.replace(potential, dtype="float32")  # type: ignore[type-var]
        return _snapshots(self.quench, self.times, potential, sites, rng)


@dataclasses.dataclass(frozen=True)
class LearnedQuench:
    """Sampler: the states at ``times`` of a quench that a trained network drives, to be labelled exactly.

    A network's own rollouts leave the states that it was trained on, and this is where its errors matter.

    Args:
        checkpoint: path of a checkpoint that training wrote.
        times: increasing times > 0, hbar/t0, each rounded to a whole step and not beyond the quench's duration.
        quench: damping, temperature, time step and integrator of the trajectory.
        every: use this sampler on realisations whose number is divisible by it.
        device: where the network runs.
        sha256: what the content of the checkpoint must hash to. The definition of a dataset hashes what is written
            here: give it to make the content a part of the definition; None: the path alone counts.

    Raises:
        ConfigError: no times, times out of order or beyond the duration.
        CheckpointError: a checkpoint that is missing, damaged, unsafe, or of another content.
    """

    checkpoint: str
    times: Sequence[float]
    quench: Quench
    every: int = 1
    device: str = "cpu"
    sha256: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", _checked_times(self.times, self.quench, self.every))
        try:
            require_digest(self.checkpoint, self.sha256)
        except DatasetError as error:
            raise CheckpointError(f"learned quench: {error}") from error
        self.potential()  # complain now, not in the middle of labelling

    def potential(self) -> Potential:
        """The network."""
        path = Path(self.checkpoint)
        return _network(str(path), path.stat().st_mtime_ns, self.device)

    def sample(
        self, sites: SpinConfiguration, potential: Potential, rng: np.random.Generator
    ) -> list[tuple[float, Array]]:
        """[(time, spins (N, 3))], unit spins in float64; determined by ``rng``; ``potential`` only labels."""
        return _snapshots(self.quench, self.times, self.potential(), sites, rng)


@lru_cache(maxsize=4)
def _network(path: str, _modified: int, device: str) -> Potential:
    """Loaded once a process, and again after a change of the file."""
    from ..nn.checkpoint import load_potential  # dynamics with other potentials needs no network

    return load_potential(path, device=device)


def _checked_times(times: Sequence[float], quench: Quench, every: int) -> tuple[float, ...]:
    """The times as a tuple; raises ConfigError."""
    times = tuple(float(time) for time in times)
    if not times or any(not time > 0 for time in times):
        raise ConfigError(f"quench snapshots: times {list(times)} must be one or more numbers > 0 (hbar/t0)")
    if max(times) > quench.duration * (1 + 1e-9):
        raise ConfigError(f"quench snapshots: time {max(times)} is beyond the quench's duration {quench.duration}")
    steps = _steps(times, quench)
    if any(a >= b for a, b in pairwise(steps)) or steps[0] < 1:
        raise ConfigError(
            f"quench snapshots: times {list(times)} must increase by at least one time step ({quench.time_step})"
        )
    if every < 1:
        raise ConfigError(f"quench snapshots: every is {every}; it must be a whole number >= 1")
    return times


def _steps(times: Sequence[float], quench: Quench) -> list[int]:
    return [round(time / quench.time_step) for time in times]


def _snapshots(
    quench: Quench, times: Sequence[float], potential: Potential, sites: SpinConfiguration, rng: np.random.Generator
) -> list[tuple[float, Array]]:
    """The generator gives the spins of the start, then one seed of the noise."""
    start = sites.with_spins(random_spins(sites.n_sites, rng))
    seed = int(rng.integers(2**63))
    frames = quench.frames(potential, [start], [seed], steps=_steps(times, quench))
    return [(frame.time, _unit(frame.spins[0])) for frame in frames]


def _unit(spins: Array) -> Array:
    return spins / np.linalg.norm(spins, axis=-1, keepdims=True)
