"""Spin states that rollouts meet: snapshots along quenches of the exact electrons."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import ConfigError
from ..potential import Potential
from ..structures.spins import random_spins
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
        object.__setattr__(self, "times", tuple(float(time) for time in self.times))
        if not self.times or any(not time > 0 for time in self.times):
            raise ConfigError(f"quench snapshots: times {list(self.times)} must be one or more numbers > 0 (hbar/t0)")
        if max(self.times) > self.quench.duration * (1 + 1e-9):
            raise ConfigError(
                f"quench snapshots: time {max(self.times)} is beyond the quench's duration {self.quench.duration}"
            )
        if any(a >= b for a, b in zip(self.steps, self.steps[1:], strict=False)) or self.steps[0] < 1:
            raise ConfigError(
                f"quench snapshots: times {list(self.times)} must increase by at least one time step "
                f"({self.quench.time_step})"
            )
        if self.every < 1:
            raise ConfigError(f"quench snapshots: every is {self.every}; it must be a whole number >= 1")

    @property
    def steps(self) -> list[int]:
        return [round(time / self.quench.time_step) for time in self.times]

    def sample(
        self, sites: SpinConfiguration, potential: Potential, rng: np.random.Generator
    ) -> list[tuple[float, Array]]:
        """[(time, spins (N, 3))], unit spins in float64; determined by ``rng``."""
        start = sites.with_spins(random_spins(sites.n_sites, rng))
        seed = int(rng.integers(2**63))
        if self.float32 and dataclasses.is_dataclass(potential) and hasattr(potential, "dtype"):
            potential = dataclasses.replace(potential, dtype="float32")  # type: ignore[type-var]
        frames = self.quench.frames(potential, [start], [seed], steps=self.steps)
        return [(frame.time, _unit(frame.spins[0])) for frame in frames]


def _unit(spins: Array) -> Array:
    return spins / np.linalg.norm(spins, axis=-1, keepdims=True)
