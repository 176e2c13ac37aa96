"""What a study leaves: a table of trials, a figure, and the best settings as an experiment that can be run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter
from omegaconf import DictConfig, OmegaConf
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from ...analysis.style import EXACT, LEARNED, MUTED, label, tidy
from ...run_folder import write_atomically
from .space import Setting
from .study import OBJECTIVE, best_of

_SHOWN = 10  # trials in the table on the screen
_IN_A_ROW = 4  # panels of the figure


def write_csv(trials: Sequence[FrozenTrial], settings: Sequence[Setting], path: Path) -> None:
    """One row a trial: how it ended, its objective (its last one if it was stopped), cost and settings."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    keys = [setting.key for setting in settings]
    writer.writerow(["trial", "state", OBJECTIVE, "epochs", "seconds", "parameters", *keys])
    for number, trial in enumerate(trials, 1):
        cost = [trial.user_attrs.get(name, "") for name in ("seconds", "parameters")]
        values = [trial.params.get(key, "") for key in keys]
        writer.writerow([number, state_of(trial), value_of(trial), epochs_of(trial), *cost, *values])
    write_atomically(path, text.getvalue())


def print_table(trials: Sequence[FrozenTrial], settings: Sequence[Setting], console: Console) -> None:
    """The best trials."""
    table = Table(title=f"The best of {len(trials)} trials", title_justify="left")
    for column in (OBJECTIVE, "trial", "seconds", "parameters"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("settings")
    complete = [(trial, n) for n, trial in enumerate(trials, 1) if trial.state == TrialState.COMPLETE]
    for trial, number in sorted(complete, key=lambda pair: -value_of(pair[0]))[:_SHOWN]:
        cost = (f"{trial.user_attrs.get(name, math.nan):.0f}" for name in ("seconds", "parameters"))
        chosen = " ".join(f"{setting.key}={_short(trial.params[setting.key])}" for setting in settings)
        table.add_row(f"{value_of(trial):.4f}", str(number), *cost, chosen)
    console.print(table)


def draw(trials: Sequence[FrozenTrial], settings: Sequence[Setting]) -> Figure:
    """The best so far by trial, and the objective against every setting; trials that were stopped are open circles."""
    figure, axes = _panels(1 + len(settings))
    numbers = list(range(1, len(trials) + 1))
    complete = np.array([value_of(t) if t.state == TrialState.COMPLETE else -math.inf for t in trials])
    best = np.maximum.accumulate(complete)
    axes[0].step(numbers, np.where(np.isfinite(best), best, np.nan), where="post", color=LEARNED, linewidth=1.4)
    _points(axes[0], numbers, trials)
    label(axes[0], "trial", OBJECTIVE)
    axes[0].legend(["best so far", "trained to the end", "stopped early"], fontsize=8, loc="lower right")
    for ax, setting in zip(axes[1:], settings, strict=True):
        values = [trial.params[setting.key] for trial in trials]
        if setting.choices:
            ax.set_xticks(range(len(setting.choices)), [_short(choice) for choice in setting.choices])
            values = [setting.choices.index(value) for value in values]
        elif setting.log:
            ax.set_xscale("log")
            ax.xaxis.set_minor_formatter(NullFormatter())
        _points(ax, values, trials)
        label(ax, setting.key, "")
    shown = [value_of(trial) for trial in trials if trial.state == TrialState.COMPLETE]
    if shown:
        # A trial that went wrong would squeeze the others into a line.
        low, high = float(np.quantile(shown, 0.1)), max(shown)
        for ax in axes:
            ax.set_ylim(low - 0.3 * (high - low) - 1e-3, high + 0.1 * (high - low) + 1e-3)
    return figure


def write_experiment(path: Path, cfg: DictConfig, trial: FrozenTrial, model: str) -> None:
    """The model with all its arguments, and the searched settings of a trial, as a file for ``experiment=``."""
    chosen = OmegaConf.create({"model": OmegaConf.to_container(cfg.model, resolve=True)})
    del chosen.model["_target_"]
    for key, value in trial.params.items():
        OmegaConf.update(chosen, key, value, force_add=True)
    head = (
        "# @package _global_\n"
        f"# The best of a search on {cfg.data.name}: {OBJECTIVE} {value_of(trial):.4f} after "
        f"{epochs_of(trial)} epochs (trial {trial.user_attrs['folder']}).\n"
        f"defaults:\n  - override /model: {model}\n\n"
    )
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, head + OmegaConf.to_yaml(chosen))


def write(folder: Path, cfg: DictConfig, trials: list[FrozenTrial], settings: Sequence[Setting], model: str) -> Path:
    """trials.csv always; with a complete trial, experiment/best.yaml as well. Returns the path of the latter."""
    write_csv(trials, settings, folder / "trials.csv")
    experiment = folder / "experiment" / "best.yaml"
    if any(trial.state == TrialState.COMPLETE for trial in trials):
        write_experiment(experiment, cfg, best_of(trials), model)
    return experiment


def state_of(trial: FrozenTrial) -> str:
    return {TrialState.COMPLETE: "complete", TrialState.PRUNED: "stopped"}.get(trial.state, "diverged")


def value_of(trial: FrozenTrial) -> float:
    """The objective, or the last one of a trial that was stopped; NaN if it has none."""
    if trial.value is not None:
        return float(trial.value)
    return trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else math.nan


def epochs_of(trial: FrozenTrial) -> int:
    return 1 + max(trial.intermediate_values, default=-1)


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """Rows of at most four."""
    rows = math.ceil(n / _IN_A_ROW)
    figure = Figure(figsize=(3.2 * min(n, _IN_A_ROW), 2.9 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, min(n, _IN_A_ROW), place) for place in range(1, n + 1)]
    for ax in axes:
        tidy(ax)
    return figure, axes


def _points(ax: Axes, x: Sequence[float], trials: Sequence[FrozenTrial]) -> None:
    for complete, colour, fill in ((True, EXACT, "full"), (False, MUTED, "none")):
        mine = [i for i, trial in enumerate(trials) if (trial.state == TrialState.COMPLETE) == complete]
        heights = [value_of(trials[i]) for i in mine]
        ax.plot([x[i] for i in mine], heights, "o", markersize=4, color=colour, fillstyle=fill)  # type: ignore[arg-type]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
