"""The figure of an audit: the torque's error along the trajectory, and how the torques scatter."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from ..style import EXACT, LEARNED, MUTED, label, new_figure
from .measure import AuditResult


def audit_figure(result: AuditResult, reference: str = "reference") -> Figure:
    """NRMSE against time, with the committee's spread where there is one; torque components against the reference's."""
    figure, (left, right) = new_figure(columns=2, width=4.4, height=3.6)
    left.plot(result.times, 100 * result.nrmse, "o-", color=EXACT, markersize=4, linewidth=1.4, label="NRMSE")
    left.set_ylim(0, 115 * result.nrmse.max())
    margin = 0.02 * float(np.ptp(result.all_times) or 1.0)
    left.set_xlim(result.all_times[0] - margin, result.all_times[-1] + margin)
    label(left, r"time $t$ ($\hbar/t_0$)", "torque error (% of rms torque)")
    left.set_title(f"$R^2$ = {result.total_r2:.4f}, at the worst time {result.r2.min():.4f}", fontsize=10, loc="left")
    if result.spread is not None:
        twin = left.twinx()
        twin.plot(result.all_times, result.spread.mean(1), "--", color=LEARNED, linewidth=1.2, label="committee spread")
        twin.set_ylabel("rms torque spread of the committee ($t_0$)", fontsize=10)
        twin.set_ylim(0, None)
        figure.legend(loc="outside lower left", ncols=2, fontsize=9, frameon=False)
    x, y = result.reference.ravel(), result.own.ravel()
    reach = 1.05 * max(np.abs(x).max(initial=0), np.abs(y).max(initial=0), np.finfo(float).tiny)
    right.plot(x, y, ".", color=EXACT, markersize=2, alpha=0.4, markeredgewidth=0)
    right.plot((-reach, reach), (-reach, reach), color=MUTED, linewidth=0.9)
    right.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axis = r"$(\mathbf{S}_i\times\mathbf{B}_i)_a$ ($t_0$)"
    label(right, f"{reference} {axis}", "this run ($t_0$)", f"{len(x):,} torque components")
    return figure
