"""The calibration figure: what an ensemble says of its errors against what they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from ..configuration import Array
from .calibration import Calibration
from .style import EXACT, LEARNED, MUTED, label, new_figure

_MANY_POINTS = 2000
_HIDDEN = 0.002  # share of the sites with the smallest errors that may lie below the frame: logarithms have a long tail


def calibration(
    sites: Calibration, configurations: Calibration | None = None, title: str = "torques", unit: str = "t0"
) -> Figure:
    """Left: rms error against rms spread in bins of spread; right: error against spread of each; logarithmic.

    On the diagonal the spread is the error. The left panel also shows the bins without ``sites.factor``.

    Args:
        sites: spreads and errors of sites.
        configurations: those of configurations, rms over their sites, also drawn on the right.
        title: of the left panel.
        unit: of energy.
    """
    figure, (left, right) = new_figure(columns=2, width=4.6, height=4.0)
    _bins(left, sites)
    _each(figure, right, sites, configurations)
    unit = "$t_0$" if unit == "t0" else unit.replace("$", r"\$")
    label(left, f"rms spread of a bin ({unit})", f"rms torque error of a bin ({unit})", title)
    name = "spread" if sites.factor == 1.0 else "recalibrated spread"
    label(right, rf"{name} $\sigma_i$ ({unit})", rf"error $|\bar{{\tau}}_i-\tau_i|$ ({unit})")
    return figure


def _bins(ax: Axes, sites: Calibration) -> None:
    raw, said = _with_logarithm(*replace(sites, factor=1.0).bins()), _with_logarithm(*sites.bins())
    _frame(ax, np.concatenate([*raw, *said]))
    ax.plot(*raw, "s", color=MUTED, markersize=4, markerfacecolor="none", label="spread of the members")
    if sites.factor != 1.0:
        name = f"times {sites.factor:.3g}, from the validation split"
        ax.plot(*said, "o-", color=LEARNED, markersize=4.5, linewidth=1.2, label=name)
    ax.legend(fontsize=8.5, frameon=False, loc="lower right")


def _each(figure: Figure, ax: Axes, sites: Calibration, configurations: Calibration | None) -> None:
    """Few sites as points, many as counts in hexagons; configurations on top of them."""
    spread, error = _with_logarithm(sites.factor * sites.spread, sites.error)
    if spread.size > _MANY_POINTS:
        cells = ax.hexbin(
            spread, error, gridsize=60, xscale="log", yscale="log", bins="log", mincnt=1, cmap="cividis_r",
            linewidths=0.2,
        )  # fmt: skip
        figure.colorbar(cells, ax=ax, pad=0.02, shrink=0.9).set_label("sites in a cell", fontsize=9)
    _frame(ax, np.concatenate([spread, error]), _HIDDEN)
    if spread.size <= _MANY_POINTS:
        ax.plot(spread, error, ".", color=EXACT, markersize=4, alpha=0.5, markeredgewidth=0)
    text = f"{sites.spread.size:,} sites: Spearman correlation {sites.spearman:.2f}"
    if configurations is not None:
        points = _with_logarithm(configurations.factor * configurations.spread, configurations.error)
        ax.plot(*points, "o", color=LEARNED, markersize=3.5, markeredgecolor="white", markeredgewidth=0.4)
        text += f"\n{configurations.spread.size:,} configurations (orange): {configurations.spearman:.2f}"
    ax.text(0.03, 0.97, text, transform=ax.transAxes, va="top", fontsize=8.5)


def _with_logarithm(spread: Array, error: Array) -> tuple[Array, Array]:
    """Those that are not zero."""
    shown = (spread > 0) & (error > 0)
    return spread[shown], error[shown]


def _frame(ax: Axes, values: Array, hidden: float = 0.0) -> None:
    """Logarithmic axes with the same range, the diagonal across."""
    low, high = (float(np.quantile(values, hidden)), float(values.max())) if values.size else (0.1, 1.0)
    box = (low / 1.4, high * 1.4)
    ax.set(autoscale_on=False, xlim=box, ylim=box, xscale="log", yscale="log", aspect="equal")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 50 * low else (1.0,)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    ax.plot(box, box, "--", color=EXACT, linewidth=0.9, label="spread = error", zorder=3)
