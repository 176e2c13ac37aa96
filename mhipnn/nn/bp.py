"""The baseline of many-spin terms: a Behler-Parrinello network on magnetic symmetry functions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..data.graph import SpinGraph
from ..errors import ConfigError
from .activation import SiLU
from .energy_model import EnergyModel
from .neighbourhood import Neighbourhood, neighbourhood
from .symmetry_functions import SymmetryFunctions

_ENOUGH = 256  # graphs: means and standard deviations of a feature need no more


class BP(EnergyModel):
    r"""Site energies from a dense network with two hidden layers on fixed :class:`SymmetryFunctions`,

    .. math:: e_i = w \cdot f(W_2 f(W_1 [(G_i - \bar G) / \sigma_G, \, \mathrm{species}_i]) + b_2) + b_3.

    Mean and standard deviation of every G are buffers, fitted on the training split. Spins enter through the scalar
    products S_i.S_j and S_j.S_k, positions through distances and angles: all symmetries of ``mhip``, and one cutoff
    instead of messages that travel.

    Args:
        cutoff: r_cut, length.
        n_radial: radial functions g(r).
        zeta_max: angular functions (1 +- cos)^zeta with zeta = 1 .. zeta_max.
        n_hidden: width of a hidden layer.
        n_species: number of species: functions for each (pair of them) among the neighbours, and a one-hot input.
        r_inner: innermost radial function, length.

    Source: J. Behler, M. Parrinello, Phys. Rev. Lett. 98, 146401 (2007); M. Shi, S. Zhang, G.-W. Chern,
    arXiv:2311.16964 (2023), for spins; the choice of functions is this package's.
    """

    feature_mean: Tensor
    feature_scale: Tensor

    def __init__(
        self,
        cutoff: float = 3.0,
        n_radial: int = 8,
        zeta_max: int = 2,
        n_hidden: int = 64,
        n_species: int = 1,
        r_inner: float = 0.75,
    ) -> None:
        super().__init__(cutoff, n_species)
        if n_hidden < 1:
            raise ConfigError(f"bp: need n_hidden >= 1, got {n_hidden}")
        self.functions = SymmetryFunctions(cutoff, n_radial, zeta_max, n_species, r_inner)
        n_features = self.functions.n_features
        self.network = nn.Sequential(
            nn.Linear(n_features + n_species, n_hidden, bias=False),  # the species are the bias
            SiLU(),
            nn.Linear(n_hidden, n_hidden),
            SiLU(),
            nn.Linear(n_hidden, 1),
        )
        self.register_buffer("feature_mean", torch.zeros(n_features))
        self.register_buffer("feature_scale", torch.ones(n_features))

    def couplings(self, neighbours: Neighbourhood) -> list[Tensor]:
        return self.functions.geometry(neighbours)

    def site_terms(self, spins: Tensor, neighbours: Neighbourhood, couplings: list[Tensor]) -> Tensor:
        features = (self.functions(spins, neighbours, couplings) - self.feature_mean) / self.feature_scale
        species = one_hot(neighbours.species, self.n_species).to(features.dtype)
        return self.network(torch.cat([features, species], 1))

    @torch.no_grad()
    def fit_features(self, graphs: Sequence[SpinGraph]) -> None:
        """Standardise the symmetry functions by their mean and standard deviation over sites of at most 256 graphs.

        A function that is the same everywhere but for rounding, as one of positions alone on a perfect lattice, is
        divided by its size instead.
        """
        # A stride through the split could be in step with its samplers.
        chosen = torch.randperm(len(graphs), generator=torch.Generator().manual_seed(0))[:_ENOUGH]
        sums, n_sites = self.feature_mean.new_zeros(2, len(self.feature_mean), dtype=torch.float64), 0
        for index in chosen.tolist():
            rows = self._features(graphs[index]).double()
            sums += torch.stack([rows.sum(0), rows.square().sum(0)])
            n_sites += len(rows)
        mean, square = sums / n_sites
        size, deviation = square.sqrt(), (square - mean**2).clamp(min=0).sqrt()
        scale = torch.where(deviation > 1e-4 * size, deviation, size)
        self.feature_mean.copy_(mean)
        self.feature_scale.copy_(torch.where(scale > 0, scale, 1.0))

    def _features(self, graph: SpinGraph) -> Tensor:
        neighbours = neighbourhood(graph, graph.positions)
        return self.functions(graph.spins, neighbours, self.functions.geometry(neighbours))
