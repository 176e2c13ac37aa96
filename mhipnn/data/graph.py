"""A spin configuration as a PyG graph whose collation follows the table of keys."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch_geometric.data import Data

from ..configuration import SpinConfiguration
from ..errors import InputError, suggest
from ..keys import KEYS
from ..structures import neighbour_list

# What PyG itself writes on a graph or a batch: site -> graph number, and the offsets of the graphs.
_BOOKKEEPING = ("num_nodes", "batch", "ptr")


class SpinGraph(Data):
    """Sites, directed edges and labels of one configuration, or of a batch of them.

    A key's level in ``mhipnn.keys.KEYS`` decides how it collates: site and edge tensors and one row per graph are
    joined along axis 0, ``edge_index`` along axis 1 with the site count added. PyG would decide by substrings of the
    name, and joins the unknown silently.

    Raises:
        InputError: a key that the table does not know, when graphs are collated or separated.
    """

    def __cat_dim__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> int:
        _require_known(key)
        return 1 if key == "edge_index" else 0

    def __inc__(self, key: str, value: Any, *args: Any, **kwargs: Any) -> int:
        _require_known(key)
        # `batch` counts graphs: joined batches of batches go on counting.
        if key == "batch":
            return int(value.max()) + 1 if value.numel() else 0
        return int(self.num_nodes or 0) if key == "edge_index" else 0


def spin_graph(
    config: SpinConfiguration,
    cutoff: float,
    dtype: torch.dtype = torch.float32,
    energy: float | None = None,
    field: ArrayLike | None = None,
    forces: ArrayLike | None = None,
    realisation: int = -1,
    time: float = -1.0,
) -> SpinGraph:
    """The graph of one configuration with an edge j -> i wherever |R_j - R_i + edge_offset| < cutoff.

    Args:
        config: N sites.
        cutoff: length, > 0.
        dtype: of all real tensors but the energy, which stays float64 (it is a sum of N terms).
        energy: E, or None to leave the label out; likewise ``field`` (N, 3) and ``forces`` (N, 3).
        realisation, time: where the configuration comes from (see ``mhipnn.keys``).

    Raises:
        InputError: cutoff not positive, coincident sites, a label of the wrong shape.
    """
    edges = neighbour_list(config.positions, config.cell, config.pbc, cutoff)
    graph = SpinGraph(
        positions=torch.tensor(config.positions, dtype=dtype),
        spins=torch.tensor(config.spins, dtype=dtype),
        species=torch.tensor(config.species, dtype=torch.int64),
        moments=torch.tensor(config.moments, dtype=dtype),
        cell=torch.tensor(config.cell[None], dtype=dtype),
        pbc=torch.tensor(config.pbc[None]),
        edge_index=torch.tensor(np.stack([edges.source, edges.receiver]), dtype=torch.int64),
        edge_offset=torch.tensor(edges.offset.reshape(-1, 3), dtype=dtype),
        realisation=torch.tensor([realisation], dtype=torch.int64),
        time=torch.tensor([time], dtype=dtype),
        num_nodes=config.n_sites,
    )
    if energy is not None:
        graph.energy = torch.tensor([energy], dtype=torch.float64)
    if field is not None:
        graph.field = _site_vectors("field", field, config.n_sites, dtype)
    if forces is not None:
        graph.forces = _site_vectors("forces", forces, config.n_sites, dtype)
    return graph


def _site_vectors(name: str, value: ArrayLike, n_sites: int, dtype: torch.dtype) -> Tensor:
    array = np.asarray(value, dtype=np.float64)
    if array.shape != (n_sites, 3):
        raise InputError(f"{name}: expected shape ({n_sites}, 3), got {array.shape}")
    return torch.tensor(array, dtype=dtype)


def _require_known(key: str) -> None:
    if key not in KEYS and key not in _BOOKKEEPING:
        raise InputError(f"SpinGraph: unknown key {key!r}; {suggest(key, KEYS)}. Add new ones to mhipnn.keys.KEYS")
