"""Domains: sites that hang together and point the same way, or are ordered alike."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..configuration import Array, SpinConfiguration
from ..errors import InputError
from ..structures.neighbours import neighbour_list

NONE = -1
"""The label of a site that belongs to no domain."""


class Domains(NamedTuple):
    """``number`` (N,) of each site's domain, from 0, the largest first, -1 for none; ``sizes`` (D,) in sites."""

    number: NDArray[np.int64]
    sizes: NDArray[np.int64]

    @property
    def n(self) -> int:
        return len(self.sizes)

    @property
    def mean_size(self) -> float:
        """sum s^2 / sum s: the mean size of the domain that a site is in; NaN if there is none."""
        total = self.sizes.sum()
        return float((self.sizes**2).sum() / total) if total else float("nan")


def neighbour_bonds(config: SpinConfiguration, cutoff: float = 1.5) -> NDArray[np.int64]:
    """Pairs of different sites closer than ``cutoff``, each once, (B, 2)."""
    edges = neighbour_list(config.positions, config.cell, config.pbc, cutoff)
    pairs = np.stack([edges.receiver, edges.source], 1)[edges.receiver < edges.source]
    return np.unique(pairs, axis=0)


def domains(labels: NDArray[np.int64], bonds: NDArray[np.int64]) -> Domains:
    """Connected parts of equal label along the bonds.

    Args:
        labels: (N,) integers; negative: in no domain.
        bonds: (B, 2), sites.
    """
    n = len(labels)
    i, j = bonds[(labels[bonds[:, 0]] == labels[bonds[:, 1]]) & (labels[bonds[:, 0]] >= 0)].T
    _, part = connected_components(coo_matrix((np.ones(len(i), bool), (i, j)), shape=(n, n)), directed=False)
    member = labels >= 0
    found, where, sizes = np.unique(part[member], return_inverse=True, return_counts=True)
    order = np.argsort(-sizes, kind="stable")
    rank = np.empty(len(found), np.int64)
    rank[order] = np.arange(len(found))
    number = np.full(n, NONE)
    number[member] = rank[where.ravel()]
    return Domains(number, sizes[order])


def sign_labels(spins: Array, axis: ArrayLike, threshold: float = 0.0) -> NDArray[np.int64]:
    """1 where S_i.n > threshold, 0 where S_i.n < -threshold, -1 between; spins (N, 3), n the direction of ``axis``.

    For an antiferromagnet give the spins times +1 and -1 on its sublattices.

    Raises:
        InputError: an axis without direction, a negative threshold.
    """
    n = np.asarray(axis, float)
    if n.shape != (3,) or not np.isfinite(n).all() or not n.any() or threshold < 0:
        raise InputError(f"domains: axis {axis!r} must be three numbers, not all zero, and threshold {threshold} >= 0")
    projection = spins @ (n / np.linalg.norm(n))
    return np.where(projection > threshold, 1, np.where(projection < -threshold, 0, NONE))


def local_order(spins: Array, bonds: NDArray[np.int64]) -> Array:
    """c_i = mean over the bonds of site i of S_i.S_j, (N,): 1 in a ferromagnet, -1 in a Neel state, 0 without bonds."""
    dots = (spins[bonds[:, 0]] * spins[bonds[:, 1]]).sum(-1)
    n = len(spins)
    total = np.bincount(bonds.ravel(), np.repeat(dots, 2), minlength=n)
    return total / np.maximum(np.bincount(bonds.ravel(), minlength=n), 1)


def order_labels(spins: Array, bonds: NDArray[np.int64], threshold: float = 0.5) -> NDArray[np.int64]:
    """1 where neighbours are aligned (c_i > threshold), 0 where they are opposite (c_i < -threshold), -1 elsewhere."""
    order = local_order(spins, bonds)
    return np.where(order > threshold, 1, np.where(order < -threshold, 0, NONE))
