"""What a simulation leaves beside its trajectory: metrics, a table and figures, from the file alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..configuration import Array
from ..dynamics.trajectory import TrajectoryReader
from .correlations import MeanAndError, RadialCorrelation, mean_and_error
from .figures import correlation_profiles, energy_relaxation, save, spin_pictures


@dataclass(frozen=True)
class AtOneTemperature:
    """The R replicas of one temperature: ``energies`` (T, R), C(r, t) if it was recorded, first and last spins."""

    name: str
    times: Array
    energies: Array
    n_sites: int
    correlation: RadialCorrelation | None

    @property
    def n_replicas(self) -> int:
        return self.energies.shape[1]

    def numbers(self) -> dict[str, Any]:
        """Energies in t0."""
        energy = self.energies.mean(1) / self.n_sites
        numbers: dict[str, Any] = {
            "energy_per_site_start": float(energy[0]),
            "energy_per_site_end": float(energy[-1]),
        }
        if self.correlation is None:
            return numbers
        return numbers | _nearest(self.correlation.r, mean_and_error(self.correlation.value[-1], axis=0))


def by_temperature(
    reader: TrajectoryReader, correlation: RadialCorrelation | None, names: Sequence[str]
) -> list[AtOneTemperature]:
    """The replicas of each temperature; all those of the first stand first."""
    each = reader.n_replicas // len(names)
    parts = []
    for number, name in enumerate(names):
        rows = slice(number * each, (number + 1) * each)
        own = None if correlation is None else _rows_of(correlation, rows)
        parts.append(AtOneTemperature(name, reader.times, reader.energies[:, rows], reader.n_sites, own))
    return parts


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
        "sites": parts[0].n_sites,
        "steps": n_steps,
        "time": float(parts[0].times[-1]),
    }
    if len(parts) == 1:
        return metrics | parts[0].numbers()
    return metrics | {"temperatures": {part.name: part.numbers() for part in parts}}


def print_table(console: Console, metrics: dict[str, Any], path: Path) -> None:
    """The metrics in words."""
    table = Table(title=f"Quench of {metrics['replicas']} x {metrics['sites']} spins to t = {metrics['time']:g}")
    columns = metrics.get("temperatures", {"value": metrics})
    table.add_column("quantity")
    for name in columns:
        table.add_column(name, justify="right")
    each = list(columns.values())
    for key, words in (("start", "start"), ("end", "end")):
        cells = (f"{one[f'energy_per_site_{key}']:.5f}" for one in each)
        table.add_row(f"energy per site at the {words} (t0)", *cells)
    if "nearest_r" in each[0]:
        table.add_row(f"C(r = {each[0]['nearest_r']:g}) at the end", *map(_with_error, each))
    if "audit/torque_r2" in metrics:
        worst = f"{metrics['audit/torque_r2_min']:.4f} at t = {metrics['audit/worst_time']:g}"
        table.add_row(f"torque R² against the reference, {len(metrics['audit/times'])} times", _short(metrics))
        table.add_row("the worst of them", worst)
    table.add_row("wall time (s)", f"{metrics['seconds']:.1f}")
    table.add_row("spin steps per second", f"{metrics['spin_steps_per_second']:.3g}")
    console.print(table)
    console.print(f"trajectory, metrics and figures: {path}", soft_wrap=True)


def _short(metrics: dict[str, Any]) -> str:
    return f"{metrics['audit/torque_r2']:.4f} (NRMSE {100 * metrics['audit/torque_nrmse']:.2g} %)"


def _rows_of(correlation: RadialCorrelation, rows: slice) -> RadialCorrelation:
    return RadialCorrelation(correlation.r, correlation.value[:, rows], correlation.count[rows])


def _nearest(r: Array, profile: MeanAndError) -> dict[str, Any]:
    """C of the first bin that holds pairs."""
    nearest = int(np.argmax(profile.n > 0))
    return {
        "nearest_r": float(r[nearest]),
        "nearest_correlation_end": float(profile.mean[nearest]),
        "nearest_correlation_end_error": _number(profile.error[nearest]),
    }


def _with_error(numbers: dict[str, Any]) -> str:
    error = numbers["nearest_correlation_end_error"]
    return f"{numbers['nearest_correlation_end']:.4f}" + ("" if error is None else f" ± {error:.4f}")


def _number(value: float) -> float | None:
    """JSON has no NaN: the error of a single realisation is null."""
    return float(value) if np.isfinite(value) else None
