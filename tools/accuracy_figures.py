"""Figures of tools/benchmark_accuracy.py in the look of the others; each takes entries and returns a Figure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from accuracy_studies import BASE
from accuracy_tables import Entry, states_of
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from mhipnn.analysis.style import EXACT, LEARNED, MARKERS, MUTED, colours_of_times, label, new_figure

NRMSE = "test/torque_nrmse"
_ERROR = "torque NRMSE, test realisations"
_R2_TICKS = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999)
_FINE_R2_TICKS = (0.6, 0.7, 0.85, 0.92, 0.94, 0.96, 0.97, 0.975, 0.985, 0.988, 0.992, 0.994, 0.996, 0.997)
_LINES = ("-", "--", "-.", ":")


def models(entries: Sequence[Entry]) -> Figure:
    """Torque R^2 of every model on every track on a scale of 1 - R^2: filled on the test split, open on larger ones."""
    tracks = _distinct(entries, "track")
    names = _distinct(entries, "model")
    figure, (ax,) = new_figure(width=1.8 + 1.55 * len(tracks), height=3.8)
    ax.set_yscale("log")
    places = np.linspace(-0.3, 0.3, len(names)) if len(names) > 1 else np.zeros(1)
    for name, place, colour, marker, _ in _styles(names, places):
        for split, face, shift in (("test", colour, 0.0), ("size", "white", 0.04)):
            points = [(tracks.index(e.labels["track"]) + place + shift, e.values(f"{split}/torque_r2"))
                      for e in entries if e.labels["model"] == name]  # fmt: skip
            x, low, middle, high = _bars([(at, 1 - np.array(values)) for at, values in points if values])
            ax.errorbar(
                x, middle, (middle - low, high - middle), fmt=marker, color=colour, markerfacecolor=face, markersize=6,
                elinewidth=1, capsize=2, label=name if split == "test" else None,
            )  # fmt: skip
    _scale_of_r2(ax)
    ax.set_xticks(range(len(tracks)), tracks)
    ax.grid(False, axis="x")
    for border in range(1, len(tracks)):
        ax.axvline(border - 0.5, color="#e6e8eb", linewidth=0.6)
    ax.set_xlim(-0.5, len(tracks) - 0.5)
    _legend(ax, "filled: test realisations\nopen: larger systems")
    label(ax, "track", "torque $R^2$")
    return figure


def learning_curve(entries: Sequence[Entry]) -> Figure:
    """NRMSE against the number of training realisations, both logarithmic, a line a model, a panel a track."""
    figure = _curves(_panels(entries, ["track"]), "realisations", "model", "training realisations")
    for ax in figure.axes:
        ax.set_xscale("log")
        _plain_ticks(ax, sorted({float(e.labels["realisations"]) for e in entries}))
    return figure


def cutoff(entries: Sequence[Entry]) -> Figure:
    """NRMSE against the cutoff, a line a number of interaction layers, a panel a track."""
    figure = _curves(_panels(entries), "cutoff", "layers", "cutoff $r_\\mathrm{cut}$ (mean spacing)")
    for ax in figure.axes:
        _plain_ticks(ax, sorted({float(e.labels["cutoff"]) for e in entries}))
    return figure


def ablation(entries: Sequence[Entry]) -> Figure:
    """NRMSE with one ingredient changed over that of the base, and the range of the seeds; a panel a track and base."""
    panels = _panels(entries)
    changed = [name for name in _distinct(entries, "changed") if name != BASE]
    figure, axes = new_figure(columns=len(panels), width=5.2, height=1.2 + 0.24 * len(changed))
    for ax, (title, here) in zip(axes, panels.items(), strict=True):
        errors = {e.labels["changed"]: np.array(e.values(NRMSE)) for e in here}
        base = errors.pop(BASE, np.array([]))
        if base.size:
            ax.axvspan(base.min() / base.mean(), base.max() / base.mean(), color="#e6e8eb", linewidth=0)
            ax.axvline(1.0, color=MUTED, linewidth=1.0)
        for name, values in errors.items():
            if not (base.size and values.size):
                continue
            low, ratio, high = np.array([values.min(), values.mean(), values.max()]) / base.mean()
            colour, height = LEARNED if ratio > 1 else EXACT, -changed.index(name)
            ax.plot([1.0, ratio], [height, height], "-", color=MUTED, linewidth=0.8)
            ax.errorbar(ratio, height, xerr=[[ratio - low], [high - ratio]], fmt="o", color=colour, capsize=2)
        ax.set_yticks([-number for number in range(len(changed))], changed)
        ax.set_ylim(0.4 - max(len(changed), 1), 0.6)
        label(ax, "torque NRMSE / that of the base (left is better)", "", title)
    return figure


def spin_state(entries: Sequence[Entry]) -> Figure:
    """NRMSE of random states and along the quench, a line a model, a panel a track."""
    states = [state for state in states_of(entries) if state != "quench"]
    panels, names = _panels(entries, ["track"]), _distinct(entries, "model")
    figure, axes = new_figure(columns=len(panels), width=3.4, height=3.6)
    for ax, (title, here) in zip(axes, panels.items(), strict=True):
        ax.set_yscale("log")
        for name, _, colour, marker, line in _styles(names, names):
            for entry in (entry for entry in here if entry.labels["model"] == name):
                means = [entry.mean(f"state/{state}/torque_nrmse") for state in states]
                points = [(at, mean) for at, mean in enumerate(means) if mean is not None]
                x, y = np.array(points).reshape(-1, 2).T
                ax.plot(x, y, marker + line, color=colour, markersize=5, linewidth=1.3, label=name)
        ax.set_xticks(range(len(states)), [state.removeprefix("t = ") for state in states])
        _plain_ticks(ax)
        label(ax, r"state: time of the quench ($\hbar/t_0$)", _ERROR if ax is axes[0] else "", title)
    _legend(axes[-1])
    return figure


FIGURES: Mapping[str, Callable[[Sequence[Entry]], Figure]] = {
    "models": models,
    "trials": models,
    "learning_curve": learning_curve,
    "cutoff": cutoff,
    "ablation": ablation,
    "spin_state": spin_state,
}


def _curves(panels: Mapping[str, Sequence[Entry]], x: str, lines: str, x_label: str) -> Figure:
    """Mean NRMSE with the range of the seeds against one label, a line for each value of another."""
    names = _distinct([entry for here in panels.values() for entry in here], lines)
    figure, axes = new_figure(columns=len(panels), width=3.9, height=3.6)
    for ax, (title, here) in zip(axes, panels.items(), strict=True):
        ax.set_yscale("log")
        for name, _, colour, marker, line in _styles(names, names):
            points = [(e.labels[x], np.array(e.values(NRMSE))) for e in here if e.labels[lines] == name]
            at, low, middle, high = _bars(sorted((float(at), errors) for at, errors in points if errors.size))
            ax.errorbar(
                at, middle, (middle - low, high - middle), fmt=marker + line, color=colour, markersize=5,
                linewidth=1.4, elinewidth=1, capsize=2, label=f"{name}",
            )  # fmt: skip
        label(ax, x_label, _ERROR if ax is axes[0] else "", title)
    _legend(axes[-1], lines)
    return figure


def _panels(entries: Sequence[Entry], names: Sequence[str] = ("track", "model")) -> dict[str, list[Entry]]:
    """Title -> the entries that have these labels in common."""
    panels: dict[str, list[Entry]] = {}
    for entry in entries:
        panels.setdefault(", ".join(str(entry.labels[name]) for name in names), []).append(entry)
    return panels


def _distinct(entries: Sequence[Entry], name: str) -> list:
    return list(dict.fromkeys(entry.labels[name] for entry in entries))


def _styles(names: Sequence, places: Sequence) -> list[tuple]:
    """(name, place, colour, marker, line): told apart in grey by markers and lines."""
    colours = colours_of_times(len(names))
    return [
        (name, place, colour, MARKERS[n % len(MARKERS)], _LINES[n % len(_LINES)])
        for n, (name, place, colour) in enumerate(zip(names, places, colours, strict=True))
    ]


def _bars(points: Sequence[tuple]) -> np.ndarray:
    """Rows x, least, mean, greatest."""
    return np.array([(x, values.min(), values.mean(), values.max()) for x, values in points]).reshape(-1, 4).T


def _scale_of_r2(ax: Axes) -> None:
    """The axis holds 1 - R^2, logarithmic and upside down, and is labelled with R^2."""
    low, high = max(ax.dataLim.y0, 1e-6) / 1.25, max(ax.dataLim.y1, 1e-6) * 1.25
    ax.set_ylim(high, low)
    ticks = _R2_TICKS + _FINE_R2_TICKS if high < 5 * low else _R2_TICKS
    ax.yaxis.set_major_locator(FixedLocator(sorted(1 - tick for tick in ticks)))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{1 - value:.4g}"))


def _plain_ticks(ax: Axes, x_ticks: Sequence[float] | None = None) -> None:
    """Numbers as they are, no powers of ten."""
    low, high = ax.get_ylim()
    steps = [m * 10.0**e for e in range(-5, 3) for m in (1, 1.5, 2, 3, 4, 5, 6, 8)]
    inside = [step for step in steps if low <= step <= high]
    ax.yaxis.set_major_locator(FixedLocator(inside) if high > 3 * low else MaxNLocator(6))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    if x_ticks is not None:
        ax.xaxis.set_major_locator(FixedLocator(list(x_ticks)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _legend(ax: Axes, title: str | None = None) -> None:
    ax.legend(
        title=title, fontsize=8, title_fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5)
    )  # fmt: skip
