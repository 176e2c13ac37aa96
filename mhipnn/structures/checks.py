"""What the arguments of structures and samplers must be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError


def require_count(name: str, value: Any) -> int:
    """An integer >= 1, or InputError."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise InputError(f"{name}: expected an integer >= 1, got {value!r}")
    return int(value)


def require_number(name: str, value: Any, exclusive: bool) -> float:
    """A finite real number > 0 (exclusive) or >= 0, or InputError."""
    if not _is_number(value) or value < 0 or (exclusive and value == 0):
        raise InputError(f"{name}: expected a number {'>' if exclusive else '>='} 0, got {value!r}")
    return float(value)


def require_scale(name: str, value: Any) -> float:
    """A number that lengths can be made of without over- or underflow in their third powers, or InputError."""
    if not 1e-9 <= require_number(name, value, exclusive=True) <= 1e9:
        raise InputError(f"{name}: expected a number between 1e-9 and 1e9, got {value!r}")
    return float(value)


def require_vector(name: str, value: Any, lengths: tuple[int, ...] = (3,)) -> tuple[float, ...]:
    """Numbers of size up to 1e9, as many as one of ``lengths``, as a tuple; or InputError."""
    good = isinstance(value, Sequence | np.ndarray) and not isinstance(value, str) and len(value) in lengths
    if not good or not all(_is_number(component) and abs(component) <= 1e9 for component in value):
        wanted = " or ".join(str(length) for length in lengths)
        raise InputError(f"{name}: expected {wanted} finite numbers, none beyond 1e9, got {value!r}")
    return tuple(float(component) for component in value)


def _is_number(value: Any) -> bool:
    real = isinstance(value, int | float | np.floating | np.integer) and not isinstance(value, bool)
    return real and math.isfinite(value)
