"""Arguments of schedules, checked: numbers, vectors, directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...errors import ConfigError

Value = float | tuple[float, ...]


def checked_number(name: str, given: Any) -> float:
    try:
        number = float(given)
    except (TypeError, ValueError):
        number = np.nan
    if isinstance(given, (bool, str)) or not np.isfinite(number):
        raise ConfigError(f"{name} is {given}; it must be a finite number")
    return number


def checked_vector(name: str, given: Any) -> tuple[float, ...]:
    try:
        vector = np.array([float(component) for component in given])
    except (TypeError, ValueError):
        vector = np.full(3, np.nan)
    if isinstance(given, str) or vector.shape != (3,) or not np.isfinite(vector).all():
        raise ConfigError(f"{name} is {given}; give three finite numbers")
    return tuple(vector.tolist())


def checked_value(name: str, given: Any) -> Value:
    """Three numbers if it is a list, else one."""
    return (
        checked_vector(name, given)
        if np.iterable(given) and not isinstance(given, str)
        else checked_number(name, given)
    )


def checked_positive(name: str, given: Any) -> float:
    number = checked_number(name, given)
    if not number > 0:
        raise ConfigError(f"{name} is {given}; it must be > 0")
    return number


def plain(value: Any) -> Value:
    array = np.asarray(value, float)
    return float(array) if array.ndim == 0 else tuple(array.tolist())


def check(schedule: object, **checks: Callable[[str, Any], Any]) -> None:
    """Replace the named attributes of a frozen dataclass by what the checks return."""
    for name, check in checks.items():
        checked = check(f"schedule {type(schedule).__name__.lower()}: {name}", getattr(schedule, name))
        object.__setattr__(schedule, name, checked)


def require_same_kind(one: Value, other: Value) -> None:
    if np.shape(one) != np.shape(other):
        raise ConfigError(f"schedule: {one} and {other} must both be numbers, or both be three numbers")


def checked_direction(name: str, given: Any) -> tuple[float, ...]:
    vector = np.asarray(checked_vector(name, given))
    length = np.linalg.norm(vector)
    if length == 0:
        raise ConfigError(f"{name} is {given}; a direction cannot be zero")
    return tuple((vector / length).tolist())
