"""Amorphous structures: sites at random in a periodic box, none closer to another than r_min."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import InputError
from .checks import require_count, require_number
from .neighbours import neighbour_list
from .species import Species, as_species, with_species
from .spins import random_spins

DEFAULT_R_MIN = {1: 0.75, 2: 0.8, 3: 0.85}
"""Smallest distance in units of the mean spacing, by dimension."""

MAX_SWEEPS = 2000
# Pairs are pushed a little further than r_min, so that the last overlaps end after finitely many sweeps.
MARGIN = 2e-3
# Pairs out to this multiple of r_min stay listed; the list holds until a site has moved half of the difference.
LIST_RANGE = 1.6


def random_sites(
    n_sites: int,
    dimension: int = 2,
    r_min: float | None = None,
    density: float = 1.0,
    rng: int | np.random.Generator | None = None,
) -> SpinConfiguration:
    """N sites uniform in a periodic box of volume N/density, pushed apart until no pair is closer than r_min.

    Each sweep moves both sites of every pair at r < r_min along their connection by half of what is missing. In 1-D no
    pushing is needed: hard rods of length r_min are uniform points in what the rods leave free (Tonks, Phys. Rev. 50,
    955 (1936)). The spins are uncorrelated unit vectors (T = infinity), drawn after the positions.

    Args:
        n_sites: N >= 1.
        dimension: 1 (on the x axis, pbc (True, False, False)), 2 (square box in the plane z = 0, pbc (True, True,
            False)) or 3 (cubic box).
        r_min: smallest distance, periodic images included, length; default 0.75 (1-D), 0.8 (2-D) or 0.85 (3-D) mean
            spacings.
        density: sites per length, area or volume, > 0.
        rng: a generator, or a seed; the result depends on it alone.

    Raises:
        InputError: a value out of range, or an r_min that cannot be had at this density.
    """
    sites = RandomSites(n_sites, dimension, r_min, density)
    return sites.sample(np.random.default_rng(rng))


@dataclass(frozen=True)
class RandomSites:
    """The ensemble that :func:`random_sites` draws from; same arguments, same errors.

    ``species`` (``{fractions: [0.8, 0.2]}``) shares species out over the sites, after everything else is drawn.
    """

    n_sites: int
    dimension: int = 2
    r_min: float | None = None
    density: float = 1.0
    species: Species | Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        require_count("n_sites", self.n_sites)
        if self.dimension not in DEFAULT_R_MIN:
            raise InputError(f"dimension: expected 1, 2 or 3, got {self.dimension!r}")
        require_number("density", self.density, exclusive=True)
        if self.r_min is not None:
            require_number("r_min", self.r_min, exclusive=False)
        object.__setattr__(self, "species", as_species(self.species))
        limit = close_packed_distance(self.dimension, self.density)
        if self.smallest_distance > limit:
            raise InputError(
                f"r_min = {self.smallest_distance:g} is impossible at density {self.density:g} in {self.dimension}-D: "
                f"even close packing reaches only {limit:.4g}; lower r_min or density"
            )

    @property
    def smallest_distance(self) -> float:
        """r_min with its default resolved, length."""
        if self.r_min is not None:
            return float(self.r_min)
        return DEFAULT_R_MIN[self.dimension] * self.density ** (-1 / self.dimension)

    def sample(self, rng: np.random.Generator) -> SpinConfiguration:
        """One realisation, with uncorrelated unit spins."""
        length = (self.n_sites / self.density) ** (1 / self.dimension)
        periodic = np.arange(3) < self.dimension
        cell = np.diag(np.where(periodic, length, 1.0))
        positions = np.zeros((self.n_sites, 3))
        if self.dimension == 1:
            positions[:, 0] = _hard_rods(self.n_sites, length, self.smallest_distance, rng)
        else:
            positions[:, : self.dimension] = rng.uniform(0, length, size=(self.n_sites, self.dimension))
            positions = _push_apart(positions, cell, periodic, self.smallest_distance)
        sites = SpinConfiguration(positions, cell, periodic, random_spins(self.n_sites, rng))
        return with_species(sites, as_species(self.species), rng)

    def enlarged(self, factor: int) -> RandomSites:
        """The same disorder with ``factor`` times as many sites."""
        return replace(self, n_sites=self.n_sites * factor)


def close_packed_distance(dimension: int, density: float) -> float:
    """Nearest distance of the densest packing: chain r = 1/n, triangular r^2 = 2/(sqrt(3) n), fcc r^3 = sqrt(2)/n."""
    volume = {1: 1.0, 2: 2 / math.sqrt(3), 3: math.sqrt(2)}[dimension] / density
    return float(volume ** (1 / dimension))


def _hard_rods(n_sites: int, length: float, r_min: float, rng: np.random.Generator) -> Array:
    """Coordinates in order along a ring of this length, (N,); the first site is anywhere."""
    gaps_end = np.sort(rng.uniform(0, max(length - n_sites * r_min, 0.0), size=n_sites))
    along = gaps_end + r_min * np.arange(n_sites) + rng.uniform(0, length)
    wrapped = np.sort(along % length)
    return np.where(wrapped >= length, 0.0, wrapped)


def _push_apart(positions: Array, cell: Array, periodic: np.ndarray, r_min: float) -> Array:
    """Relax overlaps and wrap into the box; raises where MAX_SWEEPS do not reach r_min."""
    from .overlaps import relax

    length = float(cell[0, 0])
    if r_min == 0:
        return positions
    target, listed = (1 + MARGIN) * r_min, LIST_RANGE * r_min
    reach = (listed - target) / (2 * math.sqrt(3))
    sweeps = 0
    while sweeps < MAX_SWEEPS:
        pairs = neighbour_list(positions, cell, periodic, listed)
        positions, closest, made = relax(positions, *pairs, r_min, target, reach, MAX_SWEEPS - sweeps)
        if closest >= r_min:
            wrapped = np.where(periodic, positions % length, positions)
            # x % L returns L itself for x = -tiny
            return np.where(wrapped >= length, 0.0, wrapped)
        sweeps += made
    raise InputError(
        f"r_min = {r_min:g} was not reached at this density: {MAX_SWEEPS} sweeps left the closest pair of "
        f"{len(positions)} sites at {closest:.4g}; lower r_min or density"
    )
