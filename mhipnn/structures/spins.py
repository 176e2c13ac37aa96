"""Samplers of spins: which spin states of a disorder realisation get labelled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..potential import Potential
from .checks import require_count

UNCORRELATED_TIME = -1.0
"""The time that goes with spins which no dynamics has touched."""


@runtime_checkable
class SpinSampler(Protocol):
    """A way to choose spin states on given sites; applied to realisations whose number is divisible by ``every``."""

    every: int

    def sample(
        self, sites: SpinConfiguration, potential: Potential, rng: np.random.Generator
    ) -> list[tuple[float, Array]]:
        """A list of (time since the quench, spins (N, 3)); the spins that ``sites`` carries are ignored."""
        ...


def random_spins(n: int, rng: np.random.Generator) -> Array:
    """n independent unit vectors, uniform on the sphere (T = infinity), (n, 3)."""
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@dataclass(frozen=True)
class RandomSpins:
    """Sampler of ``n`` uncorrelated spin states a realisation, each with time -1.

    Args:
        n: how many states.
        every: use this sampler only for realisations whose number is divisible by it.

    Raises:
        InputError: n or every is not an integer >= 1.
    """

    n: int = 1
    every: int = 1

    def __post_init__(self) -> None:
        for name in ("n", "every"):
            require_count(f"RandomSpins.{name}", getattr(self, name))

    def sample(
        self, sites: SpinConfiguration, potential: Potential, rng: np.random.Generator
    ) -> list[tuple[float, Array]]:
        return [(UNCORRELATED_TIME, random_spins(sites.n_sites, rng)) for _ in range(self.n)]
