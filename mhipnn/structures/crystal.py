"""Lattices: perfect, with displaced sites, with vacancies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import InputError, suggest
from .checks import require_count, require_number, require_scale
from .disorder import close_packed_distance
from .lattice import LATTICES, UnitCell, unit_cell
from .neighbours import neighbour_list
from .species import Species, as_species, with_species
from .spins import random_spins
from .structure_file import read_frames

MAX_REDRAWS = 1000


@dataclass(frozen=True)
class Crystal:
    """A lattice of ``cells`` unit cells; every sample has the same sites and new uncorrelated spins.

    A lattice in d < 3 dimensions lies in the first d coordinates, with pbc False beyond them.

    Args:
        lattice: ``chain``, ``square``, ``triangular``, ``honeycomb``, ``kagome`` (the last three in the rhombic cell
            with vectors at 60 degrees), ``cubic``, ``bcc``, ``fcc`` (both in the cube); or the path of a file with one
            structure (npz, or what ASE reads), which is repeated along its periodic directions.
        cells: number of cells along each of the d directions, or one number for all.
        pbc: whether each of the d directions is periodic, or one bool for all; None: all.
        lattice_constant: length of the first cell vector; None: it follows from the density.
        density: sites per length, area or volume; None (with no lattice constant): a file is taken as it is, and a
            named lattice has lattice constant 1.
        species: ``{fractions: [0.8, 0.2]}`` shares species out over the sites at random; None: species 0 on a named
            lattice, those of the file else.
        sha256: what the content of a structure file must hash to (it makes the content a part of what is hashed as the
            definition of a dataset); None: the path alone counts.

    Raises:
        InputError: an unknown lattice, a number out of range, lists of another length than d.
        DatasetError: a structure file that is missing, damaged, of another content, or of several frames.
    """

    lattice: str = "square"
    cells: int | Sequence[int] = 10
    pbc: bool | Sequence[bool] | None = None
    lattice_constant: float | None = None
    density: float | None = 1.0
    species: Species | Mapping[str, Any] | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        for name in ("lattice_constant", "density"):
            if getattr(self, name) is not None:
                require_scale(name, getattr(self, name))
        object.__setattr__(self, "species", as_species(self.species))
        d = self.unit_cell.dimension
        for name, default in (("cells", None), ("pbc", True)):
            value = default if getattr(self, name) is None else getattr(self, name)
            values = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else (value,) * d
            if len(values) != d:
                raise InputError(f"{name}: {self.lattice} has {d} directions, got {len(values)} values {list(values)}")
            object.__setattr__(self, name, values)
        for count in self._cells:
            require_count("cells", count)
        for periodic in self.pbc:  # type: ignore[union-attr]
            if not isinstance(periodic, bool | np.bool_):
                raise InputError(f"pbc: expected true or false for each direction, got {periodic!r}")

    @cached_property
    def unit_cell(self) -> UnitCell:
        """One cell, with its lengths."""
        named = self.lattice in LATTICES
        unit = unit_cell(self.lattice) if named else _cell_from_file(self.lattice, self.sha256)
        if named and self.sha256 is not None:
            raise InputError(f"sha256: {self.lattice} is a named lattice, not a file; leave sha256 out")
        scale = 1.0
        if self.lattice_constant is not None:
            scale = self.lattice_constant / float(np.linalg.norm(unit.cell[unit.periodic][0]))
        elif self.density is not None:
            scale = (len(unit.positions) / (self.density * unit.measure)) ** (1 / unit.dimension)
        unit = unit.scaled(scale)
        if named:  # the directions without sites keep length 1
            unit = unit._replace(cell=np.where(unit.periodic[:, None], unit.cell, np.eye(3)))
        return unit

    @cached_property
    def sites(self) -> SpinConfiguration:
        """The perfect lattice, spins along z: cell after cell, the last direction fastest."""
        unit = self.unit_cell
        repeats = np.ones(3, int)
        repeats[unit.periodic] = self._cells
        corners = np.stack(np.meshgrid(*map(np.arange, repeats), indexing="ij"), -1).reshape(-1, 3) @ unit.cell
        positions = (corners[:, None] + unit.positions).reshape(-1, 3)
        pbc = np.zeros(3, bool)
        pbc[unit.periodic] = self.pbc
        return SpinConfiguration(
            positions=positions,
            cell=unit.cell * repeats[:, None],
            pbc=pbc,
            spins=np.tile([0.0, 0.0, 1.0], (len(positions), 1)),
            species=np.tile(unit.species, len(corners)),
        )

    @property
    def n_sites(self) -> int:
        return int(np.prod(self._cells)) * len(self.unit_cell.positions)

    def sample(self, rng: np.random.Generator) -> SpinConfiguration:
        """One realisation, with uncorrelated unit spins."""
        return self._occupied(self.sites, rng)

    def enlarged(self, factor: int) -> Crystal:
        """The same lattice with ``factor`` times as many sites: the shortest directions grow first."""
        cells = np.array(self._cells)
        lengths = np.linalg.norm(self.unit_cell.cell[self.unit_cell.periodic], axis=1)
        for prime in _prime_factors(require_count("factor", factor)):
            cells[np.argmin((cells * lengths).round(9))] *= prime
        return replace(self, cells=tuple(map(int, cells)))

    @property
    def _cells(self) -> tuple[int, ...]:
        return self.cells  # type: ignore[return-value]

    def _occupied(self, sites: SpinConfiguration, rng: np.random.Generator) -> SpinConfiguration:
        """Spins, then species."""
        return with_species(sites.with_spins(random_spins(sites.n_sites, rng)), as_species(self.species), rng)


@dataclass(frozen=True)
class DisplacedLattice(Crystal):
    """A lattice whose sites are displaced: R_i = R_i^0 + width a u_i, u_i standard Gaussian in every direction.

    a is the mean spacing, density^(-1/dimension); the directions are those of the lattice. Where pairs are closer than
    ``r_min``, both displacements are drawn again until none is.

    Args:
        lattice, cells, pbc, lattice_constant, density, species, sha256: of the perfect lattice, see :class:`Crystal`.
        width: standard deviation of each component, in units of the mean spacing, >= 0.
        r_min: smallest distance, periodic images included, length; None for any.

    Raises:
        InputError: a number out of range; in ``sample``, an r_min that cannot be had.
    """

    width: float = 0.1
    r_min: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if require_number("width", self.width, exclusive=False):
            require_scale("width", self.width)
        if self.r_min is None:
            return
        unit = self.unit_cell
        limit = close_packed_distance(unit.dimension, len(unit.positions) / unit.measure)
        # a layer of a file has thickness: the limit of its plane does not hold
        if require_number("r_min", self.r_min, exclusive=False) > limit and self.lattice in LATTICES:
            raise InputError(
                f"r_min = {self.r_min:g} is impossible at this density: even close packing reaches only {limit:.4g}; "
                "lower r_min or density"
            )

    def sample(self, rng: np.random.Generator) -> SpinConfiguration:
        positions = self.sites.positions + self._displacements(self.n_sites, rng)
        if self.r_min:
            positions = self._keep_apart(positions, self.r_min, rng)
        return self._occupied(replace(self.sites, positions=positions), rng)

    def _displacements(self, n: int, rng: np.random.Generator) -> Array:
        unit = self.unit_cell
        spacing = (unit.measure / len(unit.positions)) ** (1 / unit.dimension)
        # an orthonormal basis of the directions of the lattice: the first coordinates, unless a file says otherwise
        basis = np.linalg.qr(unit.cell[unit.periodic].T)[0].T
        return self.width * spacing * rng.normal(size=(n, unit.dimension)) @ basis

    def _keep_apart(self, positions: Array, r_min: float, rng: np.random.Generator) -> Array:
        for _ in range(MAX_REDRAWS):
            edges = neighbour_list(positions, self.sites.cell, self.sites.pbc, r_min)
            close = np.unique(edges.receiver)
            if len(close) == 0:
                return positions
            positions = positions.copy()
            positions[close] = self.sites.positions[close] + self._displacements(len(close), rng)
        raise InputError(
            f"r_min = {r_min:g} was not reached at width {self.width:g}: after {MAX_REDRAWS} draws {len(close)} of "
            f"{len(positions)} sites are still closer to another; lower r_min or width"
        )


@dataclass(frozen=True)
class DilutedLattice(Crystal):
    """A lattice with vacancies in random places; the number of sites that are left is the same in every sample.

    ``density`` and ``lattice_constant`` are those of the full lattice, so that its neighbour distances stay.

    Args:
        lattice, cells, pbc, lattice_constant, density, species, sha256: of the full lattice, see :class:`Crystal`.
        vacancies: fraction of sites that are empty, 0 <= x < 1; x N is rounded to a whole number.

    Raises:
        InputError: a number out of range, or no site left.
    """

    vacancies: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if require_number("vacancies", self.vacancies, exclusive=False) >= 1 or self.n_sites < 1:
            raise InputError(
                f"vacancies: {self.vacancies:g} of {super().n_sites} sites leaves none; give a fraction below 1"
            )

    @property
    def n_vacancies(self) -> int:
        return round(self.vacancies * super().n_sites)

    @property
    def n_sites(self) -> int:
        return super().n_sites - self.n_vacancies

    def sample(self, rng: np.random.Generator) -> SpinConfiguration:
        occupied = np.sort(rng.permutation(self.sites.n_sites)[self.n_vacancies :])
        return self._occupied(self.sites.take(occupied), rng)

    def enlarged(self, factor: int) -> DilutedLattice:
        # the fraction that is there, not the one asked for: factor times as many sites, exactly
        exact = self.n_vacancies / super().n_sites
        return replace(super().enlarged(factor), vacancies=exact)  # type: ignore[return-value,call-arg]


def _cell_from_file(path: str, sha256: str | None) -> UnitCell:
    if not isinstance(path, str | Path):
        raise InputError(f"lattice: expected a name or the path of a structure file, got {path!r}")
    if not Path(path).suffix and not Path(path).is_file():
        raise InputError(f"lattice: unknown {path!r}; {suggest(str(path), LATTICES)} (or the path of a structure file)")
    frames = read_frames(path, sha256)
    if len(frames) > 1:
        raise InputError(f"lattice: {path} holds {len(frames)} structures, a crystal needs one; use Amorphous for many")
    frame = frames[0]
    if not frame.pbc.any():
        raise InputError(f"lattice: the structure of {path} has no periodic direction, so it cannot be repeated")
    return UnitCell(frame.cell, frame.positions, frame.species, frame.pbc)


def _prime_factors(number: int) -> list[int]:
    """Largest first."""
    factors, divisor = [], 2
    while number > 1:
        while number % divisor == 0:
            factors.append(divisor)
            number //= divisor
        divisor += 1
    return factors[::-1]
