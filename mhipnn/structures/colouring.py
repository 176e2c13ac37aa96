"""The graph of nearest neighbours, and its two sublattices where it has them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..configuration import SpinConfiguration
from ..errors import InputError
from .neighbours import Edges, neighbour_list

REACH = 1.1
"""Neighbours are pairs below this multiple of the smallest distance, if nothing else is said."""


def close_pairs(sites: SpinConfiguration, reach: float | None = None) -> Edges:
    """All pairs closer than ``reach`` (length; None: 1.1 times the smallest distance); none for a lone site.

    Raises:
        InputError: a ``reach`` beyond the whole system.
    """
    spread = np.linalg.norm(np.ptp(sites.positions, axis=0)) + np.linalg.norm(sites.cell, axis=1).max()
    if reach is not None:
        if reach > spread:
            raise InputError(f"neighbour_range: {reach:g} is longer than the whole system ({spread:.4g}); lower it")
        return neighbour_list(sites.positions, sites.cell, sites.pbc, reach)
    cutoff = (abs(np.linalg.det(sites.cell)) / sites.n_sites) ** (1 / 3)
    edges = neighbour_list(sites.positions, sites.cell, sites.pbc, cutoff)
    while len(edges.source) == 0 and cutoff <= spread:
        cutoff *= 1.5
        edges = neighbour_list(sites.positions, sites.cell, sites.pbc, cutoff)
    if len(edges.source) == 0:
        return edges
    bonds = sites.positions[edges.source] - sites.positions[edges.receiver] + edges.offset
    return neighbour_list(sites.positions, sites.cell, sites.pbc, REACH * np.linalg.norm(bonds, axis=1).min())


def two_colouring(sites: SpinConfiguration, reach: float | None = None) -> NDArray[np.int64]:
    """0 or 1 for every site, different on all neighbours, (N,); in each connected part the first site has 0.

    Raises:
        InputError: a loop of odd length (triangles, odd periodic boxes, random sites).
    """
    edges = close_pairs(sites, reach)
    first = np.searchsorted(edges.receiver, np.arange(sites.n_sites + 1))
    colours = np.full(sites.n_sites, -1)
    for start in range(sites.n_sites):
        if colours[start] >= 0:
            continue
        colours[start] = 0
        waiting = [start]
        while waiting:
            site = waiting.pop()
            for neighbour in edges.source[first[site] : first[site + 1]]:
                if colours[neighbour] < 0:
                    colours[neighbour] = 1 - colours[site]
                    waiting.append(neighbour)
                elif colours[neighbour] == colours[site]:
                    raise InputError(
                        f"order neel: neighbours {site} and {neighbour} cannot have different signs, the graph of "
                        "neighbours has a loop of odd length (triangles, an odd periodic box, disordered sites); give "
                        "a wave vector q, or another neighbour_range"
                    )
    return colours
