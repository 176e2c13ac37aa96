"""Which vectors probe the electrons, and on which sites each block of them lives."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ...compilation import compiled
from ...configuration import Array, SpinConfiguration
from .kernels import PAIRS

Sites = NDArray[np.int64]
CHUNK = 512  # centres whose neighbours are listed at a time
UNCOLOURED = -1


@dataclass(frozen=True)
class Block:
    """Up to ``PAIRS`` pairs of vectors r = sum_i xi_i |i, spin>, and the region that H is cut down to for them.

    ``sites`` (n,): the region, ascending; ``rows``, ``pairs`` (K,): which row of it, which pair; ``amplitudes`` (K,):
    xi, real, which keeps E(-S) = E(S), and the same for both spins, which keeps E under rotations of all spins.
    ``local``: each pair is one site.
    """

    sites: Sites
    rows: Sites
    pairs: Sites
    amplitudes: Array
    local: bool


def local_regions(config: SpinConfiguration, radius: float) -> list[Block]:
    """Every site is probed by itself, on the sites within ``radius`` of its patch of up to ``PAIRS`` sites.

    E = sum_i sum_s <i s| omega(H_i) |i s>, H_i the Hamiltonian of the region: nothing is random, and the error is what
    an electron loses that goes from i to the edge of its region and back.
    """
    ball = Balls(config, radius)
    blocks = []
    for patch in _patches(config):
        sites = ball.union(patch)
        rows = np.searchsorted(sites, patch)
        blocks.append(Block(sites, rows, np.arange(len(patch)), np.ones(len(patch)), True))
    return blocks


def probing(config: SpinConfiguration, distance: float, seed: int) -> list[Block]:
    """One vector of random signs per colour and spin, on the whole system; a colour's sites are > ``distance`` apart.

    What two sites of one colour say to each other is noise, of the size of the density matrix beyond ``distance``.
    """
    colours = colouring(config, distance)
    sign = np.random.default_rng(seed).choice([-1.0, 1.0], config.n_sites)
    everywhere = np.arange(config.n_sites)
    blocks = []
    for first in range(0, int(colours.max()) + 1, PAIRS):
        chosen = np.flatnonzero((colours >= first) & (colours < first + PAIRS))
        blocks.append(Block(everywhere, chosen, colours[chosen] - first, sign[chosen], False))
    return blocks


def colouring(config: SpinConfiguration, distance: float) -> Sites:
    """(N,): greedy colours, the smallest that no site within ``distance`` has yet."""
    colours = np.full(config.n_sites, UNCOLOURED)
    ball = Balls(config, distance)
    for centres in _chunks(np.arange(config.n_sites)):
        _colour(colours, centres, *ball.lists(centres))
    return colours


@compiled()
def _colour(colours, centres, starts, members):  # type: ignore[no-untyped-def]
    taken = np.zeros(len(colours) + 1, np.int64)  # the last centre (plus one) that met this colour nearby
    for k, site in enumerate(centres):
        for member in members[starts[k] : starts[k + 1]]:
            if member != site and colours[member] >= 0:
                taken[colours[member]] = k + 1
        colour = 0
        while taken[colour] == k + 1:
            colour += 1
        colours[site] = colour


class Balls:
    """Sites within a radius, periodic images included."""

    def __init__(self, config: SpinConfiguration, radius: float) -> None:
        self.radius = radius
        self.n_sites = config.n_sites
        inverse = np.linalg.inv(config.cell)
        fractions = config.positions @ inverse
        fractions = np.where(config.pbc, fractions % 1.0, fractions)
        # a ball reaches this far along each reciprocal direction
        reach = np.where(config.pbc, radius * np.linalg.norm(inverse, axis=0), 0.0)
        # once every site has an image within reach the ball holds them all
        self.all = bool(config.pbc.any()) and self._covers(config)
        self.positions = fractions @ config.cell
        if self.all:
            return
        images, indices = [], []
        for shift in itertools.product(*(range(-int(np.ceil(r)), int(np.ceil(r)) + 1) for r in reach)):
            moved = fractions + np.array(shift)
            near = ((moved >= -reach - 1e-9) & (moved <= 1 + reach + 1e-9) | ~config.pbc).all(1)
            images.append(moved[near] @ config.cell)
            indices.append(np.flatnonzero(near))
        self.index = np.concatenate(indices)
        self.tree = cKDTree(np.concatenate(images))

    def lists(self, centres: Sites) -> tuple[Sites, Sites]:
        """Sites near each centre (images of one site may repeat it): where each list starts, and all lists in a row."""
        if self.all:
            everyone = np.tile(np.arange(self.n_sites), len(centres))
            return np.arange(len(centres) + 1) * self.n_sites, everyone
        found = self.tree.query_ball_point(self.positions[centres], self.radius)
        starts = np.concatenate([[0], np.cumsum([len(one) for one in found])])
        return starts, self.index[np.fromiter(itertools.chain.from_iterable(found), np.int64, starts[-1])]

    def union(self, centres: Sites) -> Sites:
        """Sites near any of the centres, ascending."""
        return np.arange(self.n_sites) if self.all else np.unique(self.lists(centres)[1])

    def _covers(self, config: SpinConfiguration) -> bool:
        """No point of a fully periodic (or flat) cell is further from another than half its diagonals."""
        spread = np.where(config.pbc[:, None], config.cell, 0.0)
        corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3))) @ spread
        open_part = config.positions @ np.linalg.inv(config.cell) * ~config.pbc @ config.cell
        extent = np.linalg.norm(np.ptp(open_part, axis=0))
        return bool(np.linalg.norm(corners, axis=1).max() + extent <= self.radius)


def _chunks(sites: Sites) -> Iterator[Sites]:
    for first in range(0, len(sites), CHUNK):
        yield sites[first : first + CHUNK]


def _patches(config: SpinConfiguration) -> Sequence[Sites]:
    """Sites in groups of ``PAIRS`` (the last one may be smaller) that lie together: median cuts of the longest side."""

    def cut(sites: Sites) -> list[Sites]:
        if len(sites) <= PAIRS:
            return [np.sort(sites)]
        positions = config.positions[sites]
        order = sites[np.argsort(positions[:, np.ptp(positions, axis=0).argmax()], kind="stable")]
        left = PAIRS * max(1, round(len(sites) / (2 * PAIRS)))
        return cut(order[:left]) + cut(order[left:])

    return cut(np.arange(config.n_sites))
