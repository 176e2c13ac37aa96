"""Fields that drive: turning, pulsed, swept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks import Value, check, checked_direction, checked_number, checked_positive, checked_vector, plain


@dataclass(frozen=True)
class Rotating:
    """R(n, omega t) B: the vector B turned about the axis n, counter-clockwise seen from its tip if omega > 0.

    The part of B along the axis stays as it is: a static field.

    Args:
        field: B at time 0, three numbers.
        angular_frequency: omega, t0/hbar.
        axis: n, three numbers of any length.
    """

    field: Any
    angular_frequency: float
    axis: Any = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        check(self, field=checked_vector, angular_frequency=checked_number, axis=checked_direction)

    @property
    def extremes(self) -> Sequence[Value]:
        length = float(np.linalg.norm(self.field))
        return ((-length,) * 3, (length,) * 3)

    def __call__(self, time: float) -> Value:
        axis, field = np.asarray(self.axis), np.asarray(self.field)
        along = (field @ axis) * axis
        angle = self.angular_frequency * time
        return plain(along + np.cos(angle) * (field - along) + np.sin(angle) * np.cross(axis, field))


@dataclass(frozen=True)
class Pulse:
    """offset + field exp(-(t - centre)^2/(2 width^2)) cos(omega (t - centre) + phase).

    Args:
        field: at the peak of the envelope, three numbers.
        centre: time of the peak, hbar/t0.
        width: standard deviation of the envelope, hbar/t0, > 0.
        angular_frequency: omega of the carrier, t0/hbar; 0: none.
        phase: of the carrier at the centre, rad.
        offset: a static field, three numbers.
    """

    field: Any
    centre: float
    width: float
    angular_frequency: float = 0.0
    phase: float = 0.0
    offset: Any = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        numbers = dict.fromkeys(("centre", "angular_frequency", "phase"), checked_number)
        check(self, field=checked_vector, width=checked_positive, offset=checked_vector, **numbers)

    @property
    def extremes(self) -> Sequence[Value]:
        size, offset = np.abs(self.field), np.asarray(self.offset)
        return (plain(offset - size), plain(offset + size))

    def __call__(self, time: float) -> Value:
        late = time - self.centre
        envelope = np.exp(-(late**2) / (2 * self.width**2))
        wave = envelope * np.cos(self.angular_frequency * late + self.phase)
        return plain(np.asarray(self.offset) + wave * np.asarray(self.field))


@dataclass(frozen=True)
class Sweep:
    """A field along an axis whose size goes from ``start`` to ``end`` in ``duration``, and back if asked: hysteresis.

    Args:
        start, end: sizes, energy units, of any sign.
        duration: of one way, hbar/t0, > 0.
        axis: three numbers of any length.
        back: return to ``start`` in as long again.
        begin: time at which the sweep begins, hbar/t0.
    """

    start: float
    end: float
    duration: float
    axis: Any = (0.0, 0.0, 1.0)
    back: bool = False
    begin: float = 0.0

    def __post_init__(self) -> None:
        check(
            self,
            start=checked_number,
            end=checked_number,
            duration=checked_positive,
            axis=checked_direction,
            begin=checked_number,
        )

    @property
    def extremes(self) -> Sequence[Value]:
        return tuple(plain(size * np.asarray(self.axis)) for size in (self.start, self.end))

    def __call__(self, time: float) -> Value:
        s = (time - self.begin) / self.duration
        s = min(max(s, 0.0), 1.0) if not self.back else max(0.0, 1.0 - abs(1.0 - s))
        return plain(((1 - s) * self.start + s * self.end) * np.asarray(self.axis))
