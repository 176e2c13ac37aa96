"""Hopping by shells of neighbours: one amplitude for each distance of a lattice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ..errors import InputError, require_finite


@dataclass(frozen=True)
class ShellHopping:
    """t(r) = -t_n for |r - r_n| <= tolerance, 0 elsewhere: the nearest-neighbour models of lattices.

    A step has no slope, so there are no forces: evaluate with ``forces=False``; labels have none.

    Args:
        t: -t(r_n) of each shell, energy.
        r: radius of each shell, length, > 0, ascending.
        tolerance: half width of a shell, length, > 0; shells must not overlap.

    Raises:
        InputError: no shell, not one radius per amplitude, shells that overlap, a value that is not finite.
    """

    t: Sequence[float] = (1.0,)
    r: Sequence[float] = (1.0,)
    tolerance: float = 0.01
    has_forces: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("t", "r"):
            object.__setattr__(self, name, _numbers(name, getattr(self, name)))
        require_finite("hopping tolerance", self.tolerance)
        if not self.t or len(self.t) != len(self.r):
            raise InputError(
                f"hopping shells: expected one radius per amplitude, got t = {list(self.t)} and r = {list(self.r)}"
            )
        if self.tolerance <= 0 or self.r[0] <= self.tolerance:
            raise InputError(
                f"hopping shells: expected 0 < tolerance < r, got tolerance = {self.tolerance!r} and r = {list(self.r)}"
            )
        gaps = [outer - inner for inner, outer in zip(self.r, self.r[1:], strict=False)]
        if gaps and min(gaps) <= 2 * self.tolerance:
            raise InputError(
                f"hopping shells: expected ascending radii more than 2 tolerance = {2 * self.tolerance:g} apart, "
                f"got r = {list(self.r)}"
            )

    @property
    def r_cut(self) -> float:
        """Just beyond the outermost shell, so that no rounding takes its edge away."""
        return self.r[-1] + 1.001 * self.tolerance

    def __call__(self, r: Tensor) -> Tensor:
        """t(r), energy."""
        result = torch.zeros_like(r)
        for amplitude, radius in zip(self.t, self.r, strict=True):
            result = torch.where((r - radius).abs() <= self.tolerance, -amplitude, result)
        return result

    def derivative(self, r: Tensor) -> Tensor:
        """Raises InputError: the amplitude of a shell does not depend on the distance, and jumps at its edge."""
        raise InputError(
            "hopping shells: the amplitudes are steps in r and have no forces; evaluate with forces=False, "
            "or take a smooth form (exponential, gaussian, power_law)"
        )


def _numbers(name: str, values: object) -> tuple[float, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str):
        raise InputError(f"hopping shells {name}: expected a list of numbers, got {values!r}")
    for value in values:
        require_finite(f"hopping shells {name}", value)
    return tuple(float(value) for value in values)
