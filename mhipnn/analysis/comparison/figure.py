"""One sheet for runs of one quench: energy, distance, deviation of C, audits against time; C(r) at several times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..style import MARKERS, MUTED, RUN_LINES, colours_of_runs, label, tidy
from .compare import ComparedRun, Comparison

_TIME = r"time $t$ ($\hbar/t_0$)"
_MARKED = 12
"""Markers on a line."""


def comparison_sheet(result: Comparison, shown: Sequence[int]) -> Figure:
    """Curves are means over realisations, bands and bars standard errors; colour, line and marker tell the runs.

    Args:
        result: of :func:`.compare.compare_trajectories`.
        shown: instants at which C(r) is drawn, one panel each.
    """
    audited = any(run.audit is not None for run in result.runs)
    figure = Figure(figsize=(12.6, 6.6), layout="constrained")
    FigureCanvasAgg(figure)
    above, below = figure.subfigures(2, 1, hspace=0.04, squeeze=False)[:, 0]
    panels = list(np.ravel(above.subplots(1, 4 if audited else 3)))
    profiles = list(np.ravel(below.subplots(1, len(shown), sharey=True)))
    for ax, letter in zip([*panels, *profiles], "abcdefghijklmnopqrstuvwxyz", strict=False):
        tidy(ax)
        ax.set_title(f"({letter})", fontsize=10, loc="left", fontweight="bold")
    _energy(panels[0], result)
    _distance(panels[1], result)
    _deviation(panels[2], result)
    if audited:
        _audit(panels[3], result)
    for ax, instant in zip(profiles, shown, strict=True):
        _profile(ax, result, instant)
    profiles[0].set_ylabel(r"$C(r,t)=\langle\mathbf{S}_i\cdot\mathbf{S}_j\rangle$", fontsize=10)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), fontsize=9, frameon=False)
    return figure


def _looks(result: Comparison) -> list[tuple[ComparedRun, dict[str, object]]]:
    """Each run with its colour, line and marker."""
    colours = colours_of_runs(len(result.runs))
    every = max(len(result.runs), -(-len(result.times) // _MARKED))
    return [
        (run, {"color": colours[k], "linestyle": RUN_LINES[k], "marker": MARKERS[k], "linewidth": 1.4, "markersize": 4,
               "markevery": (k * every // len(result.runs), every), "label": _plain_text(run.run.name)})
        for k, run in enumerate(result.runs)
    ]  # fmt: skip


def _energy(ax: Axes, result: Comparison) -> None:
    for run, look in _looks(result):
        mean, error, _ = run.mean_energy
        ax.plot(result.times, mean, **look)  # type: ignore[arg-type]
        ax.fill_between(result.times, mean - error, mean + error, color=look["color"], alpha=0.12, linewidth=0)  # type: ignore[arg-type]
    label(ax, _TIME, "energy per site ($t_0$)")


def _distance(ax: Axes, result: Comparison) -> None:
    """Small differences grow exponentially, so on a logarithmic scale; t = 0, where there are none, is left out."""
    after = result.times > 0
    t = result.times[after]
    smallest = 1.0
    ax.set_yscale("log", nonpositive="mask")
    ax.axhline(np.sqrt(2), color=MUTED, linewidth=0.9, linestyle=":")
    ax.text(result.times[-1], 1.5, "unrelated", fontsize=8, color=MUTED, ha="right", va="bottom")
    for run, look in _looks(result)[1:]:
        root, error = (values[after] for values in run.distance[:2])
        ax.plot(t, root, **look)  # type: ignore[arg-type]
        ax.fill_between(t, root - error, root + error, color=look["color"], alpha=0.12, linewidth=0)  # type: ignore[arg-type]
        smallest = min([smallest, *root[root > 0]])
    ax.set_ylim(_decade_below(smallest), 3)
    label(ax, _TIME, f"rms distance from {_plain_text(result.reference.run.name)}")


def _deviation(ax: Axes, result: Comparison) -> None:
    """The largest over r; single realisations have no standard error, and then there is nothing to draw."""
    for level in (1, 2):
        ax.axhline(level, color=MUTED, linewidth=0.9, linestyle=":")
    for run, look in _looks(result)[1:]:
        within = result.agreement(run)
        errors = within.in_errors
        counted = np.isfinite(errors).any(1)
        ax.plot(result.times[counted], np.nanmax(errors[counted], axis=1), **look)  # type: ignore[arg-type]
    ax.set_ylim(0, max(2.2, ax.get_ylim()[1]))
    label(ax, _TIME, r"largest $|\Delta C|$ (standard errors)")


def _audit(ax: Axes, result: Comparison) -> None:
    lost = []
    for run, look in _looks(result):
        if run.audit is None:
            continue
        lost.append(1 - run.audit.r2)
        ax.plot(run.audit.times, lost[-1], **{**look, "markevery": None})  # type: ignore[arg-type]
    low, high = min(one.min() for one in lost), max(one.max() for one in lost)
    if low > 0:  # errors of KPM and of a network are decades apart
        ax.set_yscale("log")
        ax.set_ylim(_decade_below(low), 1 / _decade_below(1 / high))
    label(ax, _TIME, "$1-R^2$ of the torques (audit)")


def _plain_text(name: str) -> str:
    """No formula, whatever stands in a file."""
    return name.replace("$", r"\$")


def _decade_below(value: float) -> float:
    return float(10.0 ** np.floor(np.log10(value / 1.2)))


def _profile(ax: Axes, result: Comparison, instant: int) -> None:
    """Runs a little apart in r, so that their bars can be seen."""
    ax.axhline(0, color=MUTED, linewidth=0.8)
    n, width = len(result.runs), result.r[1] - result.r[0] if len(result.r) > 1 else 0.5
    for k, (run, look) in enumerate(_looks(result)):
        mean, error, _ = run.mean_correlation
        at = result.r + width * 0.1 * (k - (n - 1) / 2)
        ax.errorbar(at, mean[instant], np.nan_to_num(error[instant]), capsize=2, elinewidth=1,
                    **{**look, "markevery": None, "linewidth": 0.8})  # type: ignore[arg-type]  # fmt: skip
    ax.set_xlim(0, None)
    ax.text(0.96, 0.95, f"$t$ = {result.times[instant]:.3g}", transform=ax.transAxes, ha="right", va="top", fontsize=9)
    label(ax, "distance $r$ (mean spacing)", "")
