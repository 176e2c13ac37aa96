"""What ``mhipnn.analyze`` leaves behind: figures, analysis.json, arrays.npz, and a table on the console."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..atomic import atomic_path
from ..run_folder import write_atomically
from .jackknife import Estimate
from .observables.base import Findings, Recording
from .style import save

LONG = 4096
"""Arrays of more numbers go to arrays.npz."""


def write_findings(
    folder: Path, trajectory: Path, recording: Recording, findings: Mapping[str, Findings]
) -> dict[str, Any]:
    """Figures, analysis.json and, for long arrays, arrays.npz."""
    content: dict[str, Any] = {
        "trajectory": str(trajectory.resolve()),
        "frames": len(recording.times),
        "replicas": recording.n_replicas,
        "realisations": recording.n_realisations,
        "sites": recording.n_sites,
        "times": [float(recording.times[0]), float(recording.times[-1])],
    }
    for name, found in findings.items():
        table = [{"quantity": row.quantity, **row.estimate._asdict(), "unit": row.unit} for row in found.rows]
        content[name] = {"table": table, **found.numbers}
        for title, figure in found.figures.items():
            save(figure, folder / f"{title}.png")
    return write_numbers(folder / "analysis.json", content)


def write_numbers(path: Path, content: Mapping[str, Any]) -> dict[str, Any]:
    """A JSON file of numbers and arrays and, for the long ones, arrays.npz beside it; returns what the JSON holds."""
    arrays: dict[str, np.ndarray] = {}
    written: dict[str, Any] = {name: _plain(value, name, arrays) for name, value in content.items()}
    if arrays:
        with atomic_path(path.with_name("arrays.npz")) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    write_atomically(path, json.dumps(written, indent=2, allow_nan=False) + "\n")
    return written


def _plain(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """What JSON can hold: NaN and infinity are null, long arrays stand elsewhere under their name."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{name}/{key}", arrays) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        if value.size > LONG:
            arrays[name] = value
            return {"arrays.npz": name}
        return _plain(value.tolist(), name, arrays)
    if isinstance(value, (list, tuple)):
        return [_plain(item, name, arrays) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_findings(
    recording: Recording,
    findings: Mapping[str, Findings],
    left_out: Mapping[str, str],
    folder: Path,
    exported: list[Path],
) -> None:
    """The table, what was left out and why, and what was written."""
    console = Console()
    times = recording.times
    copies = "" if recording.n_realisations == recording.n_replicas else f" of {recording.n_realisations} realisations"
    table = Table(
        title=f"{recording.n_replicas} x {recording.n_sites} spins{copies}, {len(times)} frames, "
        f"t = {times[0]:g} to {times[-1]:.6g}",
        title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0),
    )  # fmt: skip
    for title in ("observable", "quantity", "value", "unit"):
        table.add_column(title, overflow="fold", justify="right" if title == "value" else "left")
    for name, found in findings.items():
        for number, row in enumerate(found.rows):
            table.add_row("" if number else name, escape(row.quantity), shown(row.estimate), row.unit)
    console.print(table)
    for reason in left_out.values():
        console.print(f"[yellow]left out[/] {escape(reason)}", soft_wrap=True, highlight=False)
    files = [str(path) for found in findings.values() for path in found.files] + [str(path) for path in exported]
    console.print(f"figures and analysis.json in {folder}", soft_wrap=True, highlight=False)
    for path in files:
        console.print(path, soft_wrap=True, highlight=False)


def shown(estimate: Estimate) -> str:
    """As many digits as the error has meaning."""
    if not math.isfinite(estimate.value):
        return "-"
    if not math.isfinite(estimate.error) or estimate.error == 0:
        return f"{estimate.value:.5g}"
    digits = max(0, 1 - math.floor(math.log10(estimate.error)))
    return f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}"
