"""Hopping amplitudes t(r) between two sites at distance r: the protocol, and the forms that end smoothly."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..errors import InputError, require_finite


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


class SmoothHopping:
    """t(r) = bare(r) w(r), with w = 1 for r < r_on, cos^2[(pi/2)(r - r_on)/(r_cut - r_on)] up to r_cut, 0 beyond.

    t and dt/dr are continuous. A form gives its bare amplitude and the length over which that decays.
    """

    r_on: float
    r_cut: float

    def bare(self, r: Tensor) -> Tensor:
        """The amplitude without its cutoff, energy."""
        raise NotImplementedError

    def decay_length(self, r: Tensor) -> Tensor | float:
        """-bare / (d bare/dr), length."""
        raise NotImplementedError

    def __call__(self, r: Tensor) -> Tensor:
        """t(r), energy."""
        return self._inside(r) * torch.cos(self._phase(r)) ** 2

    def derivative(self, r: Tensor) -> Tensor:
        """dt/dr, energy/length."""
        phase = self._phase(r)
        slope = torch.sin(2 * phase) * (math.pi / 2 / (self.r_cut - self.r_on))
        return -self._inside(r) * (torch.cos(phase) ** 2 / self.decay_length(r) + slope)

    def _inside(self, r: Tensor) -> Tensor:
        return torch.where(r < self.r_cut, self.bare(r), torch.zeros_like(r))

    def _phase(self, r: Tensor) -> Tensor:
        """0 below r_on, pi/2 from r_cut on."""
        return (math.pi / 2) * ((r - self.r_on) / (self.r_cut - self.r_on)).clamp(0, 1)

    def _check(self, finite: tuple[str, ...], positive: tuple[str, ...]) -> None:
        for name in (*finite, *positive, "r_on", "r_cut"):
            require_finite(f"hopping {name}", getattr(self, name))
        for name in positive:
            if getattr(self, name) <= 0:
                raise InputError(f"hopping {name}: expected a number > 0, got {getattr(self, name)!r}")
        if not 0 <= self.r_on < self.r_cut:
            raise InputError(f"hopping needs 0 <= r_on < r_cut, got r_on = {self.r_on!r} and r_cut = {self.r_cut!r}")


@dataclass(frozen=True)
class ExponentialHopping(SmoothHopping):
    """t(r) = -t0 exp(-(r - r0)/xi) w(r), with the smooth end of :class:`SmoothHopping`.

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
        self._check(finite=("t0", "r0"), positive=("xi",))

    def bare(self, r: Tensor) -> Tensor:
        return -self.t0 * torch.exp(-(r - self.r0) / self.xi)

    def decay_length(self, r: Tensor) -> float:
        return self.xi


@dataclass(frozen=True)
class GaussianHopping(SmoothHopping):
    """t(r) = -t0 exp(-(r^2 - r0^2)/(2 sigma^2)) w(r), the overlap of Gaussian orbitals, ending smoothly.

    Args:
        t0: -t(r0) before the cutoff acts, energy.
        r0: length at which it is t0.
        sigma: width, length, > 0; the decay length is sigma^2/r.
        r_on, r_cut: where the cutoff begins and ends, length, 0 <= r_on < r_cut.

    Raises:
        InputError: a value that is not finite or out of range.
    """

    t0: float = 1.0
    r0: float = 1.0
    sigma: float = 0.8
    r_on: float = 1.5
    r_cut: float = 2.5

    def __post_init__(self) -> None:
        self._check(finite=("t0", "r0"), positive=("sigma",))

    def bare(self, r: Tensor) -> Tensor:
        return -self.t0 * torch.exp((self.r0**2 - r**2) / (2 * self.sigma**2))

    def decay_length(self, r: Tensor) -> Tensor:
        return self.sigma**2 / r


@dataclass(frozen=True)
class PowerLawHopping(SmoothHopping):
    """t(r) = -t0 (r0/r)^n w(r), as between atomic orbitals in solids, ending smoothly.

    n = 2 for s orbitals, 5 for d orbitals: W. A. Harrison, Electronic Structure and the Properties of Solids.

    Args:
        t0: -t(r0) before the cutoff acts, energy.
        r0: length at which it is t0, > 0.
        exponent: n > 0.
        r_on, r_cut: where the cutoff begins and ends, length, 0 <= r_on < r_cut.

    Raises:
        InputError: a value that is not finite or out of range.
    """

    t0: float = 1.0
    r0: float = 1.0
    exponent: float = 2.0
    r_on: float = 1.5
    r_cut: float = 2.5

    def __post_init__(self) -> None:
        self._check(finite=("t0",), positive=("r0", "exponent"))

    def bare(self, r: Tensor) -> Tensor:
        return -self.t0 * (self.r0 / r) ** self.exponent

    def decay_length(self, r: Tensor) -> Tensor:
        return r / self.exponent
