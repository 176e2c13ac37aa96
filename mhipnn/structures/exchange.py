"""Exchange J(r) of a Heisenberg model, E = -sum_{i<j} J(r_ij) S_i.S_j: positive J is ferromagnetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np

from ..configuration import Array
from ..errors import InputError
from .checks import require_number, require_vector


@runtime_checkable
class Exchange(Protocol):
    """J(r), energy, of distances r > 0, length; ``r_cut``: the length beyond which it is zero."""

    @property
    def r_cut(self) -> float: ...

    def __call__(self, r: Array) -> Array: ...


@dataclass(frozen=True)
class ExponentialExchange:
    """J(r) = J exp(-(r - r0)/xi) w(r); w = 1 below r_on, cos^2[(pi/2)(r - r_on)/(r_cut - r_on)] up to r_cut, 0 beyond.

    Args:
        J: at r0, energy; < 0 is antiferromagnetic.
        r0, xi, r_on, r_cut: lengths.

    Raises:
        InputError: a value that is not finite, xi <= 0, or not 0 <= r_on < r_cut.
    """

    J: float = 1.0
    r0: float = 1.0
    xi: float = 0.5
    r_on: float = 1.5
    r_cut: float = 2.5

    def __post_init__(self) -> None:
        require_vector("J, r0", [self.J, self.r0], (2,))
        require_number("xi", self.xi, exclusive=True)
        require_number("r_on", self.r_on, exclusive=False)
        if require_number("r_cut", self.r_cut, exclusive=True) <= self.r_on:
            raise InputError(f"r_cut: expected a length beyond r_on = {self.r_on:g}, got {self.r_cut:g}")

    def __call__(self, r: Array) -> Array:
        faded = np.clip((r - self.r_on) / (self.r_cut - self.r_on), 0, 1)
        return self.J * np.exp(-(r - self.r0) / self.xi) * np.cos(np.pi / 2 * faded) ** 2


@dataclass(frozen=True)
class ShellExchange:
    """J_k on pairs whose distance lies within ``tolerance`` of d_k: the shells of a lattice.

    Args:
        J: one energy a shell; < 0 is antiferromagnetic.
        distances: one length a shell.
        tolerance: half width of a shell, length; shells must not overlap.

    Raises:
        InputError: lists of different length, a number out of range, shells that overlap.
    """

    J: Sequence[float] = (1.0,)
    distances: Sequence[float] = (1.0,)
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not isinstance(self.distances, Sequence) or not len(self.distances):
            raise InputError(f"distances: expected one length a shell, got {self.distances!r}")
        object.__setattr__(self, "distances", require_vector("distances", self.distances, (len(self.distances),)))
        object.__setattr__(self, "J", require_vector("J", self.J, (len(self.distances),)))
        require_number("tolerance", self.tolerance, exclusive=True)
        ordered = sorted(self.distances)
        if ordered[0] <= 0 or any(b - a <= 2 * self.tolerance for a, b in pairwise(ordered)):
            raise InputError(
                f"distances: {list(self.distances)} must be > 0 and further apart than twice the tolerance "
                f"{self.tolerance:g}"
            )

    @property
    def r_cut(self) -> float:
        return max(self.distances) + self.tolerance

    def __call__(self, r: Array) -> Array:
        strength = np.zeros_like(r)
        for J, distance in zip(self.J, self.distances, strict=True):
            strength[np.abs(r - distance) < self.tolerance] = J
        return strength
