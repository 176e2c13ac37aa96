"""``python -m mhipnn.generate validate=true``: the labels of a dataset checked, as a table and a figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import instantiate
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table

from ..data.base_module import LabelledDataModule
from ..data.validate import Validation, validate
from ..errors import ConfigError
from .style import EXACT, LEARNED, MUTED, colours_of_times, label, new_figure, save

_COLOURS = {"ok": "green", "note": "yellow", "problem": "red"}


def run(cfg: DictConfig) -> dict[str, Any]:
    """Check the labels of ``cfg.data``; they are made first if they are to be made.

    Returns:
        ``sound``, the findings as rows, and the path of the figure ``<output_root>/<data>/validation.png``.

    Raises:
        UserError: data that cannot be read, a figure that cannot be written.
    """
    data: LabelledDataModule = instantiate(cfg.data, cutoff=None)
    data.prepare_data()
    result = validate({split: data.labelled(split) for split in data.split_names}, data.potential())
    folder = Path(cfg.output_root) / data.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output_root={cfg.output_root} cannot be written ({error.strerror})") from error
    path = save(label_overview(result, data.units.energy, data.units.length), folder / "validation.png")
    _print(data, result, path)
    rows = [{"check": f.check, "verdict": f.verdict, "message": f.message, "where": f.where} for f in result.findings]
    return {"sound": result.sound, "findings": rows, "figure": str(path)}


def label_overview(result: Validation, energy: str = "t0", length: str = "mean spacing") -> Figure:
    """Distributions of energies, torques and fields by split, and stored against recomputed fields.

    Args:
        result: of :func:`mhipnn.data.validate.validate`.
        energy, length: units.
    """
    compared = len(result.stored_field) > 0
    figure, axes = new_figure(columns=len(result.observables) + compared, width=3.3, height=3.1)
    unit = {"rms force": f"{energy}/{length}"}
    for ax, (name, values) in zip(axes, result.observables.items(), strict=False):
        _histograms(ax, values)
        label(ax, f"{name} ({unit.get(name, energy)})", "configurations" if ax is axes[0] else "")
    axes[0].legend(fontsize=8, frameon=False)
    if compared:
        ax, stored, again = axes[-1], result.stored_field.ravel(), result.recomputed_field.ravel()
        reach = 1.05 * max(float(np.abs(stored).max()), float(np.abs(again).max()), 1e-300)
        ax.plot([-reach, reach], [-reach, reach], color=LEARNED, linewidth=0.9)
        ax.plot(stored, again, ".", color=EXACT, markersize=2.5, alpha=0.5, markeredgewidth=0)
        ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
        label(ax, f"stored field ({energy})", "recomputed")
    return figure


def _histograms(ax: Axes, values: Any) -> None:
    whole = np.concatenate(list(values.values()))
    # A few bins are enough where all values agree.
    low, high = float(whole.min()), float(whole.max())
    margin = max(0.02 * (high - low), 1e-6 * max(abs(high), 1.0))
    edges = np.linspace(low - margin, high + margin, 31).tolist()
    colours: list[Any] = [EXACT, LEARNED, MUTED, colours_of_times(3)[1]]
    for (split, of_split), colour in zip(values.items(), colours, strict=False):
        ax.hist(of_split, bins=edges, histtype="step", color=colour, linewidth=1.4, label=split)
    ax.set_yscale("log", nonpositive="clip")


def _print(data: LabelledDataModule, result: Validation, path: Path) -> None:
    table = Table(title=f"Validation of {data.name}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("check", "verdict", "what", "where (split, number)"):
        table.add_column(title, overflow="fold")
    for finding in result.findings:
        verdict = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]"
        table.add_row(finding.check, verdict, finding.message, finding.examples())
    console = Console()
    console.print(table)
    console.print(f"Data: {data.location} ({data.units}). Figure: {path}", soft_wrap=True, highlight=False)
