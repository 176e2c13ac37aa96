"""``python -m mhipnn.generate validate=true``: the labels of a dataset checked, as a table and a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ..configuration import Array
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
        _distributions(ax, values)
        label(ax, f"{name} ({unit.get(name, energy)})", "share of configurations" if ax is axes[0] else "")
    axes[0].legend(fontsize=8, frameon=False)
    if compared:
        ax, stored, again = axes[-1], result.stored_field.ravel(), result.recomputed_field.ravel()
        ax.axhline(0, color=LEARNED, linewidth=0.9)
        ax.plot(stored, again - stored, ".", color=EXACT, markersize=2.5, alpha=0.4, markeredgewidth=0)
        ax.ticklabel_format(axis="y", scilimits=(-2, 3))
        label(ax, f"stored field component ({energy})", "recomputed - stored")
    return figure


def _distributions(ax: Axes, values: Mapping[str, Array]) -> None:
    """Share of the configurations below a value: comparable between splits of any size, and no bins to choose."""
    colours: list[Any] = [EXACT, LEARNED, MUTED, colours_of_times(3)[1]]
    for (split, of_split), colour in zip(values.items(), colours, strict=False):
        ax.ecdf(of_split, color=colour, linewidth=1.5, label=split)
    ax.xaxis.set_major_locator(MaxNLocator(4))


def _print(data: LabelledDataModule, result: Validation, path: Path) -> None:
    table = Table(title=f"Validation of {data.name}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for title in ("check", "verdict", "found"):
        table.add_column(title, overflow="fold")
    for finding in result.findings:
        verdict = f"[{_COLOURS[finding.verdict]}]{finding.verdict}[/]"
        examples = f": {finding.examples()}" if finding.where else ""
        table.add_row(finding.check, verdict, escape(finding.message + examples))
    console = Console()
    console.print(table)
    console.print(f"Data: {data.location} ({data.units}). Figure: {path}", soft_wrap=True, highlight=False)
