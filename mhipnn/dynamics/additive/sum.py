"""Sums of potentials: a network or electrons with the terms that break spin rotation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...configuration import SpinConfiguration
from ...errors import ConfigError
from ...potential import Evaluation, FrozenPotential, Potential, frozen_at, has_forces
from .base import AdditivePotential


class Sum:
    """E = the sum of the energies of its terms; fields and forces likewise.

    Its frozen form has the device and dtype of the first term that is not additive (a network, electrons), or of the
    first of all; additive terms adopt them. It changes in time as its terms do.

    Args:
        potentials: the terms, or
        terms: the same by name, as a configuration gives them; one that is None is left out.

    Raises:
        ConfigError: no term at all, or one that is no potential.
    """

    def __init__(self, *potentials: Potential, **terms: Potential | None) -> None:
        named: dict[str, Any] = {f"term {n}": term for n, term in enumerate(potentials)} | terms
        self.terms: dict[str, Potential] = {name: term for name, term in named.items() if term is not None}
        if not self.terms:
            raise ConfigError("sum: it has no terms; add some, like '+potential@potential.zeeman=zeeman'")
        for name, term in self.terms.items():
            if not hasattr(term, "prepare"):
                raise ConfigError(f"sum: {name} is {term!r}, which is no potential")

    @property
    def has_forces(self) -> bool:
        """Whether every term has them."""
        return all(has_forces(term) for term in self.terms.values())

    def evaluate(self, config: SpinConfiguration, forces: bool = True) -> Evaluation:
        """Energy and gradients of one configuration, at time 0; forces if every term has them."""
        wanted = forces and self.has_forces
        parts = [term.evaluate(config, forces=wanted) for term in self.terms.values()]
        pulls = [part.forces for part in parts if part.forces is not None]
        return Evaluation(
            energy=float(sum(part.energy for part in parts)),
            site_energy=np.sum([part.site_energy for part in parts], axis=0),
            field=np.sum([part.field for part in parts], axis=0),
            torque=np.sum([part.torque for part in parts], axis=0),
            forces=np.sum(pulls, axis=0) if wanted else None,
        )

    def prepare(
        self,
        configs: Sequence[SpinConfiguration],
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> FrozenSum:
        """Freeze the sites of R configurations in every term; ``device`` and ``dtype`` are for the additive ones."""
        frozen: dict[str, FrozenPotential] = {}
        adopting = {n: term for n, term in self.terms.items() if isinstance(term, AdditivePotential | Sum)}
        for name, term in self.terms.items():
            if name not in adopting:
                frozen[name] = term.prepare(configs)
        if frozen and device is None and dtype is None:
            leader = next(iter(frozen.values()))
            device, dtype = leader.device, leader.dtype
        for name, adopted in adopting.items():
            frozen[name] = adopted.prepare(configs, device, dtype)
            device, dtype = device or frozen[name].device, dtype or frozen[name].dtype
        return FrozenSum([frozen[name] for name in self.terms], torch.device(device or "cpu"), dtype or torch.float64)


class FrozenSum:
    """The sum at fixed sites; terms on another device or in another precision are converted."""

    def __init__(self, terms: Sequence[FrozenPotential], device: torch.device, dtype: torch.dtype) -> None:
        self.terms, self.device, self.dtype = list(terms), device, dtype

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        energies, field = torch.zeros_like(spins[:, 0, 0]), torch.zeros_like(spins)
        for term in self.terms:
            e, b = term(spins.to(term.device, term.dtype))
            energies, field = energies + e.to(energies), field + b.to(field)
        return energies, field

    def at(self, time: float) -> FrozenSum:
        """The sum of the terms as they are at a time; itself if none of them changes."""
        moved = [frozen_at(term, time) for term in self.terms]
        if all(new is old for new, old in zip(moved, self.terms, strict=True)):
            return self
        return FrozenSum(moved, self.device, self.dtype)
