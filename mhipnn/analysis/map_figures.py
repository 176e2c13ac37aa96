"""Maps: C(r, t), S(q) in the plane and by shells, S(q, omega)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from ..configuration import Array
from .correlations import MeanAndError
from .style import MARKERS, MUTED, colours_of_times, label, new_figure

MAP = "cividis"
"""Even in lightness from dark to bright: it reads the same in grey."""

_Q = r"$|\mathbf{q}|$ ($2\pi$/mean spacing)"
_S = r"$S(\mathbf{q})$"


def correlation_map(r: Array, times: Array, correlation: Array) -> Figure:
    """C(r, t) as a map, means over realisations (T, B); the white line is C = 0."""
    figure, (ax,) = new_figure(width=5.2, height=3.6)
    ax.grid(False)
    seen = np.isfinite(correlation).any(0)
    r, values = r[seen], correlation[:, seen]
    reach = float(np.nanmax(np.abs(values))) or 1.0
    cells = ax.pcolormesh(times, r, values.T, cmap=MAP, vmin=-reach, vmax=reach, shading="nearest", rasterized=True)
    if len(times) > 2 and len(r) > 2 and np.nanmin(values) < 0 < np.nanmax(values):
        ax.contour(times, r, np.nan_to_num(values).T, levels=[0], colors="white", linewidths=0.8)
    figure.colorbar(cells, ax=ax, pad=0.02).set_label(r"$C(r,t)$, white line: 0", fontsize=10)
    label(ax, r"time $t$ ($\hbar/t_0$)", "distance $r$ (mean spacing)")
    return figure


def structure_maps(panels: Sequence[tuple[str, Array, Array, Array]], q_max: float) -> Figure:
    """S(q) in the plane at several times, one colour scale: (title, q_x, q_y, S), each array (K, L), q inverse spacing.

    q = 0 is shown as any other; its S is N m^2 with the magnetisation m.
    """
    figure, axes = new_figure(columns=len(panels), width=3.3, height=3.3)
    top = max(float(np.nanmax(values)) for *_, values in panels)
    low = max(min(float(np.nanmin(np.where(values > 0, values, np.nan))) for *_, values in panels), top * 1e-3)
    scale: Normalize = LogNorm(low, top) if top > 20 * low else Normalize(0, top)
    reach = q_max / (2 * np.pi)
    for ax, (title, x, y, values) in zip(axes, panels, strict=True):
        ax.grid(False)
        shade = np.clip(np.nan_to_num(values, nan=low), low if isinstance(scale, LogNorm) else 0, None)
        cells = ax.pcolormesh(
            x / (2 * np.pi), y / (2 * np.pi), shade, cmap=MAP, norm=scale, shading="nearest", rasterized=True
        )
        ax.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach))
        label(ax, r"$q_x$ ($2\pi$/mean spacing)", r"$q_y$ ($2\pi$/mean spacing)" if ax is axes[0] else "", title)
    figure.colorbar(cells, ax=axes, pad=0.02, shrink=0.85).set_label(_S, fontsize=10)
    return figure


def structure_profiles(q: Array, times: Sequence[float], profiles: Sequence[MeanAndError]) -> Figure:
    """S averaged over shells against |q| at several times, with standard errors over realisations; dotted: 1."""
    figure, (ax,) = new_figure(width=5.4, height=3.6)
    ax.axhline(1, color=MUTED, linewidth=0.9, linestyle=":")
    drawn = zip(times, profiles, colours_of_times(len(times)), strict=True)
    for number, (time, profile, colour) in enumerate(drawn):
        ax.errorbar(
            q / (2 * np.pi), profile.mean, np.nan_to_num(profile.error), color=colour, linewidth=1.1, elinewidth=0.9,
            fmt="-" + MARKERS[number % len(MARKERS)], markersize=3.2, capsize=1.5, label=f"t = {time:.3g}",
        )  # fmt: skip
    values = np.concatenate([profile.mean for profile in profiles])
    if np.nanmax(values) > 30 * max(np.nanmin(values), 1e-12) and np.nanmin(values) > 0:
        ax.set_yscale("log")
    else:
        ax.set_ylim(0, None)
    ax.set_xlim(0, None)
    ax.legend(title="mean over shells and\nstandard error", fontsize=8, title_fontsize=8, frameon=False,
              loc="center left", bbox_to_anchor=(1.0, 0.5))  # fmt: skip
    label(ax, _Q, _S)
    return figure


def spectrum_map(q: Array, omega: Array, spectrum: Array, both_signs: bool, expected: Array | None = None) -> Figure:
    """S(q, omega) on a logarithmic scale: q (K,) inverse spacing, omega (W,), spectrum (K, W).

    Args:
        both_signs: show negative frequencies too; of the sum over components they are the same as the positive ones.
        expected: (K,) a dispersion to draw as a dashed line.
    """
    figure, (ax,) = new_figure(width=5.2, height=3.8)
    ax.grid(False)
    kept = slice(None) if both_signs else omega >= 0
    values, frequencies = spectrum[:, kept], omega[kept]
    top = float(values.max()) or 1.0
    # four decades below the top, but not below what nearly nothing has
    low = max(top * 1e-4, float(np.quantile(values, 0.02)), np.finfo(float).tiny)
    shade = np.clip(values, low, None)
    norm = LogNorm(low, top) if low < top else Normalize(0, top)
    cells = ax.pcolormesh(
        q / (2 * np.pi), frequencies, shade.T, cmap=MAP, norm=norm, shading="nearest", rasterized=True
    )
    if expected is not None:
        ax.plot(q / (2 * np.pi), expected, "--", color="white", linewidth=1.0)
    _weight_range(ax, frequencies, values)
    figure.colorbar(cells, ax=ax, pad=0.02).set_label(r"$S(q,\omega)$ ($\hbar/t_0$)", fontsize=10)
    signed = bool((q < 0).any())
    label(ax, r"$q$ ($2\pi$/mean spacing)" if signed else _Q, r"$\omega$ ($t_0/\hbar$)")
    return figure


def _weight_range(ax: Axes, omega: Array, values: Array) -> None:
    """Frequencies that hold all but a thousandth of the weight, with room around them."""
    share = np.cumsum(values.sum(0)) / max(float(values.sum()), np.finfo(float).tiny)
    first, last = np.searchsorted(share, [5e-4, 1 - 5e-4])
    low, high = omega[first], omega[min(int(last), len(omega) - 1)]
    room = 0.15 * max(high - low, omega[1] - omega[0])
    ax.set_ylim(max(omega[0], low - room) if low < 0 else omega[0], min(omega[-1], high + room))
