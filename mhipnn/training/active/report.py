"""The comparison of the arms: a table, its CSV, and the figure of rollout error against labels."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from rich.console import Console
from rich.table import Table

from ...analysis.style import EXACT, LEARNED, MARKERS, MUTED, label, new_figure
from ...configuration import Array
from ...run_folder import write_atomically
from .accuracy import NUMBERS
from .loop import Stage
from .settings import START

_COLOURS = (LEARNED, EXACT, MUTED, "#5a8f5c", "#8a5a9e")


@dataclass(frozen=True)
class Row:
    """One stage: means and standard errors over the members of the committee, by name."""

    arm: str
    round: int
    labels: int
    mean: dict[str, float]
    error: dict[str, float]

    @classmethod
    def of(cls, stage: Stage) -> Row:
        values = {name: np.array(stage.numbers[name], float) for name in NUMBERS}  # null becomes NaN
        return cls(
            arm=stage.numbers["arm"],
            round=stage.numbers["round"],
            labels=stage.numbers["labels"],
            mean={name: float(v.mean()) for name, v in values.items()},
            error={name: _standard_error(v) for name, v in values.items()},
        )


def print_table(rows: Sequence[Row], console: Console) -> None:
    """Labels, arm, and the torque's accuracy in three places."""
    n = "NRMSE"
    table = Table(title="Active learning: torques, mean ± standard error over the committee", title_justify="left")
    table.add_column("labels", justify="right")
    table.add_column("chosen by")
    for title in (f"learned rollout, {n}", f"exact path, {n}", "test split, R\N{SUPERSCRIPT TWO}"):
        table.add_column(title, justify="right")
    for row in sorted(rows, key=lambda row: row.round):
        names = ("rollout_torque_nrmse", "exact_path_torque_nrmse", "test_torque_r2")
        cells = (f"{row.mean[name]:.4f} ± {row.error[name]:.4f}" for name in names)
        table.add_row(str(row.labels), row.arm, *cells)
    console.print(table)


def write_csv(rows: Sequence[Row], path: Path) -> None:
    """All numbers of all stages."""
    columns = [f"{name}{suffix}" for name in NUMBERS for suffix in ("", "_error")]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["arm", "round", "labels", *columns])
    for row in rows:
        values = (table[name] for name in NUMBERS for table in (row.mean, row.error))
        writer.writerow([row.arm, row.round, row.labels, *values])
    write_atomically(path, text.getvalue())


def draw(rows: Sequence[Row], name: str = "rollout_torque_nrmse") -> Figure:
    """NRMSE of the torque along learned rollouts against the number of labels, one curve an arm."""
    figure, (ax,) = new_figure(width=4.8, height=3.5)
    start = [row for row in rows if row.arm == START]
    arms = list(dict.fromkeys(row.arm for row in rows if row.arm != START))
    for index, arm in enumerate(arms):
        mine = [*start, *(row for row in rows if row.arm == arm)]
        ax.errorbar(
            [row.labels for row in mine],
            [row.mean[name] for row in mine],
            np.nan_to_num([row.error[name] for row in mine]),
            fmt=f"{MARKERS[index % len(MARKERS)]}-",
            color=_COLOURS[index % len(_COLOURS)],
            markersize=4.5,
            linewidth=1.4,
            elinewidth=1.0,
            capsize=2.5,
            label=arm.replace("_", " "),
        )
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter(ScalarFormatter())
    ax.yaxis.set_minor_formatter(ScalarFormatter())
    ax.tick_params(which="minor", labelsize=8, length=2)
    ax.set_xticks(sorted({row.labels for row in rows}))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.legend(fontsize=9, frameon=False)
    label(
        ax,
        "labels (exactly solved configurations)",
        "torque NRMSE along learned quenches",
        "mean and standard error over the committee",
    )
    return figure


def _standard_error(values: Array) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values))) if len(values) > 1 else float("nan")
