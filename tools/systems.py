"""The disordered systems that the benchmarks run on."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch_geometric.data import Batch

from mhipnn import SpinConfiguration, random_sites
from mhipnn.data.graph import SpinGraph, spin_graph

MOST_REALISED = 10_000


def batch_of_random_sites(n_graphs: int, n_sites: int, cutoff: float, dtype: torch.dtype) -> SpinGraph:
    """Random 2-D sites with random spins, one realisation a graph."""
    return Batch.from_data_list(
        [spin_graph(random_sites(n_sites, rng=number), cutoff, dtype) for number in range(n_graphs)]
    )


def random_system(n_sites: int) -> SpinConfiguration:
    """Random 2-D sites at density 1 with random spins.

    Beyond 10^4 sites one periodic realisation is repeated (pushing sites apart takes long, and every neighbourhood is
    as random as before), with its own spin on each site. The number of sites is then ``n_sites`` to the nearest
    multiple of the copies.
    """
    copies = math.ceil(n_sites / MOST_REALISED)
    sites = random_sites(round(n_sites / copies), rng=0)
    if copies == 1:
        return sites
    along = next(n for n in range(math.isqrt(copies), 0, -1) if copies % n == 0)
    shifts = np.array([(a, b, 0) for a in range(along) for b in range(copies // along)]) @ sites.cell
    spins = np.random.default_rng(0).normal(size=(copies * sites.n_sites, 3))
    return SpinConfiguration(
        positions=(shifts[:, None] + sites.positions).reshape(-1, 3),
        cell=sites.cell * np.array([along, copies // along, 1])[:, None],
        pbc=sites.pbc,
        spins=spins / np.linalg.norm(spins, axis=1, keepdims=True),
    )
