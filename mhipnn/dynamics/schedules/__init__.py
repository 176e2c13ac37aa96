"""Temperature, damping and fields as functions of time: constants, steps, ramps, tables, and driving fields.

A schedule is a function of the time (hbar/t0) whose values are numbers, or vectors of three numbers. Outside the times
that it speaks of, it keeps its first or last value. :func:`as_schedule` makes one from what a configuration says.
"""

from __future__ import annotations

from .drives import Pulse, Rotating, Sweep
from .ramps import Constant, Exponential, Linear, Step, Table
from .schedule import Schedule, Value, as_schedule, largest, value_at

__all__ = [
    "Constant",
    "Exponential",
    "Linear",
    "Pulse",
    "Rotating",
    "Schedule",
    "Step",
    "Sweep",
    "Table",
    "Value",
    "as_schedule",
    "largest",
    "value_at",
]
