"""The mistakes that a user can make, as exceptions whose message is the whole story.

At the command line each of them is printed as one line with exit code 1, without a traceback
(set ``MHIPNN_DEBUG=1`` to see it). A message names what was given, what is allowed and what to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Real


class UserError(ValueError):
    """Base of every error that is the caller's to mend."""


class InputError(UserError):
    """A value or an array does not mean what it must mean (shape, range, unit, finiteness)."""


class ConfigError(UserError):
    """The configuration names something that does not exist, or a value that cannot be."""


class DatasetError(UserError):
    """A dataset or one of its files is missing, damaged or not what it says it is."""


class CheckpointError(UserError):
    """A checkpoint is missing, damaged, unsafe, or from another version."""


class NonFiniteError(UserError):
    """A computation met NaN or infinity; the message names the site, the step and the configuration."""


class ConvergenceError(UserError):
    """An iteration did not reach its tolerance; the message names where, how far it came and what to change."""


def require_finite(name: str, value: object) -> float:
    """The number, if it is a finite real one; InputError with its name and what was given if not."""
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"{name}: expected a finite number, got {value!r}")
    return float(value)


def suggest(name: str, allowed: Iterable[str]) -> str:
    """One clause that helps after a misspelt name: near matches first, else all that is allowed."""
    options = sorted(allowed)
    near = get_close_matches(name, options, n=3, cutoff=0.5)
    if near:
        return "did you mean " + " or ".join(repr(match) for match in near) + "?"
    return "allowed: " + (", ".join(options) if options else "nothing is registered")
