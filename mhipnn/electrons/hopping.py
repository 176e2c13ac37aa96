"""Hopping amplitudes t(r) between two sites at distance r."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Protocol

import torch
from torch import Tensor

from ..errors import InputError


class Hopping(Protocol):
    """A spin-independent amplitude t(r) that vanishes from ``r_cut`` on."""

    @property
    def r_cut(self) -> float: ...

    def __call__(self, r: Tensor) -> Tensor:
        """t(r), energy, same shape as r."""
        ...

    def derivative(self, r: Tensor) -> Tensor:
        """dt/dr, energy/length, same shape as r."""
        ...


@dataclass(frozen=True)
class ExponentialHopping:
    """t(r) = -t0 exp(-(r - r0)/xi) w(r), with a smooth end.

    w = 1 for r < r_on, cos^2[(pi/2)(r - r_on)/(r_cut - r_on)] up to r_cut, 0 beyond; t and dt/dr are continuous.

    Args:
        t0: -t(r0) before the cutoff acts, energy.
        r0: length at which it is t0.
        xi: decay length, > 0.
        r_on, r_cut: where the cutoff begins and ends, length, 0 <= r_on < r_cut.

    Raises:
        InputError: a value that is not finite or out of range.
    """

    t0: float = 1.0
    r0: float = 1.0
    xi: float = 0.5
    r_on: float = 1.5
    r_cut: float = 2.5

    def __post_init__(self) -> None:
        for name in ("t0", "r0", "xi", "r_on", "r_cut"):
            value = getattr(self, name)
            if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
                raise InputError(f"hopping {name}: expected a finite number, got {value!r}")
        if self.xi <= 0:
            raise InputError(f"hopping xi: expected a decay length > 0, got {self.xi!r}")
        if not 0 <= self.r_on < self.r_cut:
            raise InputError(f"hopping needs 0 <= r_on < r_cut, got r_on = {self.r_on!r} and r_cut = {self.r_cut!r}")

    def __call__(self, r: Tensor) -> Tensor:
        """t(r), energy."""
        return self._bare(r) * torch.cos(self._phase(r)) ** 2

    def derivative(self, r: Tensor) -> Tensor:
        """dt/dr, energy/length."""
        phase = self._phase(r)
        slope = torch.sin(2 * phase) * (math.pi / 2 / (self.r_cut - self.r_on))
        return -self._bare(r) * (torch.cos(phase) ** 2 / self.xi + slope)

    def _bare(self, r: Tensor) -> Tensor:
        return torch.where(r < self.r_cut, -self.t0 * torch.exp(-(r - self.r0) / self.xi), torch.zeros_like(r))

    def _phase(self, r: Tensor) -> Tensor:
        """0 below r_on, pi/2 from r_cut on."""
        return (math.pi / 2) * ((r - self.r_on) / (self.r_cut - self.r_on)).clamp(0, 1)
