"""One sheet for a thermal quench: exact electrons, the network in their place, and the sizes that only it reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..configuration import Array, SpinConfiguration
from .correlations import MeanAndError, mean_and_error, nearest_instants
from .parity import nrmse, r_squared
from .rollout import RolloutComparison
from .structure_factor import allowed_waves, shell_average, structure_factor_at
from .style import EXACT, LEARNED, MARKERS, MUTED, colours_of_times, label, tidy
from .texture_figures import draw_spins

Q_MAX = 9.0
"""Of the structure factors, inverse mean spacing: beyond the first two shells of neighbours."""

_TIME = r"time $t$ ($\hbar/t_0$)"
_MANY = 20000
_WINDOW = 40.0  # mean spacings of the large system that are drawn


@dataclass(frozen=True)
class LargeQuench:
    """The learned quench of one large system.

    Args:
        config: its sites.
        times: (T,) of the recorded instants, hbar/t0.
        energies: (T,), t0.
        r, correlation: C(r, t), (B,) and (T, B).
        spins: (N, 3) at the end.
        seconds_per_step: of the integration.
    """

    config: SpinConfiguration
    times: Array
    energies: Array
    r: Array
    correlation: Array
    spins: Array
    seconds_per_step: float


def shell_profile(configs: list[SpinConfiguration], spins: Array, q_max: float = Q_MAX) -> tuple[Array, MeanAndError]:
    """S averaged over shells of |q|, with its standard error over realisations: spins (R, N, 3) -> (K,), (K,) each."""
    waves, q = allowed_waves(configs[0], q_max)
    values = np.stack([structure_factor_at(c, s, waves) for c, s in zip(configs, spins, strict=True)])
    # one width for systems of all sizes, so that the shells can be compared
    shells, averages = shell_average(q[1:], values[:, 1:], 0.5)
    return shells, mean_and_error(averages, axis=0)


def quench_sheet(result: RolloutComparison, large: LargeQuench | None = None) -> Figure:
    """Torque parity, energy, C(r, t), S(q) of exact and learned quenches; C(r) and the spins of the large one.

    Points and bands have standard errors over the realisations; lines are learned.
    """
    figure = Figure(figsize=(12.6, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(2, 3, k + 1) for k in range(6 if large is not None else 4)]
    for ax, letter in zip(panels, "abcdef", strict=False):
        tidy(ax)
        ax.set_title(f"({letter})", fontsize=10, loc="left", fontweight="bold")
    _parity(figure, panels[0], result)
    _energy(panels[1], result)
    _correlations(panels[2], result)
    _structure(panels[3], result, large)
    if large is not None:
        _size(panels[4], result, large)
        draw_spins(panels[5], large.config, large.spins)
        _window(panels[5])
        label(panels[5], "$x$ (mean spacing)", "$y$ (mean spacing)")
        where = f"a part of N = {large.config.n_sites}, t = {large.times[-1]:.3g}"
        panels[5].set_title(f"(f) learned, {where}", fontsize=10, loc="left")
    return figure


def _window(ax: Axes) -> None:
    """The middle of a large picture, so that single sites can be seen."""
    for limits, zoom in ((ax.get_xlim(), ax.set_xlim), (ax.get_ylim(), ax.set_ylim)):
        half, centre = min(abs(limits[1] - limits[0]), _WINDOW) / 2, sum(limits) / 2
        zoom(centre - half, centre + half)


def _parity(figure: Figure, ax: Axes, result: RolloutComparison) -> None:
    x, y = result.torques.ravel(), result.learned_torques.ravel()
    reach = 1.05 * max(float(np.abs(x).max()), float(np.abs(y).max()))
    if x.size > _MANY:
        cells = ax.hexbin(x, y, gridsize=80, extent=(-reach, reach, -reach, reach), bins="log", mincnt=1,
                          cmap="cividis_r", linewidths=0)  # fmt: skip
        figure.colorbar(cells, ax=ax, pad=0.01, shrink=0.85).set_label("components in a cell", fontsize=9)
    else:
        ax.plot(x, y, ".", color=EXACT, markersize=2.5, alpha=0.5, markeredgewidth=0)
    ax.plot([-reach, reach], [-reach, reach], color=LEARNED, linewidth=0.9)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    text = f"$R^2$ = {r_squared(x, y):.4f}\nNRMSE = {nrmse(x, y):.3f}"
    ax.text(0.05, 0.95, text, transform=ax.transAxes, va="top", fontsize=9)
    label(ax, r"exact torque along the exact quench ($t_0$)", r"learned torque ($t_0$)")


def _energy(ax: Axes, result: RolloutComparison) -> None:
    for trajectory, name, colour, line in (
        (result.exact, "exact", EXACT, "-"),
        (result.learned, "learned", LEARNED, "--"),
    ):
        mean, error, _ = mean_and_error(trajectory.energies / trajectory.n_sites, axis=1)
        ax.plot(trajectory.times, mean, line, color=colour, linewidth=1.6, label=name)
        ax.fill_between(trajectory.times, mean - error, mean + error, color=colour, alpha=0.12, linewidth=0)
    ax.legend(fontsize=8, frameon=False, title=f"{result.exact.n_replicas} held-out realisations", title_fontsize=8)
    label(ax, _TIME, "energy per site ($t_0$)")


def _correlations(ax: Axes, result: RolloutComparison) -> None:
    shown = nearest_instants(result.times, np.linspace(result.times[0], result.times[-1], 4).tolist())
    r = result.exact_correlation.r
    ax.axhline(0, color=MUTED, linewidth=0.8)
    for number, (index, colour) in enumerate(zip(shown, colours_of_times(len(shown)), strict=True)):
        ax.errorbar(
            r, result.exact_mean.mean[index], np.nan_to_num(result.exact_mean.error[index]), fmt=MARKERS[number],
            linestyle="none", color=colour, markersize=4, capsize=2, elinewidth=1,
            label=f"t = {result.times[index]:.3g}",
        )  # fmt: skip
        ax.plot(r, result.learned_mean.mean[index], color=colour, linewidth=1.3)
    ax.set_xlim(0, None)
    ax.legend(fontsize=8, frameon=False, title="points exact, lines learned", title_fontsize=8)
    label(ax, "distance $r$ (mean spacing)", r"$C(r,t)=\langle\mathbf{S}_i\cdot\mathbf{S}_j\rangle$")


def _structure(ax: Axes, result: RolloutComparison, large: LargeQuench | None) -> None:
    configs = result.exact.configs
    ax.axhline(1, color=MUTED, linewidth=0.9, linestyle=":")
    for index, colour, marker, when in ((0, MUTED, "s", "start"), (-1, EXACT, "o", "end")):
        q, exact = shell_profile(configs, result.exact.spins[index])
        ax.errorbar(q / (2 * np.pi), exact.mean, np.nan_to_num(exact.error), fmt=marker, linestyle="none", color=colour,
                    markersize=4, capsize=2, elinewidth=1, label=f"exact, {when}")  # fmt: skip
    q, learned = shell_profile(configs, result.learned.spins[-1])
    ax.plot(q / (2 * np.pi), learned.mean, "--", color=LEARNED, linewidth=1.5, label="learned, end")
    if large is not None:
        q, profile = shell_profile([large.config], large.spins[None])
        ax.plot(q / (2 * np.pi), profile.mean, "-", color="black", linewidth=1.0,
                label=f"learned, N = {large.config.n_sites}")  # fmt: skip
    ax.set_xlim(0, None)
    ax.set_ylim(0, None)
    ax.legend(fontsize=8, frameon=False)
    label(ax, r"$|\mathbf{q}|$ ($2\pi$/mean spacing)", r"$S(q)$, mean over shells")


def _size(ax: Axes, result: RolloutComparison, large: LargeQuench) -> None:
    shown = nearest_instants(large.times, np.linspace(large.times[0], large.times[-1], 4).tolist())
    ax.axhline(0, color=MUTED, linewidth=0.8)
    for index, colour, line in zip(shown, colours_of_times(len(shown)), (":", "-.", "--", "-"), strict=False):
        ax.plot(large.r, large.correlation[index], line, color=colour, linewidth=1.4,
                label=f"t = {large.times[index]:.3g}")  # fmt: skip
    small = result.exact_mean
    ax.errorbar(result.exact_correlation.r, small.mean[-1], np.nan_to_num(small.error[-1]), fmt="o", linestyle="none",
                color=EXACT, markersize=4, capsize=2, elinewidth=1,
                label=f"exact, N = {result.exact.n_sites}, t = {result.times[-1]:.3g}")  # fmt: skip
    ax.set_xlim(0, None)
    ax.legend(fontsize=8, frameon=False, title=f"learned, N = {large.config.n_sites}", title_fontsize=8)
    label(ax, "distance $r$ (mean spacing)", "$C(r,t)$")
