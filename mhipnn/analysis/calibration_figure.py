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
_SHOWN = 0.002  # share of the smallest errors that may lie below the frame: their logarithms have a long tail


def calibration(found: Calibration, title: str = "torques", unit: str = "t0") -> Figure:
    """Left: rms error against rms spread in bins of spread; right: error against spread of every site; logarithmic.

    On the diagonal the spread is the error. The left panel also shows the bins without ``found.factor``.

    Args:
        found: spreads and errors of sites.
        title: of the left panel.
        unit: of energy.
    """
    figure, (left, right) = new_figure(columns=2, width=4.5, height=3.9)
    raw, said = _with_logarithm(*replace(found, factor=1.0).bins()), _with_logarithm(*found.bins())
    spread, error = _with_logarithm(found.factor * found.spread, found.error)
    _frame(left, np.concatenate([*raw, *said]))
    _frame(right, np.concatenate([spread, error]), _SHOWN)
    left.plot(*raw, "s", color=MUTED, markersize=4, markerfacecolor="none", label="spread of the members")
    if found.factor != 1.0:
        name = f"times {found.factor:.3g}, from the validation split"
        left.plot(*said, "o-", color=LEARNED, markersize=4.5, linewidth=1.2, label=name)
    if spread.size > _MANY_POINTS:
        scale = {"xscale": "log", "yscale": "log", "bins": "log"}
        cells = right.hexbin(spread, error, gridsize=60, mincnt=1, cmap="cividis_r", linewidths=0.2, **scale)
        figure.colorbar(cells, ax=right, pad=0.02, shrink=0.9).set_label("sites in a cell", fontsize=9)
    else:
        right.plot(spread, error, ".", color=EXACT, markersize=4, alpha=0.5, markeredgewidth=0)
    left.legend(fontsize=8.5, frameon=False, loc="lower right")
    text = f"Spearman correlation {found.spearman:.2f}\n{found.spread.size:,} sites"
    right.text(0.04, 0.96, text, transform=right.transAxes, va="top", fontsize=9)
    unit = "$t_0$" if unit == "t0" else unit.replace("$", r"\$")
    label(left, f"rms spread of a bin ({unit})", f"rms torque error of a bin ({unit})", title)
    name = "spread" if found.factor == 1.0 else "recalibrated spread"
    label(right, rf"{name} of a site $\sigma_i$ ({unit})", rf"error of a site $|\bar{{\tau}}_i-\tau_i|$ ({unit})")
    return figure


def _with_logarithm(spread: Array, error: Array) -> tuple[Array, Array]:
    """Those that are not zero."""
    shown = (spread > 0) & (error > 0)
    return spread[shown], error[shown]


def _frame(ax: Axes, values: Array, hidden: float = 0.0) -> None:
    """Logarithmic axes with the same range, the diagonal across."""
    values = values[values > 0]
    low, high = (np.quantile(values, hidden), values.max()) if values.size else (0.1, 1.0)
    box = (low / 1.4, high * 1.4)
    ax.set(xscale="log", yscale="log", aspect="equal", autoscale_on=False, xlim=box, ylim=box)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(10, subs=(1.0, 2.0, 5.0) if high < 50 * low else (1.0,)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())
    ax.plot(box, box, "--", color=EXACT, linewidth=0.9, label="spread = error", zorder=3)
