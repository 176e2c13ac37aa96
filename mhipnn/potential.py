"""What every energy looks like from outside: exact electrons, a network and additive terms alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from .configuration import Array, SpinConfiguration

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Evaluation:
    """Energy of one configuration and its exact gradients (numpy, float64).

    ``field`` is B_i = -dE/dS_i, ``torque`` is S_i x B_i, ``forces`` is -dE/dR_i (None if not asked for);
    the site energies sum to the energy.
    """

    energy: float
    site_energy: Array
    field: Array
    torque: Array
    forces: Array | None = None


class FrozenPotential(Protocol):
    """An energy at fixed sites as a function of spins alone: the batched tensor form that dynamics uses."""

    device: torch.device
    dtype: torch.dtype

    def __call__(self, spins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """spins (R, N, 3) on ``device`` in ``dtype`` -> energies (R,), fields B (R, N, 3); no autograd graph."""
        ...


def frozen_at(force: FrozenPotential, time: float) -> FrozenPotential:
    """A frozen potential as it is at a time, hbar/t0, by its method ``at`` if it has one; itself if nothing changes."""
    at = getattr(force, "at", None)
    return force if at is None else at(time)


@runtime_checkable
class Potential(Protocol):
    """Anything with an energy: whatever runs with one potential runs with each."""

    def evaluate(self, config: SpinConfiguration, forces: bool = True) -> Evaluation:
        """Energy and gradients of one configuration."""
        ...

    def prepare(self, configs: Sequence[SpinConfiguration]) -> FrozenPotential:
        """Freeze the sites of R configurations with N sites each; the spins that they carry are ignored."""
        ...


def has_forces(potential: Potential) -> bool:
    """Whether its energy can be differentiated by positions; a potential says so, if it cannot, by ``has_forces``."""
    return bool(getattr(potential, "has_forces", True))


def evaluate_all(potential: Potential, configs: Sequence[SpinConfiguration], forces: bool = True) -> list[Evaluation]:
    """Every configuration evaluated: by the potential's own ``evaluate_all``, which may batch them, if it has one."""
    if hasattr(potential, "evaluate_all"):
        return list(potential.evaluate_all(configs, forces=forces))
    return [potential.evaluate(config, forces=forces) for config in configs]


def as_array(values: torch.Tensor) -> Array:
    """A float64 copy in main memory, which no later step can change."""
    return np.array(values.detach().cpu().numpy(), np.float64)


def torque(spins: Array, field: Array) -> Array:
    """tau_i = S_i x B_i, (N, 3), energy units."""
    return np.cross(spins, field)


def tangential(spins: Array, field: Array) -> Array:
    """The part of B_i that turns S_i: B_i - S_i (S_i . B_i)/|S_i|^2, (N, 3)."""
    length2 = np.maximum((spins**2).sum(-1, keepdims=True), np.finfo(float).tiny)
    return field - spins * ((spins * field).sum(-1, keepdims=True) / length2)
