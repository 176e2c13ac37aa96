"""Unit cells of the common lattices."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..configuration import Array

_HEXAGONAL = ((1.0, 0.0), (0.5, math.sqrt(3) / 2))
_CUBIC = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))

# name -> cell vectors at lattice constant 1, and the basis in fractions of them
_LATTICES: dict[str, tuple[tuple[tuple[float, ...], ...], tuple[tuple[float, ...], ...]]] = {
    "chain": (((1.0,),), ((0.0,),)),
    "square": (((1.0, 0.0), (0.0, 1.0)), ((0.0, 0.0),)),
    "triangular": (_HEXAGONAL, ((0.0, 0.0),)),
    "honeycomb": (_HEXAGONAL, ((1 / 3, 1 / 3), (2 / 3, 2 / 3))),
    "kagome": (_HEXAGONAL, ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5))),
    "cubic": (_CUBIC, ((0.0, 0.0, 0.0),)),
    "bcc": (_CUBIC, ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))),
    "fcc": (_CUBIC, ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))),
}
LATTICES = tuple(_LATTICES)


class UnitCell(NamedTuple):
    """One cell of a crystal.

    ``cell`` (3, 3), one vector a row, and ``positions`` (n, 3), length; ``species`` (n,); ``periodic`` (3,): the
    vectors that the crystal is repeated along.
    """

    cell: Array
    positions: Array
    species: NDArray[np.int64]
    periodic: NDArray[np.bool_]

    @property
    def dimension(self) -> int:
        return int(self.periodic.sum())

    @property
    def measure(self) -> float:
        """Length, area or volume spanned by the periodic vectors."""
        vectors = self.cell[self.periodic]
        return math.sqrt(np.linalg.det(vectors @ vectors.T))

    def scaled(self, factor: float) -> UnitCell:
        return self._replace(cell=self.cell * factor, positions=self.positions * factor)


def unit_cell(name: str) -> UnitCell:
    """The cell of a named lattice at lattice constant 1, in the first 1, 2 or 3 coordinates.

    ``chain``, ``square``, ``triangular`` and ``cubic`` have one site a cell; ``honeycomb`` 2, ``kagome`` 3 (both in
    the rhombic cell of the triangular lattice, vectors at 60 degrees), ``bcc`` 2 and ``fcc`` 4 (both in the cube).
    """
    vectors, basis = _LATTICES[name]
    dimension = len(vectors)
    cell = np.eye(3)
    cell[:dimension, :dimension] = vectors
    positions = np.zeros((len(basis), 3))
    positions[:, :dimension] = np.array(basis) @ np.array(vectors)
    return UnitCell(cell, positions, np.zeros(len(basis), np.int64), np.arange(3) < dimension)
