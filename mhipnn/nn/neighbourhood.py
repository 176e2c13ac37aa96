"""The geometry around every site, in the padded layout that the networks work on."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..data.graph import SpinGraph


@dataclass(frozen=True)
class Neighbourhood:
    """Neighbours of N sites, padded to the largest number of neighbours K.

    ``index`` (N, K): the neighbour j(i, k) in slot k of site i, 0 in empty slots; ``counts`` (N,): the slots of a site
    from there on are empty; ``distance`` (N, K): |r_ij|, 1 in empty slots; ``species`` (N,). All depends on the frozen
    geometry alone, not on spins.
    ``block_sites``: walk through the sites in blocks of so many, where memory counts and no second derivatives are
    needed; None for all at once. ``fields_only``: of the second derivatives only those by parameters and once by spins
    are wanted, as in training on fields; invariants of spins then take no part in the last backward pass. A model whose
    invariants depend on parameters must replace it by False.
    ``vector`` (E, 3) are the edges r_ij themselves and ``place`` (E,) where they lie among the N K slots, for models
    that ask for a ``direction``. ``batch`` (N,): the graph of every site, 0 .. n_graphs - 1; None if there is but one.
    """

    index: Tensor
    counts: Tensor
    distance: Tensor
    species: Tensor
    block_sites: int | None = None
    fields_only: bool = False
    vector: Tensor | None = None
    place: Tensor | None = None
    batch: Tensor | None = None
    n_graphs: int = 1

    @property
    def n_sites(self) -> int:
        return self.index.shape[0]

    @property
    def mask(self) -> Tensor:
        """(N, K): 1 where the slot is filled, else 0."""
        slots = torch.arange(self.index.shape[1], device=self.index.device)
        return (slots < self.counts[:, None]).to(self.distance.dtype)

    @property
    def direction(self) -> Tensor:
        """r_ij / |r_ij|, (N, K, 3), 0 in empty slots; differentiable in the positions, and made when asked for."""
        if self.vector is None or self.place is None:
            raise ValueError("this neighbourhood was made without edges; neighbourhood(graph, positions) has them")
        vector = self.vector.new_zeros(self.distance.numel(), 3).index_copy(0, self.place, self.vector)
        return vector.view(*self.distance.shape, 3) / self.distance[..., None]

    def gather(self, values: Tensor) -> Tensor:
        """Values of the neighbours: (N, F) -> (N, K, F). Empty slots hold site 0 and must meet a zero weight."""
        return values.index_select(0, self.index.reshape(-1)).view(*self.index.shape, values.shape[-1])


def neighbourhood(
    graph: SpinGraph, positions: Tensor, block_sites: int | None = None, fields_only: bool = False
) -> Neighbourhood:
    """Pad the edges of a graph (sorted by receiver) into a neighbourhood; differentiable in ``positions`` (N, 3)."""
    source, receiver = graph.edge_index
    n_sites, n_edges = len(positions), len(source)
    counts = torch.bincount(receiver, minlength=n_sites)
    width = int(counts.max()) if n_edges else 0
    slot = torch.arange(n_edges, device=source.device) - (counts.cumsum(0) - counts).index_select(0, receiver)
    place = receiver * width + slot

    index = source.new_zeros(n_sites * width).index_copy(0, place, source)
    vector = positions.index_select(0, source) - positions.index_select(0, receiver) + graph.edge_offset
    # Ones in the empty slots keep 1/r and its derivatives finite there; the mask removes them.
    distance = positions.new_ones(n_sites * width).index_copy(0, place, vector.norm(dim=-1))
    shape = (n_sites, width)
    batch = getattr(graph, "batch", None)
    return Neighbourhood(
        index=index.view(shape),
        counts=counts,
        distance=distance.view(shape),
        species=graph.species,
        block_sites=block_sites,
        fields_only=fields_only,
        vector=vector,
        place=place,
        batch=batch,
        n_graphs=1 if batch is None else graph.num_graphs,
    )
