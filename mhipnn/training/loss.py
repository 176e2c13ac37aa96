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


class TorqueHuber(LossTerm):
    r"""As :class:`Torque` for small errors, but large ones count linearly: mean_i h(x_i) with

    .. math:: x_i^2 = |\Delta\tau_i|^2 / 3 \tau_{rms}^2, \quad h(x) = x^2 \ (x \le \delta), \quad
        h(x) = 2 \delta x - \delta^2 \ (x > \delta).

    The length of the error decides, not its components, so that no direction in spin space is preferred.

    Args:
        weight: its weight in the sum, >= 0.
        delta: where squares end, > 0, in units of the rms torque.
    """

    mean_over = "spins"

    def __init__(self, weight: float = 1.0, delta: float = 1.0) -> None:
        super().__init__(weight)
        if not delta > 0:
            raise ConfigError(f"loss term 'huber': expected delta > 0, got {delta}")
        self.delta = float(delta)

    def __call__(self, prediction: Prediction, graph: SpinGraph, statistics: Statistics) -> Tensor:
        error = prediction.torque - torch.linalg.cross(graph.spins, graph.field)
        square = (error / (statistics.torque_rms or 1.0)).square().mean(-1)
        # The root is taken of large errors alone: its derivative at zero is infinite.
        linear = 2 * self.delta * square.clamp(min=self.delta**2).sqrt() - self.delta**2
        return _mean_of_spins(torch.where(square <= self.delta**2, square, linear), graph)


class Tangential(LossTerm):
    """Mean square error of the part of B_i that is perpendicular to S_i, over its mean square.

    Of unit spins it is `Torque`; of spins of variable length it does not count long ones more.
    """

    mean_over = "spins"

    def __call__(self, prediction: Prediction, graph: SpinGraph, statistics: Statistics) -> Tensor:
        error = tangential(graph.spins, prediction.field - graph.field)
        return _mean_square_of_spins(error, statistics.tangential_rms, graph)


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
    return _mean_of_spins((error / (scale or 1.0)).square().mean(-1), graph)


def _mean_of_spins(values: Tensor, graph: SpinGraph) -> Tensor:
    """Over the sites with a spin; 0 if there is none."""
    magnetic = magnetic_sites(graph).to(values.dtype)
    return (values * magnetic).sum() / magnetic.sum().clamp(min=1)


def tangential(spins: Tensor, field: Tensor) -> Tensor:
    """B_i - S_i (S_i.B_i) / S_i^2, (N, 3); the whole field where there is no spin."""
    length2 = spins.square().sum(-1, keepdim=True).clamp(min=torch.finfo(spins.dtype).tiny)
    return field - spins * ((spins * field).sum(-1, keepdim=True) / length2)


def _mean_square(error: Tensor, scale: float) -> Tensor:
    return (error / (scale or 1.0)).square().mean()
