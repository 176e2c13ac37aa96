"""What an observable is: something that is shown every frame once and then says what it found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from matplotlib.figure import Figure

from ...configuration import Array, SpinConfiguration
from ...errors import InputError
from ..correlations import nearest_instants
from ..jackknife import Estimate
from ..realisations import over_copies


@dataclass(frozen=True)
class Recording:
    """What is known of a trajectory before its spins are read.

    Args:
        times: (T,), the instants that will be shown, hbar/t0.
        energies: (T, R), t0.
        configs: R configurations with N sites each.
        folder: where an observable may write files of its own (animations).
        realisations: (R,), the number of the realisation of each replica; None: each is one of its own.
    """

    times: Array
    energies: Array
    configs: list[SpinConfiguration]
    folder: Path
    realisations: Sequence[int] | None = None

    @property
    def n_replicas(self) -> int:
        return len(self.configs)

    @property
    def n_sites(self) -> int:
        return self.configs[0].n_sites

    @property
    def n_realisations(self) -> int:
        return self.n_replicas if self.realisations is None else len(set(self.realisations))

    def samples(self, values: Array, axis: int = 0) -> Array:
        """(..., R, ...) -> (..., K, ...), means over the replicas of each realisation: what errors are to count."""
        return values if self.realisations is None else over_copies(values, self.realisations, axis)

    def instants(self, wanted: int | list[float], name: str) -> list[int]:
        """Frames: so many, even in time from the first to the last, or those nearest to the given times.

        Raises:
            InputError: neither a number >= 1 nor a list of times within the recording; ``name`` stands in the message.
        """
        return instants(self.times, wanted, name)


def instants(times: Array, wanted: int | list[float], name: str) -> list[int]:
    """:meth:`Recording.instants` of any times (T,)."""
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted >= 1:
        return nearest_instants(times, np.linspace(times[0], times[-1], wanted).tolist())
    listed = isinstance(wanted, list) and wanted and all(isinstance(time, int | float) for time in wanted)
    if listed and all(times[0] <= time <= times[-1] for time in wanted):  # type: ignore[union-attr]
        return nearest_instants(times, wanted)  # type: ignore[arg-type]
    raise InputError(f"{name} {wanted!r}: give a number >= 1, or a list of times from {times[0]:g} to {times[-1]:g}")


class Row(NamedTuple):
    """One line of the table."""

    quantity: str
    estimate: Estimate
    unit: str = ""


@dataclass
class Findings:
    """What an observable found: lines of the table, numbers for analysis.json, figures by name, files it wrote."""

    rows: list[Row] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)
    files: list[Path] = field(default_factory=list)


class Observable(Protocol):
    """Registered as kind ``observable``; its constructor takes the settings below its name in the configuration."""

    def start(self, recording: Recording) -> None:
        """Called once, before the frames. Raises InputError where the trajectory lacks what it takes."""
        ...

    def add(self, frame: int, spins: Array) -> None:
        """Called with every frame in turn: its number from 0 and the spins (R, N, 3), kept, not changed."""
        ...

    def findings(self) -> Findings:
        """Called once, after the frames."""
        ...


def three_numbers(name: str, value: Any) -> list[float] | None:
    """A vector from the configuration; None stays None.

    Raises:
        InputError: anything else, or a vector of length 0.
    """
    if value is None:
        return None
    good = isinstance(value, list | tuple) and len(value) == 3 and all(isinstance(v, int | float) for v in value)
    if not good or not np.isfinite(value).all() or not any(value):
        raise InputError(f"{name} is {value!r}; give three numbers [x,y,z] that are not all zero")
    return [float(v) for v in value]


def last_estimate(values: Array) -> Estimate:
    """Mean and standard error of one number a realisation, (K,); NaN are not counted."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Estimate(float("nan"), float("nan"))
    error = known.std(ddof=1) / np.sqrt(len(known)) if len(known) > 1 else float("nan")
    return Estimate(float(known.mean()), float(error))
