"""How accurate the kernel polynomial method shall be, and what follows for its order and its radius."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real
from typing import Literal

import numpy as np

from ...errors import ConfigError, InputError, suggest
from .chebyshev import order_for
from .spectrum import Band

PRESETS = {"fast": 1.5e-2, "accurate": 5e-3}
"""Relative error of the torque, rms: R^2 is about 1 minus its square."""

COARSEST = 0.1
FERMI_SHARE = 0.03  # the truncated f may be wrong by this times the wanted error times half width/kT: its error
# oscillates with a period of a few kT, and cancels in sums over the band
VELOCITY = 0.42  # of electrons, in half widths of the hopping band times the hopping length
FREE_PATH = 1.9  # length that disorder of sites and spins adds, in hopping lengths
DISTANCE = 2.2  # of probed sites of one colour, in radii of equal error


@dataclass(frozen=True)
class KPM:
    """Linear-scaling electrons for ``SDModel(solver=KPM(...))``.

    The error of the torque falls as exp(-R/lambda) with the radius R of the regions, 1/lambda = 2 pi kT/v + 1/l
    (thermal length and disorder, there and back; v from the bandwidth, constants measured on 2-D random sites), and as
    exp(-pi kT M/a) with the order M, a the half width of the band. Results carry an estimate of what was reached.

    Args:
        accuracy: ``fast``, ``accurate``, or the relative error wanted for the torque (rms), 1e-8 to 0.1.
        method: ``regions``, deterministic: each site in its own surroundings; or ``probing``: vectors of random
            signs on colours of sites, the signs fixed by ``seed``.
        order: of the Chebyshev expansion, even, >= 4; default from kT, the bandwidth and the accuracy.
        radius: of the regions, or the distance between sites of one colour, length; default from the same and J = 0.
        seed: of the signs.

    Raises:
        InputError: a value out of range.
        ConfigError: an unknown preset or method.
    """

    accuracy: str | float = "accurate"
    method: Literal["regions", "probing"] = "regions"
    order: int | None = None
    radius: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if isinstance(self.accuracy, str):
            if self.accuracy not in PRESETS:
                raise ConfigError(f"KPM accuracy {self.accuracy!r}: {suggest(self.accuracy, PRESETS)} (or a number)")
        elif not _is_number(self.accuracy) or not 1e-8 <= self.accuracy <= COARSEST:
            raise InputError(f"KPM accuracy: expected a number from 1e-8 to {COARSEST}, got {self.accuracy!r}")
        if self.method not in ("regions", "probing"):
            raise ConfigError(f"KPM method {self.method!r}: {suggest(str(self.method), ('regions', 'probing'))}")
        if self.order is not None and not (_is_integer(self.order) and self.order >= 4 and self.order % 2 == 0):
            raise InputError(f"KPM order: expected an even integer of at least 4, got {self.order!r}")
        if self.radius is not None and not (_is_number(self.radius) and self.radius >= 0):
            raise InputError(f"KPM radius: expected a length >= 0, got {self.radius!r}")
        if not _is_integer(self.seed) or self.seed < 0:
            raise InputError(f"KPM seed: expected an integer >= 0, got {self.seed!r}")

    @property
    def target(self) -> float:
        """Relative error wanted for the torque."""
        return PRESETS[self.accuracy] if isinstance(self.accuracy, str) else float(self.accuracy)

    def chosen_order(self, kT: float, band: Band) -> int:
        tolerance = self.target * min(5.0, max(0.5, FERMI_SHARE * band.half_width / kT))
        return self.order or order_for(kT, band.half_width, min(0.1, tolerance))

    def chosen_radius(self, kT: float, bounds: tuple[float, float], length: float) -> float:
        """From the bounds of the hopping band and the length of a typical hop."""
        if self.radius is not None:
            return self.radius
        velocity = VELOCITY * (bounds[1] - bounds[0]) / 2 * length
        if velocity == 0:
            return 0.0  # atoms that do not see each other
        decay = 2 * math.pi * kT / velocity + 1 / (FREE_PATH * length)
        return math.log(1 / self.target) / decay * (1 if self.method == "regions" else DISTANCE)


def solver_of(solver: object, temperature: float) -> KPM | None:
    """Settings of the kernel polynomial method, or None for exact diagonalization.

    Raises:
        ConfigError: an unknown name.
        InputError: something else, or k_B T = 0, where no polynomial follows the step of the Fermi function.
    """
    if isinstance(solver, str):
        if solver not in ("exact", "kpm"):
            raise ConfigError(f"solver {solver!r}: {suggest(solver, ('exact', 'kpm'))}")
        solver = KPM() if solver == "kpm" else None
    if solver is None:
        return None
    if not isinstance(solver, KPM):
        raise InputError(f"solver: expected 'exact', 'kpm' or KPM(...), got {solver!r}")
    if temperature == 0:
        raise InputError("solver 'kpm' needs temperature > 0, got 0; take solver='exact' for filled levels")
    return solver


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_integer(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
