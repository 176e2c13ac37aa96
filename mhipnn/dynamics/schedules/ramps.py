"""From one value to another: constants, steps, ramps and tables, of numbers or of vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...configuration import Array
from ...errors import ConfigError
from .checks import (
    Value,
    check,
    checked_number,
    checked_positive,
    checked_value,
    plain,
    require_same_kind,
)


@dataclass(frozen=True)
class Constant:
    """One value at all times.

    Args:
        value: a number or three.
    """

    value: Any

    def __post_init__(self) -> None:
        check(self, value=checked_value)

    @property
    def extremes(self) -> Sequence[Value]:
        return (self.value,)

    def __call__(self, time: float) -> Value:
        return self.value


@dataclass(frozen=True)
class Step:
    """``before`` at times < ``time``, ``after`` from then on: a quench.

    Args:
        before, after: numbers, or three each.
        time: hbar/t0.
    """

    before: Any
    after: Any
    time: float = 0.0

    def __post_init__(self) -> None:
        check(self, before=checked_value, after=checked_value, time=checked_number)
        require_same_kind(self.before, self.after)

    @property
    def extremes(self) -> Sequence[Value]:
        return (self.before, self.after)

    def __call__(self, time: float) -> Value:
        return self.before if time < self.time else self.after


@dataclass(frozen=True)
class Linear:
    """start + (end - start) s with s = (t - begin)/duration between 0 and 1, and constant before and after.

    Args:
        start, end: numbers, or three each.
        duration: of the ramp, hbar/t0, > 0.
        begin: time at which the ramp begins, hbar/t0.
    """

    start: Any
    end: Any
    duration: float
    begin: float = 0.0

    def __post_init__(self) -> None:
        check(self, start=checked_value, end=checked_value, duration=checked_positive, begin=checked_number)
        require_same_kind(self.start, self.end)

    @property
    def extremes(self) -> Sequence[Value]:
        return (self.start, self.end)

    def __call__(self, time: float) -> Value:
        s = min(max((time - self.begin) / self.duration, 0.0), 1.0)
        return plain((1 - s) * np.asarray(self.start) + s * np.asarray(self.end))


@dataclass(frozen=True)
class Exponential:
    """start (end/start)^s with s = (t - begin)/duration between 0 and 1: falls by equal factors in equal times.

    Args:
        start, end: numbers > 0.
        duration: of the ramp, hbar/t0, > 0.
        begin: time at which the ramp begins, hbar/t0.
    """

    start: float
    end: float
    duration: float
    begin: float = 0.0

    def __post_init__(self) -> None:
        check(self, start=checked_positive, end=checked_positive, duration=checked_positive, begin=checked_number)

    @property
    def extremes(self) -> Sequence[Value]:
        return (self.start, self.end)

    def __call__(self, time: float) -> Value:
        s = min(max((time - self.begin) / self.duration, 0.0), 1.0)
        return self.start ** (1 - s) * self.end**s


@dataclass(frozen=True)
class Table:
    """Straight lines between given values.

    Args:
        times: increasing, hbar/t0.
        values: one number a time, or three.
        path: in place of both: a text file with the columns time, value or time, x, y, z, separated by blanks or
            commas; what follows a # is a comment.

    Raises:
        ConfigError: times that do not increase, another number of values, a file that cannot be read.
    """

    times: Any = None
    values: Any = None
    path: str | None = None

    def __post_init__(self) -> None:
        if (self.path is None) != (self.times is not None and self.values is not None):
            raise ConfigError("schedule table: give times and values, or the path of a file with both")
        if self.path is None:
            times, values = _as_array(self.times), _as_array(self.values)
        else:
            columns = _columns(self.path)
            times, values = columns[:, 0], columns[:, 1] if columns.shape[1] == 2 else columns[:, 1:]
        if times.ndim != 1 or not len(times) or values.shape not in ((len(times),), (len(times), 3)):
            raise ConfigError(
                f"schedule table: {times.shape} times and values of shape {values.shape}; it needs one number or three "
                "for every time"
            )
        if not (np.isfinite(times).all() and np.isfinite(values).all()):
            raise ConfigError("schedule table: a time or a value is not a finite number")
        if (np.diff(times) <= 0).any():
            late = int(np.argmax(np.diff(times) <= 0))
            raise ConfigError(f"schedule table: times must increase, got {times[late]:g} and then {times[late + 1]:g}")
        object.__setattr__(self, "times", tuple(times.tolist()))
        object.__setattr__(self, "values", tuple(plain(value) for value in values))

    @property
    def extremes(self) -> Sequence[Value]:
        return self.values

    def __call__(self, time: float) -> Value:
        values = np.asarray(self.values)
        if values.ndim == 1:
            return float(np.interp(time, self.times, values))
        return tuple(float(np.interp(time, self.times, column)) for column in values.T)


def _as_array(given: Any) -> Array:
    try:
        return np.array([list(row) if np.iterable(row) else row for row in given], float)
    except (TypeError, ValueError):
        raise ConfigError(f"schedule table: {given} is not a list of numbers") from None


def _columns(path: str) -> Array:
    try:
        lines = Path(path).read_text().replace(",", " ").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"schedule table: {path} cannot be read: {error}") from None
    try:
        columns = np.loadtxt(lines, ndmin=2) if any(line.split("#")[0].strip() for line in lines) else np.zeros((0, 2))
    except ValueError as error:
        raise ConfigError(f"schedule table: {path}: {error}") from None
    if columns.shape[1] not in (2, 4):
        raise ConfigError(
            f"schedule table: {path} has {columns.shape[1]} columns; it needs time, value or time, x, y, z"
        )
    return columns
