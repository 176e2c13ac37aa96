"""Lattices by hand: positions of a periodic crystal with spacing 1, its allowed k, and the bands of the textbook."""

from __future__ import annotations

import itertools

import numpy as np

from mhipnn import SpinConfiguration

SQRT3 = np.sqrt(3.0)
TRIANGULAR = np.array([[1, 0, 0], [0.5, SQRT3 / 2, 0], [0, 0, 1.0]])
# name: primitive vectors (nearest neighbours at distance 1), basis in units of them, dimension
CRYSTALS = {
    "chain": (np.eye(3), [[0, 0, 0]], 1),
    "square": (np.eye(3), [[0, 0, 0]], 2),
    "triangular": (TRIANGULAR, [[0, 0, 0]], 2),
    "honeycomb": (SQRT3 * TRIANGULAR, [[0, 0, 0], [1 / 3, 1 / 3, 0]], 2),
    "kagome": (2 * TRIANGULAR, [[0, 0, 0], [0.5, 0, 0], [0, 0.5, 0]], 2),
    "cubic": (np.eye(3), [[0, 0, 0]], 3),
    "bcc": (np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / SQRT3, [[0, 0, 0]], 3),
    "fcc": (np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / np.sqrt(2), [[0, 0, 0]], 3),
}


def crystal(name: str, n_cells: int, spins=(0.0, 0.0, 1.0)) -> SpinConfiguration:
    """n_cells along every period; spins (3,) for all or a function of the positions."""
    vectors, basis, dimension = CRYSTALS[name]
    cells = itertools.product(*[range(n_cells)] * dimension, *[range(1)] * (3 - dimension))
    positions = np.array([(np.array(n) + b) @ vectors for n in cells for b in np.array(basis)])
    periodic = np.arange(3) < dimension
    cell = vectors * np.where(periodic, n_cells, 1)[:, None]
    values = np.asarray(spins(positions) if callable(spins) else spins, float)
    return SpinConfiguration(positions, cell, periodic, np.broadcast_to(values, positions.shape))


def phases(name: str, n_cells: int) -> np.ndarray:
    """k.a of every allowed k along the primitive vectors, (K, dimension)."""
    dimension = CRYSTALS[name][2]
    return 2 * np.pi * np.array(list(itertools.product(range(n_cells), repeat=dimension))) / n_cells


def band_energies(name: str, n_cells: int, t: float = 1.0) -> np.ndarray:
    """Textbook bands of nearest-neighbour hopping -t, ascending, one spin."""
    k = phases(name, n_cells).T
    if name in ("chain", "square", "cubic"):
        bands = -2 * t * np.cos(k).sum(0)
    elif name == "triangular":
        bands = -2 * t * (np.cos(k[0]) + np.cos(k[1]) + np.cos(k[0] - k[1]))
    elif name == "honeycomb":
        size = t * np.abs(1 + np.exp(1j * k[0]) + np.exp(1j * k[1]))
        bands = np.concatenate([size, -size])
    elif name == "kagome":
        root = np.sqrt(np.maximum(3 + 2 * (np.cos(k[0]) + np.cos(k[1]) + np.cos(k[0] - k[1])), 0))
        bands = np.concatenate([np.full_like(root, 2 * t), -t * (1 + root), -t * (1 - root)])
    elif name == "bcc":
        # eight neighbours: a1, a2, a3 and a1 + a2 + a3, both ways
        bands = -2 * t * (np.cos(k).sum(0) + np.cos(k.sum(0)))
    else:
        # fcc, twelve neighbours: a_i and a_i - a_j, both ways
        pairs = [np.cos(k[i] - k[j]) for i, j in ((0, 1), (1, 2), (2, 0))]
        bands = -2 * t * (np.cos(k).sum(0) + sum(pairs))
    return np.sort(bands)
