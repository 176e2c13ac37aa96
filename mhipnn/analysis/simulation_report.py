"""What a simulation leaves beside its trajectory: metrics, a table and figures, from the file alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from ..dynamics.trajectory import TrajectoryReader
from .correlations import MeanAndError, RadialCorrelation, mean_and_error
from .figures import correlation_profiles, energy_relaxation, save, spin_pictures


def draw(reader: TrajectoryReader, correlation: RadialCorrelation | None, folder: Path) -> None:
    """energy.png, correlations.png (if they were recorded) and spins.png."""
    save(energy_relaxation({"energy": reader}), folder / "energy.png")
    if correlation is not None:
        profile = mean_and_error(correlation.value, axis=1)
        save(correlation_profiles(correlation.r, reader.times, profile), folder / "correlations.png")
    panels = {
        "before, t = 0": reader.spins(0)[0],
        f"after, t = {reader.times[-1]:.3g}": reader.spins(-1)[0],
    }
    save(spin_pictures(reader.configs[0], panels), folder / "spins.png")


def metrics_of(reader: TrajectoryReader, correlation: RadialCorrelation | None, n_steps: int) -> dict[str, Any]:
    """The numbers of metrics.json; energies in t0, times in hbar/t0."""
    energy = reader.energies.mean(1) / reader.n_sites
    metrics: dict[str, Any] = {
        "replicas": reader.n_replicas,
        "sites": reader.n_sites,
        "steps": n_steps,
        "time": float(reader.times[-1]),
        "energy_per_site_start": float(energy[0]),
        "energy_per_site_end": float(energy[-1]),
    }
    if correlation is not None:
        metrics |= _nearest(correlation.r, mean_and_error(correlation.value[-1], axis=0))
    return metrics


def _nearest(r: np.ndarray, profile: MeanAndError) -> dict[str, Any]:
    """C of the first bin that holds pairs, at the end."""
    nearest = int(np.argmax(profile.n > 0))
    return {
        "nearest_r": float(r[nearest]),
        "nearest_correlation_end": float(profile.mean[nearest]),
        "nearest_correlation_end_error": _number(profile.error[nearest]),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN: the error of a single realisation is null."""
    return float(value) if np.isfinite(value) else None


def print_table(console: Console, metrics: dict[str, Any], path: Path) -> None:
    """The metrics in words."""
    table = Table(title=f"Quench of {metrics['replicas']} x {metrics['sites']} spins to t = {metrics['time']:g}")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    table.add_row("energy per site at the start (t0)", f"{metrics['energy_per_site_start']:.5f}")
    table.add_row("energy per site at the end (t0)", f"{metrics['energy_per_site_end']:.5f}")
    if "nearest_r" in metrics:
        error = metrics["nearest_correlation_end_error"]
        spread = "" if error is None else f" ± {error:.4f}"
        value = f"{metrics['nearest_correlation_end']:.4f}{spread}"
        table.add_row(f"C(r = {metrics['nearest_r']:g}) at the end", value)
    table.add_row("wall time (s)", f"{metrics['seconds']:.1f}")
    table.add_row("spin steps per second", f"{metrics['spin_steps_per_second']:.3g}")
    console.print(table)
    console.print(f"trajectory, metrics and figures: {path}", soft_wrap=True)
