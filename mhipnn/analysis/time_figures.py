"""Figures of what changes with time: aging, its collapse, relaxation with fits, any observable; distributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from ..configuration import Array
from .aging import TwoTime
from .correlations import MeanAndError, mean_and_error
from .jackknife import Estimate
from .relaxation import Distribution, RelaxationFit
from .style import EXACT, LEARNED, MARKERS, MUTED, colours_of_times, label, new_figure

_TIME = r"time $t$ ($\hbar/t_0$)"
_LINES = ("-", "--", "-.", ":")


def aging_plot(curves: Sequence[TwoTime], mu: Estimate | None = None) -> Figure:
    """A(t, t_w) against t (left) and, for t_w > 0, against t/t_w (right), which makes one curve of full aging.

    ``mu`` of the best collapse in t/t_w^mu is quoted. Means over realisations with bands of one standard error; line
    styles and colours tell the waiting times.
    """
    aged = [curve for curve in curves if curve.waiting_time > 0]
    figure, axes = new_figure(columns=2 if len(aged) > 1 else 1, width=4.3, height=3.5)
    for ax, scaled, drawn in zip(axes, (False, True), (curves, aged), strict=False):
        for number, (curve, colour) in enumerate(zip(drawn, colours_of_times(len(drawn)), strict=True)):
            mean, error, _ = mean_and_error(curve.value[1:], axis=1)
            x = curve.lag[1:] / (curve.waiting_time if scaled else 1.0)
            ax.plot(x, mean, _LINES[number % 4], color=colour, linewidth=1.5, label=f"{curve.waiting_time:.3g}")
            ax.fill_between(x, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)
        ax.set_xscale("log")
        ax.axhline(0, color=MUTED, linewidth=0.7)
    axes[-1].legend(title=r"$t_w$ ($\hbar/t_0$)", fontsize=8, title_fontsize=8, frameon=False)
    label(axes[0], r"$t$ ($\hbar/t_0$)", r"$A(t,t_w)=\langle\mathbf{S}_i(t_w)\cdot\mathbf{S}_i(t_w+t)\rangle$")
    if len(axes) > 1:
        spread = "" if mu is None or not np.isfinite(mu.error) else rf" \pm {mu.error:.2f}"
        label(
            axes[1], r"$t/t_w$", "", "" if mu is None else rf"best collapse: $t/t_w^\mu$, $\mu={mu.value:.2f}{spread}$"
        )
    return figure


def relaxation_plot(times: Array, energy: MeanAndError, fits: Mapping[str, RelaxationFit]) -> Figure:
    """Energy per site against time on a logarithmic scale, with its standard error and fitted laws; t = 0 left out."""
    figure, (ax,) = new_figure(width=4.8, height=3.5)
    after = times > 0
    t = times[after]
    ax.errorbar(t, energy.mean[after], np.nan_to_num(energy.error[after]), fmt="o", color=EXACT, markersize=3,
                elinewidth=0.8, capsize=1.5, label="mean, standard error")  # fmt: skip
    fine = np.geomspace(t[0], t[-1], 200)
    for (name, fit), line, colour in zip(fits.items(), ("-", "--"), (LEARNED, MUTED), strict=False):
        curve = fit.limit + fit.amplitude * (fine**-fit.exponent if fit.exponent else -np.log(fine))
        ax.plot(fine, curve, line, color=colour, linewidth=1.3, label=name)
    ax.set_xscale("log")
    ax.legend(fontsize=8, frameon=False)
    label(ax, _TIME, "energy per site ($t_0$)")
    return figure


def time_series(times: Array, series: Mapping[str, MeanAndError], y: str, level: float | None = None) -> Figure:
    """Means with bands of one standard error against time, (T,) each; keys name the curves, ``level`` is dotted."""
    figure, (ax,) = new_figure(width=4.8, height=3.4)
    if level is not None:
        ax.axhline(level, color=MUTED, linewidth=0.9, linestyle=":")
    for number, (name, (mean, error, _)) in enumerate(series.items()):
        colour = (EXACT, LEARNED, MUTED)[number % 3]
        marker = MARKERS[number % len(MARKERS)] if len(times) <= 40 else ""
        ax.plot(times, mean, _LINES[number % 4], marker=marker, markersize=3, color=colour, linewidth=1.4, label=name)
        ax.fill_between(times, mean - error, mean + error, color=colour, alpha=0.15, linewidth=0)
    if len(series) > 1:
        ax.legend(fontsize=8, frameon=False)
    label(ax, _TIME, y)
    return figure


def distributions(panels: Sequence[tuple[str, Mapping[str, Distribution]]], unit: str = "t_0") -> Figure:
    """Densities with their standard errors: one panel for each (name of the axis, {title of the curve: density})."""
    figure, axes = new_figure(columns=len(panels), width=4.0, height=3.3)
    for ax, (name, curves) in zip(axes, panels, strict=True):
        drawn = zip(curves.items(), colours_of_times(len(curves)), strict=True)
        for number, ((title, found), colour) in enumerate(drawn):
            line = _LINES[number % 4]
            ax.stairs(found.density, found.edges, color=colour, linestyle=line, linewidth=1.4, label=title)
            ax.errorbar(found.middles, found.density, np.nan_to_num(found.error), fmt="none", ecolor=colour,
                        elinewidth=0.8, alpha=0.7)  # fmt: skip
        ax.set_ylim(0, None)
        label(ax, f"{name} (${unit}$)", f"density ($1/{unit}$)" if ax is axes[0] else "")
    axes[0].legend(fontsize=8, frameon=False)
    return figure
