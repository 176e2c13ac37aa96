"""The figures of a run: each function takes data and returns a matplotlib Figure; nothing global is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.quiver import Quiver

from ..configuration import Array, SpinConfiguration
from ..errors import InputError
from .correlations import MeanAndError, mean_and_error, nearest_instants
from .parity import nrmse, r_squared
from .rollout import RolloutComparison
from .style import EXACT, LEARNED, MARKERS, MUTED, SPIN_COLOURS, colours_of_times, label, new_figure, save

__all__ = [
    "correlation_profiles",
    "energy_relaxation",
    "learning_curves",
    "rollout_correlations",
    "rollout_pictures",
    "save",
    "spin_pictures",
    "torque_along_rollout",
    "torque_parity",
]

_TIME = r"time $t$ ($\hbar/t_0$)"
_MANY_POINTS = 4000


def torque_parity(exact: Array, learned: Array, title: str = "torque components", unit: str = "t0") -> Figure:
    r"""Learned against exact torque components, (..., 3) each, in the unit of energy, with R^2 and NRMSE.

    Few points are drawn as points, many as counts in hexagons on a logarithmic scale.
    """
    x, y = np.ravel(exact), np.ravel(learned)
    figure, (ax,) = new_figure(width=4.3, height=3.8)
    reach = 1.05 * max(np.abs(x).max(), np.abs(y).max(), np.finfo(float).tiny)
    box = (-reach, reach)
    if x.size > _MANY_POINTS:
        cells = ax.hexbin(x, y, gridsize=90, extent=(*box, *box), bins="log", mincnt=1, cmap="cividis_r", linewidths=0)
        figure.colorbar(cells, ax=ax, pad=0.02, shrink=0.9).set_label("components in a cell", fontsize=9)
    else:
        ax.plot(x, y, ".", color=EXACT, markersize=3, alpha=0.5, markeredgewidth=0)
    ax.plot(box, box, color=LEARNED, linewidth=0.9)
    ax.set(xlim=box, ylim=box, aspect="equal")
    text = f"$R^2$ = {r_squared(x, y):.4f}\nNRMSE = {nrmse(x, y):.3f}\n{x.size:,} components"
    ax.text(0.04, 0.96, text, transform=ax.transAxes, va="top", fontsize=9)
    unit = "$t_0$" if unit == "t0" else unit.replace("$", r"\$")
    label(ax, rf"exact $(\mathbf{{S}}_i\times\mathbf{{B}}_i)_a$ ({unit})", f"learned ({unit})", title)
    return figure


def correlation_profiles(
    r: Array,
    times: Array,
    exact: MeanAndError,
    learned: MeanAndError | None = None,
    at: Sequence[float] | None = None,
    title: str = "",
) -> Figure:
    """C(r) at several times: ``exact`` as points with standard errors, ``learned`` (if given) as lines.

    Args:
        r: (B,), mean spacings.
        times: (T,), hbar/t0.
        exact, learned: means and errors, (T, B) each.
        at: times to show; default five from the start to the end.
    """
    shown = nearest_instants(times, np.linspace(times[0], times[-1], 5).tolist() if at is None else at)
    figure, (ax,) = new_figure(width=5.4, height=3.6)
    ax.axhline(0, color=MUTED, linewidth=0.8)
    for number, (index, colour) in enumerate(zip(shown, colours_of_times(len(shown)), strict=True)):
        ax.errorbar(
            r,
            exact.mean[index],
            np.nan_to_num(exact.error[index]),
            fmt=MARKERS[number % len(MARKERS)],
            linestyle="none" if learned is not None else ":",
            linewidth=1.0,
            color=colour,
            markersize=4.5,
            elinewidth=1.0,
            capsize=2,
            label=f"t = {times[index]:.3g}",
        )
        if learned is not None:
            ax.plot(r, learned.mean[index], color=colour, linewidth=1.4)
    legend = "points: exact, with standard error\nlines: learned" if learned is not None else "mean and standard error"
    ax.legend(title=legend, fontsize=8, title_fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    ax.set_xlim(0, None)
    label(ax, "distance $r$ (mean spacing)", r"$C(r,t)=\langle\mathbf{S}_i\cdot\mathbf{S}_j\rangle$", title)
    return figure


def rollout_correlations(comparison: RolloutComparison, at: Sequence[float] | None = None) -> Figure:
    """C(r) at several times, exact against learned, means over the realisations."""
    fraction = comparison.agreement.fraction_within()
    title = f"{100 * fraction:.0f} % of the bins within two standard errors"
    return correlation_profiles(
        comparison.exact_correlation.r, comparison.times, comparison.exact_mean, comparison.learned_mean, at, title
    )


class Energies(Protocol):
    """What a trajectory says of its energies (T, R)."""

    @property
    def times(self) -> Array: ...
    @property
    def energies(self) -> Array: ...
    @property
    def n_sites(self) -> int: ...
    @property
    def n_replicas(self) -> int: ...


def energy_relaxation(trajectories: Mapping[str, Energies]) -> Figure:
    """Energy per site against time: mean over the realisations, band = standard error. Keys name the curves."""
    if not trajectories:
        raise InputError("energy figure: give at least one trajectory")
    figure, (ax,) = new_figure()
    styles = [(EXACT, "-"), (LEARNED, "--"), (MUTED, "-.")]
    for number, (name, trajectory) in enumerate(trajectories.items()):
        colour, line = styles[number % len(styles)]
        mean, error, _ = mean_and_error(trajectory.energies / trajectory.n_sites, axis=1)
        ax.plot(trajectory.times, mean, line, color=colour, linewidth=1.6, label=name)
        # The band of the first curve only: realisations differ by more than the curves do.
        if number == 0 and trajectory.n_replicas > 1:
            ax.fill_between(trajectory.times, mean - error, mean + error, color=colour, alpha=0.12, linewidth=0)
    if len(trajectories) > 1:
        ax.legend(fontsize=9, frameon=False)
    label(ax, _TIME, "energy per site ($t_0$)")
    return figure


def torque_along_rollout(comparison: RolloutComparison) -> Figure:
    """R^2 of the learned torques at the states of the exact and of the learned trajectory, against time."""
    figure, (ax,) = new_figure()
    values = np.concatenate([comparison.torque_r2, comparison.own_torque_r2])
    for path, r2, style in (("exact", comparison.torque_r2, "o-"), ("learned", comparison.own_torque_r2, "s--")):
        colour = EXACT if path == "exact" else LEARNED
        ax.plot(comparison.times, r2, style, color=colour, linewidth=1.4, markersize=4, label=f"on the {path} path")
    ax.legend()
    ax.set_ylim(min(0.9, values.min() - 0.02) if values.min() > 0 else None, 1.0 + 0.02 * (1 - min(0.9, values.min())))
    label(ax, _TIME, "torque $R^2$", "learned torques against exact ones")
    return figure


def spin_pictures(config: SpinConfiguration, panels: Mapping[str, Array]) -> Figure:
    """Spins (N, 3) as arrows on their sites, one panel for each title; the arrow is (S_x, S_y), the colour S_z.

    A 3-D system is cut: sites in the lowest mean spacing and a half of the third direction are shown.
    """
    if not panels:
        raise InputError("spin picture: give at least one panel")
    figure, axes = new_figure(columns=len(panels), width=3.5, height=3.6)
    shown = _layer(config)
    for ax, (title, spins) in zip(axes, panels.items(), strict=True):
        arrows = _draw_spins(ax, config, np.asarray(spins), shown)
        label(ax, "$x$ (mean spacing)", "$y$ (mean spacing)" if ax is axes[0] else "", title)
    figure.colorbar(arrows, ax=axes, pad=0.01, shrink=0.85, aspect=28).set_label("$S_z$", fontsize=10)
    return figure


def rollout_pictures(comparison: RolloutComparison, replica: int = 0) -> Figure:
    """The spins before the quench, and after it with the exact and with the learned potential."""
    exact, learned = comparison.exact, comparison.learned
    end = f"t = {exact.times[-1]:.3g}"
    panels = {
        "before, t = 0": exact.spins[0, replica],
        f"exact, {end}": exact.spins[-1, replica],
        f"learned, {end}": learned.spins[-1, replica],
    }
    return spin_pictures(exact.configs[replica], panels)


def learning_curves(
    rows: Sequence[Mapping[str, float]],
    loss: Sequence[str] = ("train/loss", "val/loss"),
    accuracy: str = "val/torque_r2",
    epoch: str = "epoch",
) -> Figure:
    """Losses (left) and the validation torque R^2 as 1 - R^2 (right), logarithmic, against the epoch.

    Args:
        rows: logged rows; a key may be absent, None or NaN in some of them.
        loss: keys drawn on the left, those of them that occur.
        accuracy: key of the torque R^2.
        epoch: key of the epoch.
    """
    figure, (left, right) = new_figure(columns=2, width=4.2)
    for name, colour, line in zip(loss, (EXACT, LEARNED, MUTED), ("-", "--", "-."), strict=False):
        x, y = _series(rows, epoch, name)
        if len(x):
            left.plot(x, y, line, color=colour, linewidth=1.5, label=name.replace("/", " "))
    x, y = _series(rows, epoch, accuracy)
    right.plot(x, 1 - y, "o-", color=LEARNED, linewidth=1.4, markersize=3)
    if len(y):
        right.text(0.97, 0.95, f"last $R^2$ = {y[-1]:.4f}", transform=right.transAxes, ha="right", va="top", fontsize=9)
    for ax in (left, right):
        if any(np.any(np.asarray(line.get_ydata(), float) > 0) for line in ax.lines):
            ax.set_yscale("log", nonpositive="mask")
    if left.lines:
        left.legend(fontsize=9, frameon=False)
    label(left, "epoch", "loss")
    label(right, "epoch", "$1-R^2$ of the validation torques")
    return figure


def _series(rows: Sequence[Mapping[str, float]], x: str, y: str) -> tuple[Array, Array]:
    pairs = [(float(row[x]), float(row[y])) for row in rows if row.get(x) is not None and row.get(y) is not None]
    points = np.array([pair for pair in pairs if np.isfinite(pair).all()]).reshape(-1, 2)
    return points[:, 0], points[:, 1]


def _layer(config: SpinConfiguration) -> np.ndarray:
    z = config.positions[:, 2]
    return z <= z.min() + 1.5


def _draw_spins(ax: Axes, config: SpinConfiguration, spins: Array, shown: np.ndarray) -> Quiver:
    wrapped = np.linalg.solve(config.cell.T, config.positions.T).T
    wrapped = np.where(config.pbc, wrapped % 1.0, wrapped) @ config.cell
    x, y = wrapped[shown, 0], wrapped[shown, 1]
    corners = np.array(
        [[0, 0], config.cell[0, :2], config.cell[0, :2] + config.cell[1, :2], config.cell[1, :2], [0, 0]]
    )
    ax.plot(*corners.T, color=MUTED, linewidth=0.7)
    ax.grid(False)
    # A dot on every site: a spin that points at the reader has no arrow but keeps its colour.
    colour = np.clip(spins[shown, 2], -1, 1)
    size = min(10.0, (50.0 / np.abs(corners).max()) ** 2)
    ax.scatter(x, y, c=colour, cmap=SPIN_COLOURS, vmin=-1, vmax=1, s=size, linewidths=0.3, edgecolors=EXACT)
    arrows = ax.quiver(
        x,
        y,
        spins[shown, 0],
        spins[shown, 1],
        colour,
        cmap=SPIN_COLOURS,
        clim=(-1, 1),
        pivot="middle",
        angles="xy",
        scale_units="xy",
        scale=1.05,
        units="xy",
        width=0.09,
        headwidth=4,
        headlength=4.5,
        headaxislength=4,
        minlength=0.1,
        zorder=3,
    )
    ax.set_aspect("equal")
    return arrows
