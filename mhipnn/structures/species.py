"""Species shared out over the sites of a structure: exact numbers, in random places."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import SpinConfiguration
from ..errors import InputError
from .checks import require_number


@dataclass(frozen=True)
class Species:
    """Species k on the fraction x_k of the sites.

    The number of sites of each species is exact, N x_k rounded by the largest remainder; where they sit is random.

    Args:
        fractions: one number > 0 a species (species 0 first), with sum 1.

    Raises:
        InputError: a fraction that is not a positive number, a sum that is not 1.
    """

    fractions: Sequence[float]

    def __post_init__(self) -> None:
        if isinstance(self.fractions, str) or not isinstance(self.fractions, Sequence) or not self.fractions:
            raise InputError(f"species.fractions: expected a list of numbers with sum 1, got {self.fractions!r}")
        values = tuple(require_number("species.fractions", value, exclusive=True) for value in self.fractions)
        if abs(math.fsum(values) - 1) > 1e-6:
            raise InputError(
                f"species.fractions: {list(values)} add up to {math.fsum(values):g}; they must add up to 1"
            )
        object.__setattr__(self, "fractions", values)

    def counts(self, n_sites: int) -> list[int]:
        """How many sites each species gets; they add up to ``n_sites``."""
        shares = [n_sites * fraction for fraction in self.fractions]
        counts = [math.floor(share + 1e-9) for share in shares]
        by_remainder = sorted(range(len(shares)), key=lambda k: (round(counts[k] - shares[k], 9), k))
        for k in by_remainder[: n_sites - sum(counts)]:
            counts[k] += 1
        return counts

    def draw(self, n_sites: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Species of every site, (N,)."""
        return rng.permutation(np.repeat(np.arange(len(self.fractions)), self.counts(n_sites)))


def as_species(value: Species | Mapping[str, Any] | None) -> Species | None:
    """The argument ``species`` of a structure: None, ``{fractions: [0.8, 0.2]}``, or a :class:`Species`."""
    if value is None or isinstance(value, Species):
        return value
    if not isinstance(value, Mapping) or set(value) != {"fractions"}:
        raise InputError(f"species: expected {{fractions: [x_0, x_1, ...]}} or nothing, got {value!r}")
    return Species(value["fractions"])


def with_species(config: SpinConfiguration, species: Species | None, rng: np.random.Generator) -> SpinConfiguration:
    """The configuration with species drawn; unchanged, and ``rng`` untouched, without any."""
    if species is None:
        return config
    return replace(config, species=species.draw(config.n_sites, rng))
