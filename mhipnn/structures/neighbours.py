"""Neighbour lists in partly periodic cells: every image of every site within a cutoff."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from vesin import NeighborList

from ..configuration import Array
from ..errors import InputError


class Edges(NamedTuple):
    """Directed edges j -> i, sorted by receiver, then source, then offset.

    ``source`` (E,) int64 is j, ``receiver`` (E,) int64 is i, ``offset`` (E, 3) is the lattice vector of the image,
    length: r_ij = R_j - R_i + offset.
    """

    source: NDArray[np.int64]
    receiver: NDArray[np.int64]
    offset: Array


def neighbour_list(positions: ArrayLike, cell: ArrayLike, pbc: ArrayLike, cutoff: float) -> Edges:
    """All directed pairs with |R_j - R_i + offset| < cutoff.

    The list is full (both directions), holds every image of a pair, and a site's own images i -> i + offset where the
    cell is smaller than the cutoff. Sites may lie outside the cell.

    Args:
        positions: (N, 3), length.
        cell: (3, 3), one cell vector a row, length.
        pbc: (3,) or one bool, which cell vectors are periods.
        cutoff: length, > 0.

    Raises:
        InputError: cutoff not positive and finite; two sites (or a site and an image) at the same place.
    """
    if not (np.isfinite(cutoff) and cutoff > 0):
        raise InputError(f"cutoff: expected a length > 0, got {cutoff}")
    positions = np.ascontiguousarray(positions, dtype=np.float64)
    cell = np.ascontiguousarray(cell, dtype=np.float64)
    periodic = np.broadcast_to(np.asarray(pbc, bool), (3,)).tolist()
    # vesin refuses cutoffs of 1e-6 and less; what lies beyond the cutoff goes below
    search = NeighborList(cutoff=max(float(cutoff), 1e-5), full_list=True)
    receiver, source, shift = search.compute(positions, cell, periodic, "ijS")
    receiver, source, shift = receiver.astype(np.int64), source.astype(np.int64), shift.astype(np.int64)
    order = np.lexsort((shift[:, 2], shift[:, 1], shift[:, 0], source, receiver))
    receiver, source, shift = receiver[order], source[order], shift[order]
    offset = shift @ cell
    # Users of the edges take the distance in this way: r < cutoff must hold in it, to the last bit.
    distance = np.linalg.norm(positions[source] - positions[receiver] + offset, axis=1)
    if (distance == 0).any():
        pair = int(np.argmin(distance))
        raise InputError(
            f"positions: sites {receiver[pair]} and {source[pair]} are at the same place "
            f"{positions[receiver[pair]].tolist()} (up to a period); move or remove one of them"
        )
    inside = distance < cutoff
    return Edges(source[inside], receiver[inside], offset[inside])
