"""A configuration: sites in a (partly) periodic cell and one classical spin on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import InputError

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SpinConfiguration:
    """Positions, cell and spins of one system; everything that a potential needs.

    Args:
        positions: (N, 3), lengths in the mean spacing; need not lie inside the cell.
        cell: (3, 3), one cell vector a row. A 2-D system lives in 3-D with ``pbc = (True, True, False)``.
        pbc: (3,), which cell vectors are periods.
        spins: (N, 3), unit vectors for model Hamiltonians (other lengths are allowed).
        species: (N,) integers >= 0, default 0.
        moments: (N,) magnetic moments mu_i >= 0, default 1; 0 is a vacancy, whose spin never moves.

    Raises:
        InputError: wrong shape, a non-finite number (with its site), a cell of zero volume, mu_i < 0.
    """

    positions: Array
    cell: Array
    pbc: NDArray[np.bool_]
    spins: Array
    species: NDArray[np.int64] = None  # type: ignore[assignment]
    moments: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        positions = _finite_array("positions", self.positions, (None, 3))
        n_sites = len(positions)
        if n_sites == 0:
            raise InputError("positions: a configuration needs at least one site, got none")
        cell = _finite_array("cell", self.cell, (3, 3))
        if abs(np.linalg.det(cell)) < 1e-12 * max(1.0, np.abs(cell).max()) ** 3:
            raise InputError(
                f"cell has zero volume: {cell.tolist()}; give three independent vectors "
                "(a 2-D system still needs a third one, of any length)"
            )
        spins = _finite_array("spins", self.spins, (n_sites, 3))
        moments = np.ones(n_sites) if self.moments is None else self.moments
        moments = _finite_array("moments", moments, (n_sites,))
        if (moments < 0).any():
            site = int(np.argmax(moments < 0))
            raise InputError(f"moments: mu must be >= 0, got {moments[site]} at site {site}")
        species = np.zeros(n_sites, int) if self.species is None else np.asarray(self.species)
        if species.shape != (n_sites,) or species.dtype.kind not in "iu" or (species < 0).any():
            raise InputError(f"species: expected {n_sites} integers >= 0, got {species.dtype} {species.shape}")
        values = dict(
            positions=positions,
            cell=cell,
            pbc=np.broadcast_to(np.asarray(self.pbc, bool), (3,)).copy(),
            spins=spins,
            species=species.astype(np.int64),
            moments=moments,
        )
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def n_sites(self) -> int:
        return len(self.positions)

    def with_spins(self, spins: ArrayLike) -> SpinConfiguration:
        """The same sites with other spins, (N, 3)."""
        return replace(self, spins=np.asarray(spins))

    def take(self, sites: ArrayLike) -> SpinConfiguration:
        """These sites, in this order, in the same cell."""
        chosen = np.asarray(sites)
        names = ("positions", "spins", "species", "moments")
        return replace(self, **{name: getattr(self, name)[chosen] for name in names})


def moments_of(configs: Sequence[SpinConfiguration]) -> Array:
    """mu_i of R configurations with N sites each, (R, N)."""
    return np.stack([config.moments for config in configs])


def _finite_array(name: str, value: ArrayLike, shape: tuple[int | None, ...]) -> Array:
    array = np.array(value, dtype=np.float64)
    fits = array.ndim == len(shape) and all(want in (None, have) for want, have in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
        raise InputError(f"{name}: expected shape {wanted}, got {array.shape}")
    bad = ~np.isfinite(array)
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        where = "row" if name == "cell" else "site"
        raise InputError(f"{name}: {array[row].tolist()} at {where} {row} is not finite")
    return array
