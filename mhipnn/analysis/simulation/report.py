"""What a simulation leaves beside its trajectory: metrics, a table and figures, from the file alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ...configuration import Array
from ...dynamics.trajectory import TrajectoryReader
from ..correlations import MeanAndError, RadialCorrelation, mean_and_error
from ..figures import correlation_profiles, energy_relaxation, save, spin_pictures
from ..realisations import over_copies, recorded_realisations, rows_of
from ..streaming import Correlations


@dataclass(frozen=True)
class AtOneTemperature:
    """The K realisations of one temperature: ``energies`` (T, K) and C(r, t) if it was recorded, means over copies.

    ``replicas`` are the rows of the file, each realisation's side by side.
    """

    name: str
    times: Array
    energies: Array
    n_sites: int
    correlation: RadialCorrelation | None
    replicas: slice
    realisations: Sequence[int]

    @property
    def n_replicas(self) -> int:
        return self.energies.shape[1]

    @property
    def n_copies(self) -> int:
        return len(self.realisations) // self.n_replicas

    def mean(self, values: Array) -> MeanAndError:
        """Of one number a replica, (R,): mean and standard error over the realisations of this part."""
        return mean_and_error(over_copies(values[self.replicas], self.realisations, axis=0), axis=0)

    def numbers(self) -> dict[str, Any]:
        """Energies in t0."""
        energy = mean_and_error(self.energies, axis=1)
        numbers: dict[str, Any] = {}
        for key, frame in (("start", 0), ("end", -1)):
            numbers[f"energy_per_site_{key}"] = float(energy.mean[frame]) / self.n_sites
            numbers[f"energy_per_site_{key}_error"] = number_or_none(energy.error[frame] / self.n_sites)
        if self.correlation is None:
            return numbers
        return numbers | _nearest(self.correlation.r, mean_and_error(self.correlation.value[-1], axis=0))


def by_temperature(
    reader: TrajectoryReader, correlation: RadialCorrelation | None, names: Sequence[str]
) -> list[AtOneTemperature]:
    """The realisations of each temperature; all replicas of the first stand first."""
    each = reader.n_replicas // len(names)
    numbers = recorded_realisations(reader.metadata, reader.configs)
    parts = []
    for number, name in enumerate(names):
        rows = slice(number * each, (number + 1) * each)
        energies = over_copies(reader.energies[:, rows], numbers[rows], axis=1)
        own = None if correlation is None else _of_part(correlation, rows, numbers[rows])
        parts.append(AtOneTemperature(name, reader.times, energies, reader.n_sites, own, rows, numbers[rows]))
    return parts


def first_correlation(reader: TrajectoryReader, observers: Mapping[str, Any]) -> RadialCorrelation | None:
    """The first C(r, t) that was recorded, None without one."""
    each = ((name, one) for name, one in observers.items() if isinstance(one, Correlations))
    return next((one.streamed(reader, name) for name, one in each), None)


def draw(reader: TrajectoryReader, parts: Sequence[AtOneTemperature], folder: Path) -> None:
    """energy.png, correlations.png (if they were recorded; one a temperature) and spins.png."""
    save(energy_relaxation({part.name: part for part in parts}), folder / "energy.png")
    for number, part in enumerate(parts):
        if part.correlation is not None:
            name = "correlations.png" if len(parts) == 1 else f"correlations_{number}.png"
            profile = mean_and_error(part.correlation.value, axis=1)
            title = "" if len(parts) == 1 else part.name
            save(correlation_profiles(part.correlation.r, reader.times, profile, title=title), folder / name)
    panels = {
        "before, t = 0": reader.spins(0)[0],
        f"after, t = {reader.times[-1]:.3g}": reader.spins(-1)[0],
    }
    save(spin_pictures(reader.configs[0], panels), folder / "spins.png")


def metrics_of(parts: Sequence[AtOneTemperature], n_steps: int) -> dict[str, Any]:
    """The numbers of metrics.json; energies in t0, times in hbar/t0; a table for each of several temperatures."""
    metrics: dict[str, Any] = {
        "replicas": parts[0].n_replicas,
        "copies": parts[0].n_copies,
        "sites": parts[0].n_sites,
        "steps": n_steps,
        "time": float(parts[0].times[-1]),
    }
    if len(parts) == 1:
        return metrics | parts[0].numbers()
    return metrics | {"temperatures": {part.name: part.numbers() for part in parts}}


def begun_table(title: str, metrics: dict[str, Any], end: str) -> tuple[Table, list[dict[str, Any]]]:
    """A column for each part with its energies and C(r) of near sites, and the numbers of each; ``end``: in words."""
    columns = metrics.get("temperatures", {"value": metrics})
    table, each = Table("quantity", title=title), list(columns.values())
    for name in columns:
        table.add_column(name, justify="right")
    for key, words in (("start", "start"), ("end", end)):
        cells = (with_error(one, f"energy_per_site_{key}", ".5f") for one in each)
        table.add_row(f"energy per site at the {words} (t0)", *cells)
    if "nearest_r" in each[0]:
        cells = (with_error(one, "nearest_correlation_end", ".4f") for one in each)
        table.add_row(f"C(r = {each[0]['nearest_r']:g}) at the {end}", *cells)
    return table, each


def print_table(console: Console, metrics: dict[str, Any], path: Path) -> None:
    """The metrics in words."""
    table, _ = begun_table(f"Quench of {size_in_words(metrics)} spins to t = {metrics['time']:g}", metrics, "end")
    if "audit/torque_r2" in metrics:
        worst = f"{metrics['audit/torque_r2_min']:.4f} at t = {metrics['audit/worst_time']:g}"
        table.add_row(f"torque R² against the reference, {len(metrics['audit/times'])} times", _short(metrics))
        table.add_row("the worst of them", worst)
    table.add_row("wall time (s)", f"{metrics['seconds']:.1f}")
    table.add_row("spin steps per second", f"{metrics['spin_steps_per_second']:.3g}")
    console.print(table)
    console.print(f"trajectory, metrics and figures: {path}", soft_wrap=True)


def size_in_words(metrics: dict[str, Any]) -> str:
    """8 x 100, or with copies 8 x 2 copies x 100."""
    copies = "" if metrics["copies"] == 1 else f"{metrics['copies']} copies x "
    return f"{metrics['replicas']} x {copies}{metrics['sites']}"


def _short(metrics: dict[str, Any]) -> str:
    return f"{metrics['audit/torque_r2']:.4f} (NRMSE {100 * metrics['audit/torque_nrmse']:.2g} %)"


def _of_part(correlation: RadialCorrelation, rows: slice, realisations: Sequence[int]) -> RadialCorrelation:
    first = [copies[0] for copies in rows_of(realisations)]
    value = over_copies(correlation.value[:, rows], realisations, axis=1)
    return RadialCorrelation(correlation.r, value, correlation.count[rows][first])


def _nearest(r: Array, profile: MeanAndError) -> dict[str, Any]:
    """C of the first bin that holds pairs."""
    nearest = int(np.argmax(profile.n > 0))
    return {
        "nearest_r": float(r[nearest]),
        "nearest_correlation_end": float(profile.mean[nearest]),
        "nearest_correlation_end_error": number_or_none(profile.error[nearest]),
    }


def with_error(numbers: Mapping[str, Any], key: str, digits: str) -> str:
    """A number of the metrics and, where there is one, its standard error."""
    error = numbers[f"{key}_error"]
    return f"{numbers[key]:{digits}}" + ("" if error is None else f" ± {error:{digits}}")


def number_or_none(value: float | Array) -> float | None:
    """JSON has no NaN: the error of a single realisation is null."""
    return float(value) if np.isfinite(value) else None
