"""``dynamics=minimise`` of ``python -m mhipnn.simulate``: every replica at its nearest minimum, written and drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from omegaconf import DictConfig
from rich.console import Console

from ...configuration import Array
from ...dynamics.descent import Minimisation, Minimise
from ...dynamics.descent_track import Descents, read_descents
from ...dynamics.memory import groups_within
from ...dynamics.observers import Observer
from ...dynamics.recording import Recording
from ...dynamics.trajectory import TrajectoryReader
from ...errors import ConfigError
from ...potential import Potential
from ..figures import save, spin_pictures
from ..style import EXACT, LEARNED, MUTED, label, new_figure
from .progress_bar import descent_bar
from .report import (
    AtOneTemperature,
    begun_table,
    by_temperature,
    first_correlation,
    number_or_none,
    size_in_words,
    with_error,
)
from .start import Replicas, metadata_of, open_folder, weights_of


def minimise_replicas(
    cfg: DictConfig,
    settings: Minimise,
    potential: Potential,
    replicas: Replicas,
    observers: Mapping[str, Observer],
    max_memory: int | None,
) -> dict[str, Any]:
    """Find the minima, write trajectory.h5 (start and minimum), metrics.json and figures; return the metrics.

    Raises:
        ConfigError: an audit, whose measure means nothing here.
        ConvergenceError: a replica that is not at rest after ``max_iterations``; what was written is kept.
    """
    if cfg.get("audit") is not None:
        raise ConfigError(
            "audit: dynamics=minimise ends where the torques vanish, and their R² means nothing there; see the torques "
            "of the electrons with python -m mhipnn.analyze observables=[fields] potential=exact"
        )
    console = Console()
    with open_folder(cfg) as folder:
        path = folder.path / "trajectory.h5"
        going_on = folder.resumed and path.exists()
        groups: list[int] | None = None
        if cfg.deterministic:  # each in tensors of its own
            groups = [1] * len(replicas.configs)
        elif not going_on:
            groups = groups_within(potential, replicas.configs, max_memory)
        if groups is not None and len(groups) > 1 and not going_on:
            console.print(f"{len(groups)} groups of {groups[0]} replicas or less, one after the other")
        if going_on:
            console.print(f"going on in {folder.path}", soft_wrap=True)
        recording = Recording(
            path,
            metadata=metadata_of(cfg, replicas),
            groups=groups,
            observers=observers,
            identity=weights_of(cfg),
        )
        run = Minimisation(settings, potential, replicas.configs, recording)
        started = perf_counter()
        with descent_bar(console, len(replicas.configs)) as report:
            run.run(report, resume=folder.resumed)
        seconds = perf_counter() - started
        with TrajectoryReader(path) as reader:
            parts = by_temperature(reader, first_correlation(reader, observers), replicas.blocks or ("",))
            descents = read_descents(path, reader.n_groups)
            metrics = _metrics(parts, reader.streams()) | {"tolerance": descents.tolerance, "seconds": seconds}
            _draw(reader, descents, folder.figures)
        folder.finish(metrics)
    _print(console, metrics, folder.path)
    return metrics


def descent_figure(descents: Descents, n_sites: int) -> Figure:
    """Smallest of the largest torques so far, and energy per site above the last one: a line a replica, logarithmic.

    Args:
        descents: energies in t0.
        n_sites: of a replica.
    """
    figure, (left, right) = new_figure(columns=2, width=4.2)
    energies, torques, tolerance = descents
    lowest, above = np.minimum.accumulate(torques), (energies - energies[-1]) / n_sites
    above[above < 1e-15] = np.nan  # equal to rounding
    last = [int(np.flatnonzero(each != each[-1])[-1:].sum()) + 1 for each in torques.T]
    slowest = int(np.argmax(last))
    others = {"color": EXACT, "linewidth": 0.9, "alpha": 0.7, "label": "other replicas"}
    for replica in np.argsort(np.arange(len(last)) == slowest, kind="stable"):
        style: dict[str, Any] = others
        if replica == slowest:
            style = {"color": LEARNED, "linewidth": 1.6, "linestyle": "--", "label": "the slowest replica"}
        for ax, values in ((left, lowest), (right, above)):
            ax.plot(np.arange(last[replica] + 1)[: len(values)], values[: last[replica] + 1, replica], **style)
        others = others | {"label": None}
    left.axhline(tolerance, color=MUTED, linewidth=1.0, linestyle=":", label="tolerance")
    left.legend(fontsize=8, frameon=False)
    for ax in (left, right):
        ax.set_yscale("log", nonpositive="mask")
    label(left, "iteration", r"largest $|\mathbf{S}_i\times\mathbf{B}_i|$, smallest so far ($t_0$)")
    label(right, "iteration", "energy per site above the minimum ($t_0$)")
    return figure


def _metrics(parts: Sequence[AtOneTemperature], streams: Mapping[str, Array]) -> dict[str, Any]:
    """The numbers of metrics.json; energies and torques in t0; a table for each of several parts."""
    first = parts[0]
    metrics: dict[str, Any] = {
        "replicas": first.n_replicas,
        "copies": first.n_copies,
        "sites": first.n_sites,
    }
    if len(parts) == 1:
        return metrics | _numbers(first, streams)
    return metrics | {"temperatures": {part.name: _numbers(part, streams) for part in parts}}


def _numbers(part: AtOneTemperature, streams: Mapping[str, Array]) -> dict[str, Any]:
    torques, iterations = streams["descent/torque"][:, part.replicas], streams["descent/iterations"][1]
    mean = part.mean(iterations)
    own = {
        "largest_torque_start": float(torques[0].max()),
        "largest_torque_end": float(torques[1].max()),
        "iterations": float(mean.mean),
        "iterations_error": number_or_none(mean.error),
        "most_iterations": int(iterations[part.replicas].max()),
    }
    return part.numbers() | own


def _draw(reader: TrajectoryReader, descents: Descents, folder: Path) -> None:
    """descent.png and spins.png."""
    save(descent_figure(descents, reader.n_sites), folder / "descent.png")
    panels = {"start": reader.spins(0)[0], "minimum": reader.spins(-1)[0]}
    save(spin_pictures(reader.configs[0], panels), folder / "spins.png")


def _print(console: Console, metrics: dict[str, Any], path: Path) -> None:
    """The metrics in words."""
    table, each = begun_table(f"Minima of {size_in_words(metrics)} spins", metrics, "minimum")
    for key, words in (("start", "start"), ("end", "minimum")):
        table.add_row(f"largest torque at the {words} (t0)", *(f"{one[f'largest_torque_{key}']:.2g}" for one in each))
    table.add_row("iterations", *(with_error(one, "iterations", ".0f") for one in each))
    table.add_row("most iterations", *(str(one["most_iterations"]) for one in each))
    table.add_row("wall time (s)", f"{metrics['seconds']:.1f}")
    console.print(table)
    console.print(f"trajectory, metrics and figures: {path}", soft_wrap=True)
