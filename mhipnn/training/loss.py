"""The objective: a list of named terms, each divided by its scale on the training split, so weights are comparable."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor

from ..data.graph import SpinGraph
from ..data.statistics import Statistics
from ..errors import ConfigError
from ..nn.energy_model import Prediction


class LossTerm(ABC):
    """One dimensionless term; the objective is the sum of weight x term.

    A term is a mean over the sites of a batch, over those with a spin (|S_i| > 0) or over its graphs, and says so in
    ``mean_over``: processes that train together have batches of different sizes, and their means are weighted
    accordingly.

    Args:
        weight: its weight in the sum, >= 0.
    """

    needs_forces = False
    mean_over: Literal["sites", "spins", "graphs"] = "sites"

    def __init__(self, weight: float = 1.0) -> None:
        if not weight >= 0:
            raise ConfigError(f"loss weight: expected a number >= 0, got {weight}")
        self.weight = float(weight)

    @abstractmethod
    def __call__(self, prediction: Prediction, graph: SpinGraph, statistics: Statistics) -> Tensor:
        """A scalar of order one for an untrained model."""


class Torque(LossTerm):
    """Mean square error of S_i x B_i over its mean square: what the dynamics needs, and nothing else."""

    mean_over = "spins"

    def __call__(self, prediction: Prediction, graph: SpinGraph, statistics: Statistics) -> Tensor:
        target = torch.linalg.cross(graph.spins, graph.field)
        return _mean_square_of_spins(prediction.torque - target, statistics.torque_rms, graph)


class Field(LossTerm):
    """Mean square error of B_i over its mean square; along S_i a convention, unless spins have different lengths."""

    mean_over = "spins"

    def __call__(self, prediction: Prediction, graph: SpinGraph, statistics: Statistics) -> Tensor:
        return _mean_square_of_spins(prediction.field - graph.field, statistics.field_rms, graph)


class Forces(LossTerm):
    """Mean square error of -dE/dR_i over its mean square."""

    needs_forces = True

    def __call__(self, prediction: Prediction, graph: SpinGraph, statistics: Statistics) -> Tensor:
        if prediction.forces is None:
            raise ConfigError("loss term 'forces': the prediction carries no forces; evaluate with forces=True")
        if "forces" not in graph:
            raise ConfigError(
                "loss term 'forces': the dataset has no forces; leave it out, as in 'loss=[torque,energy]'"
            )
        return _mean_square(prediction.forces - graph.forces, statistics.forces_rms)


class Energy(LossTerm):
    """Mean square error of the energy per site over its variance."""

    mean_over = "graphs"

    def __call__(self, prediction: Prediction, graph: SpinGraph, statistics: Statistics) -> Tensor:
        error = (prediction.energy - graph.energy) / sites_per_graph(graph)
        return _mean_square(error, statistics.energy_per_site_std).to(prediction.field.dtype)


class Hierarchicality(LossTerm):
    r"""Later terms should be corrections: mean_i \sum_{n>1} (e_i^n)^2 / ((e_i^n)^2 + (e_i^{n-1})^2).

    Source: Lubbers, Smith, Barros, J. Chem. Phys. 148, 241715 (2018), eq. 20.
    """

    def __call__(self, prediction: Prediction, graph: SpinGraph, statistics: Statistics) -> Tensor:
        squares = prediction.terms**2
        earlier, later = squares[:, :-1], squares[:, 1:]
        return (later / (later + earlier + 1e-12)).sum(-1).mean()


def sites_per_graph(graph: SpinGraph) -> Tensor:
    """Number of sites of each graph of a batch, (G,)."""
    if getattr(graph, "ptr", None) is None:
        return torch.tensor([graph.num_nodes], device=graph.spins.device)
    return graph.ptr.diff()


def magnetic_sites(graph: SpinGraph) -> Tensor:
    """Where there is a spin, |S_i| > 0, (N,) of truth values."""
    return graph.spins.square().sum(-1) > 0


def _mean_square_of_spins(error: Tensor, scale: float, graph: SpinGraph) -> Tensor:
    magnetic = magnetic_sites(graph)[:, None].to(error.dtype)
    squares = (error / (scale or 1.0)).square() * magnetic
    return squares.sum() / (3 * magnetic.sum()).clamp(min=1)


def _mean_square(error: Tensor, scale: float) -> Tensor:
    return (error / (scale or 1.0)).square().mean()
