"""What a schedule is, and how one is made from what a configuration says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from ... import registry
from ...errors import ConfigError
from .checks import Value, checked_number, checked_vector

__all__ = ["Schedule", "Value", "as_schedule", "largest", "value_at"]


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
        value = checked_vector(name, given) if vector else checked_number(name, given)
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
