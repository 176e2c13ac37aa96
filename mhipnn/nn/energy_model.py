"""What every learned energy shares: one energy from site terms, and all gradients from that one energy."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import NamedTuple, Self

import torch
from torch import Tensor, nn

from ..data.graph import SpinGraph
from ..data.statistics import Statistics
from ..errors import ConfigError
from .neighbourhood import Neighbourhood, neighbourhood


class Prediction(NamedTuple):
    """Energies of G graphs with N sites in all, and the gradients of their sum.

    ``energy`` (G,), ``site_energy`` (N,), ``field`` B_i = -dE/dS_i (N, 3), ``torque`` S_i x B_i (N, 3),
    ``forces`` -dE/dR_i (N, 3) or None, ``terms`` (N, n_terms): the hierarchy of dimensionless site terms.
    """

    energy: Tensor
    site_energy: Tensor
    field: Tensor
    torque: Tensor
    forces: Tensor | None
    terms: Tensor


class EnergyModel(nn.Module, ABC):
    r"""E = \sum_i (scale \sum_n e_i^{(n)} + offset): a fixed scale and offset around a learned hierarchy.

    A model writes two methods. ``couplings`` is everything that depends on the geometry alone, so that dynamics at
    frozen sites computes it once; ``site_terms`` gives the dimensionless e_i^(n). Both see spins only through
    rotation invariants.

    Args:
        cutoff: longest distance between sites that see each other, length.
        n_species: number of species; their integers are 0 .. n_species - 1.
    """

    scale: Tensor
    offset: Tensor
    spin_length = False  # whether |S_i| is an input, so that the field along S_i is learned and not a convention
    block_sites = 128  # of evaluations that no loss is taken of: their temporaries stay in the cache

    def __init__(self, cutoff: float, n_species: int = 1) -> None:
        super().__init__()
        if not cutoff > 0:
            raise ConfigError(f"cutoff: expected a positive length, got {cutoff}")
        if n_species < 1:
            raise ConfigError(f"n_species: expected at least 1, got {n_species}")
        self.cutoff = float(cutoff)
        self.n_species = n_species
        self.register_buffer("scale", torch.ones(()))
        self.register_buffer("offset", torch.zeros((), dtype=torch.float64))

    def seen_spins(self, spins: Tensor, neighbours: Neighbourhood) -> Tensor:
        """Spins as data have them -> spins as ``site_terms`` gets them, (N, 3); here the same."""
        return spins

    @abstractmethod
    def couplings(self, neighbours: Neighbourhood) -> list[Tensor]:
        """Tensors that depend on the geometry alone (zero in the empty slots of the padding)."""

    @abstractmethod
    def site_terms(self, spins: Tensor, neighbours: Neighbourhood, couplings: list[Tensor]) -> Tensor:
        """spins (N, 3) -> dimensionless site terms e_i^(n), (N, n_terms)."""

    def compiled(
        self, neighbours: Neighbourhood, couplings: list[Tensor]
    ) -> Callable[[Tensor], tuple[Tensor, Tensor]] | None:
        """For fields at frozen sites: spins (N, 3) -> site terms (N, n_terms) and the gradient of their sum (N, 3).

        A model that can do better than autograd here returns a function that does; it may keep copies of parameters.
        """
        return None

    def in_precision(self, dtype: torch.dtype) -> Self:
        """Change the precision of everything but the offset: total energies are large and stay float64."""
        offset = self.offset.double()
        self.to(dtype)
        self.offset = offset
        return self

    def fit_scale(self, statistics: Statistics) -> None:
        """Set the fixed scale (rms tangential field) and offset (mean energy per site) from the training split."""
        self.scale.fill_(statistics.tangential_rms or 1.0)
        self.offset.fill_(statistics.energy_per_site_mean)

    def fit_features(self, graphs: Sequence[SpinGraph]) -> None:
        """Set whatever else is fixed before the first step from the graphs of the training split; here nothing is."""
        return None

    def forward(self, graph: SpinGraph, forces: bool = False, differentiable: bool | None = None) -> Prediction:
        """Energy, fields and torques (and forces on request) of a graph or a batch of graphs.

        ``differentiable`` keeps the graph of the gradients for a loss on them (default: in training mode).
        """
        differentiable = self.training if differentiable is None else differentiable
        with torch.enable_grad():
            spins = graph.spins.detach().requires_grad_()
            positions = graph.positions.detach().requires_grad_(forces)
            block_sites = None if differentiable else self.block_sites
            neighbours = neighbourhood(graph, positions, block_sites, fields_only=differentiable and not forces)
            couplings = self.couplings(neighbours)
            if not (differentiable or forces):
                couplings = [coupling.detach() for coupling in couplings]
            terms = self.site_terms(self.seen_spins(spins, neighbours), neighbours, couplings)
            learned = self.scale * terms.sum(-1)
            inputs = [spins, positions] if forces else [spins]
            gradients = gradients_of(learned.sum(), inputs, create_graph=differentiable)
            if not differentiable:
                terms, learned = terms.detach(), learned.detach()
        field = -gradients[0]
        site_energy = learned.double() + self.offset
        return Prediction(
            energy=sum_by_graph(site_energy, graph),
            site_energy=site_energy,
            field=field,
            torque=torch.linalg.cross(graph.spins, field),
            forces=-gradients[1] if forces else None,
            terms=terms,
        )


def sum_by_graph(values: Tensor, graph: SpinGraph) -> Tensor:
    """Sum site values (N,) over each graph of a batch: (G,)."""
    batch = getattr(graph, "batch", None)
    if batch is None:
        return values.sum()[None]
    return values.new_zeros(graph.num_graphs).index_add(0, batch, values)


def gradients_of(total: Tensor, inputs: Sequence[Tensor], create_graph: bool = False) -> tuple[Tensor, ...]:
    """Derivatives of a number; zero by what it does not depend on, as without neighbours or with l_max = 0."""
    if not total.requires_grad:
        return tuple(torch.zeros_like(x) for x in inputs)
    return torch.autograd.grad(total, inputs, create_graph=create_graph, allow_unused=True, materialize_grads=True)
