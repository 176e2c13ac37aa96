"""A network at frozen sites: all that depends on the geometry alone is computed once, then fields for many spins."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch

from ..configuration import SpinConfiguration
from ..data.graph import spin_graph
from ..structures.ordering import spatial_order
from .energy_model import EnergyModel, gradients_of
from .neighbourhood import neighbourhood


class FrozenNetwork:
    """Energy and fields of R replicas at fixed sites: spins (R, N, 3) -> (R,), (R, N, 3).

    Inside, the sites of a replica are sorted in space, so that gathers from neighbours stay in the caches. On a GPU the
    whole evaluation is captured as a CUDA graph at the first call and replayed ever after.

    Args:
        model: the network, its parameters frozen.
        configs: R configurations of N sites each.
        device, dtype: of spins, energies and fields.
        block_sites: sites in a block of a message layer on a GPU: bounds the memory (default: the model's).
    """

    def __init__(
        self,
        model: EnergyModel,
        configs: Sequence[SpinConfiguration],
        device: torch.device,
        dtype: torch.dtype,
        block_sites: int | None = None,
    ) -> None:
        self.model, self.n_replicas, self.device, self.dtype = model, len(configs), device, dtype
        orders = [spatial_order(config.positions, config.cell, model.cutoff) for config in configs]
        starts = np.arange(len(configs)) * configs[0].n_sites
        order = np.concatenate([start + order for start, order in zip(starts, orders, strict=True)])
        self._order = torch.from_numpy(order).to(device)
        self._back = torch.argsort(self._order)
        graphs = [
            spin_graph(config.take(order), model.cutoff, dtype=dtype)
            for config, order in zip(configs, orders, strict=True)
        ]
        batch = Batch.from_data_list(graphs).to(device)
        with torch.no_grad():
            self.neighbours = neighbourhood(batch, batch.positions, block_sites or model.block_sites)
            self.couplings = model.couplings(self.neighbours)
            self._compiled = model.compiled(self.neighbours, self.couplings)
        self._replay: _Replay | None = None

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        flat = spins.reshape(-1, 3).detach().index_select(0, self._order)
        if self.device.type == "cuda":
            self._replay = self._replay or _Replay(self._evaluate, flat)
            energies, field = self._replay(flat)
        else:
            energies, field = self._evaluate(flat)
        return energies, field.index_select(0, self._back).view(spins.shape)

    def _evaluate(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        terms, gradient = (self._compiled or self._by_autograd)(flat)
        site_energy = (self.model.scale * terms.sum(-1)).double() + self.model.offset
        return site_energy.view(self.n_replicas, -1).sum(1).to(self.dtype), -self.model.scale * gradient

    def _by_autograd(self, flat: Tensor) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            flat = flat.detach().requires_grad_()
            seen = self.model.seen_spins(flat, self.neighbours)
            terms = self.model.site_terms(seen, self.neighbours, self.couplings)
            (gradient,) = gradients_of(terms.sum(), [flat])
        return terms.detach(), gradient


class _Replay:
    """A function of one tensor captured as a CUDA graph: one launch instead of hundreds."""

    def __init__(self, function, example: Tensor) -> None:  # type: ignore[no-untyped-def]
        self._given = example.clone()
        stream = torch.cuda.Stream(example.device)
        stream.wait_stream(torch.cuda.current_stream(example.device))
        with torch.cuda.stream(stream):
            for _ in range(2):  # compilation and the first allocations happen outside the capture
                function(self._given)
        torch.cuda.current_stream(example.device).wait_stream(stream)
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._energies, self._field = function(self._given)

    def __call__(self, values: Tensor) -> tuple[Tensor, Tensor]:
        self._given.copy_(values)
        self._graph.replay()
        return self._energies.clone(), self._field
