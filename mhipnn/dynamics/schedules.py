"""Temperature, damping and fields as functions of time: constants, steps, ramps, tables, and driving fields.

A schedule is a function of the time (hbar/t0) whose values are numbers, or vectors of three numbers. Outside the times
that it speaks of, it keeps its first or last value. :func:`as_schedule` makes one from what a configuration says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .. import registry
from ..configuration import Array
from ..errors import ConfigError

Value = float | tuple[float, ...]


@runtime_checkable
class Schedule(Protocol):
    """A quantity in time: numbers (temperature, damping) or vectors (fields)."""

    @property
    def extremes(self) -> Sequence[Value]:
        """Values between whose smallest and largest (component by component) all others lie."""
        ...

    def __call__(self, time: float) -> Value:
        """The value at a time, hbar/t0."""
        ...


def value_at(quantity: Value | Schedule, time: float) -> Any:
    """A number or vector as it is, a schedule's value at the time."""
    return quantity(time) if callable(quantity) else quantity


def largest(quantity: Value | Schedule) -> float:
    """The largest number that a quantity reaches."""
    return float(np.max(quantity.extremes if isinstance(quantity, Schedule) else quantity))


def as_schedule(name: str, given: Any, vector: bool = False) -> Any:
    """What a configuration gives for a quantity, checked: a number or three numbers stay what they are.

    Args:
        name: of the quantity, for messages.
        given: a number (``vector``: three), a schedule, or a mapping ``{schedule: NAME, ...}`` with the registered name
            of a schedule and its arguments.
        vector: whether it is a field; else it is a quantity that cannot be negative.

    Raises:
        ConfigError: an unknown schedule, arguments it does not have, numbers for a vector or the reverse, and for
            temperature and damping: a negative value at any time.
    """
    if isinstance(given, Mapping):
        given = _from_mapping(name, given)
    if not callable(given):
        value = _vector(name, given) if vector else _number(name, given)
        if not vector and value < 0:  # type: ignore[operator]
            raise ConfigError(f"{name} is {given}; it must be a number >= 0")
        return value
    if not isinstance(given, Schedule):
        raise ConfigError(f"{name}: {given!r} is not a schedule; allowed: {', '.join(registry.names('schedule'))}")
    if (np.ndim(given.extremes[0]) == 1) != vector:
        wanted = "three numbers a time, as a field is" if vector else "one number a time"
        raise ConfigError(f"{name}: the schedule {given} has the wrong values; it must have {wanted}")
    if not vector and np.min(given.extremes) < 0:
        raise ConfigError(f"{name}: the schedule {given} goes down to {np.min(given.extremes):g}; it must stay >= 0")
    return given


def _from_mapping(name: str, given: Mapping[Any, Any]) -> Any:
    arguments = {str(key): value for key, value in given.items()}
    if "schedule" not in arguments:
        raise ConfigError(
            f"{name}: {arguments} names no schedule; write {{schedule: NAME, ...}} with NAME one of "
            f"{', '.join(registry.names('schedule'))}"
        )
    kind = str(arguments.pop("schedule"))
    try:
        make = registry.get("schedule", kind)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}; there are {', '.join(registry.names('schedule'))}") from None
    try:
        return make(**arguments)
    except TypeError as error:
        raise ConfigError(f"{name}: schedule {kind}: {error}") from None


def _number(name: str, given: Any) -> float:
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = np.nan
    if isinstance(given, (bool, str)) or not np.isfinite(number):
        raise ConfigError(f"{name} is {given}; it must be a finite number")
    return number


def _vector(name: str, given: Any) -> tuple[float, ...]:
    try:
        vector = np.array([float(component) for component in given])
    except (TypeError, ValueError):
        vector = np.full(3, np.nan)
    if isinstance(given, str) or vector.shape != (3,) or not np.isfinite(vector).all():
        raise ConfigError(f"{name} is {given}; give three finite numbers")
    return tuple(vector.tolist())


def _value(name: str, given: Any) -> Value:
    """Three numbers if it is a list, else one."""
    return _vector(name, given) if np.iterable(given) and not isinstance(given, str) else _number(name, given)


def _positive(name: str, given: Any) -> float:
    number = _number(name, given)
    if not number > 0:
        raise ConfigError(f"{name} is {given}; it must be > 0")
    return number


def _plain(value: Any) -> Value:
    array = np.asarray(value, float)
    return float(array) if array.ndim == 0 else tuple(array.tolist())


def _checked(schedule: object, **checks: Callable[[str, Any], Any]) -> None:
    """Replace the named attributes of a frozen dataclass by what the checks return."""
    for name, check in checks.items():
        checked = check(f"schedule {type(schedule).__name__.lower()}: {name}", getattr(schedule, name))
        object.__setattr__(schedule, name, checked)


def _same_kind(one: Value, other: Value) -> None:
    if np.shape(one) != np.shape(other):
        raise ConfigError(f"schedule: {one} and {other} must both be numbers, or both be three numbers")


@dataclass(frozen=True)
class Constant:
    """One value at all times.

    Args:
        value: a number or three.
    """

    value: Any

    def __post_init__(self) -> None:
        _checked(self, value=_value)

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
        _checked(self, before=_value, after=_value, time=_number)
        _same_kind(self.before, self.after)

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
        _checked(self, start=_value, end=_value, duration=_positive, begin=_number)
        _same_kind(self.start, self.end)

    @property
    def extremes(self) -> Sequence[Value]:
        return (self.start, self.end)

    def __call__(self, time: float) -> Value:
        s = min(max((time - self.begin) / self.duration, 0.0), 1.0)
        return _plain((1 - s) * np.asarray(self.start) + s * np.asarray(self.end))


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
        _checked(self, start=_positive, end=_positive, duration=_positive, begin=_number)

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
        object.__setattr__(self, "values", tuple(_plain(value) for value in values))

    @property
    def extremes(self) -> Sequence[Value]:
        return self.values

    def __call__(self, time: float) -> Value:
        values = np.asarray(self.values)
        if values.ndim == 1:
            return float(np.interp(time, self.times, values))
        return tuple(float(np.interp(time, self.times, column)) for column in values.T)


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
        _checked(self, field=_vector, angular_frequency=_number, axis=_direction)

    @property
    def extremes(self) -> Sequence[Value]:
        length = float(np.linalg.norm(self.field))
        return ((-length,) * 3, (length,) * 3)

    def __call__(self, time: float) -> Value:
        axis, field = np.asarray(self.axis), np.asarray(self.field)
        along = (field @ axis) * axis
        angle = self.angular_frequency * time
        return _plain(along + np.cos(angle) * (field - along) + np.sin(angle) * np.cross(axis, field))


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
        numbers = dict.fromkeys(("centre", "angular_frequency", "phase"), _number)
        _checked(self, field=_vector, width=_positive, offset=_vector, **numbers)

    @property
    def extremes(self) -> Sequence[Value]:
        size, offset = np.abs(self.field), np.asarray(self.offset)
        return (_plain(offset - size), _plain(offset + size))

    def __call__(self, time: float) -> Value:
        late = time - self.centre
        envelope = np.exp(-(late**2) / (2 * self.width**2))
        wave = envelope * np.cos(self.angular_frequency * late + self.phase)
        return _plain(np.asarray(self.offset) + wave * np.asarray(self.field))


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
        _checked(self, start=_number, end=_number, duration=_positive, axis=_direction, begin=_number)

    @property
    def extremes(self) -> Sequence[Value]:
        return tuple(_plain(size * np.asarray(self.axis)) for size in (self.start, self.end))

    def __call__(self, time: float) -> Value:
        s = (time - self.begin) / self.duration
        s = min(max(s, 0.0), 1.0) if not self.back else max(0.0, 1.0 - abs(1.0 - s))
        return _plain(((1 - s) * self.start + s * self.end) * np.asarray(self.axis))


def _direction(name: str, given: Any) -> tuple[float, ...]:
    vector = np.asarray(_vector(name, given))
    length = np.linalg.norm(vector)
    if length == 0:
        raise ConfigError(f"{name} is {given}; a direction cannot be zero")
    return tuple((vector / length).tolist())


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
