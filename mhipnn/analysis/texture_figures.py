"""Pictures of spins in the plane: direction as colour, arrows where there is room, and as an animation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path

import numpy as np
from matplotlib.animation import FFMpegWriter, PillowWriter
from matplotlib.axes import Axes
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from ..configuration import Array, SpinConfiguration
from ..errors import InputError
from .style import MUTED, label, new_figure

MOST_ARROWS = 1000
"""With more sites than this the colours alone are drawn."""

_PIXELS = (360, 1200)  # least and most along the longer side
_PIXELS_A_SITE = 8


def spin_colours(spins: Array) -> Array:
    """Red, green, blue of each spin, (..., 3) -> (..., 3), in 0..1: hue = azimuth, lightness = S_z.

    HSL colours whose saturation is |(S_x, S_y)|: +z is nearly white, -z nearly black, and the plane has the pure hues,
    +x red, then yellow and green counter-clockwise. In grey S_z is still told. No spin is light grey.
    """
    length = np.linalg.norm(spins, axis=-1, keepdims=True)
    unit = spins / np.maximum(length, np.finfo(float).tiny)
    hue = np.arctan2(unit[..., 1], unit[..., 0]) / (2 * np.pi) % 1
    lightness = 0.5 + 0.45 * np.clip(unit[..., 2], -1, 1)
    value = lightness + np.hypot(unit[..., 0], unit[..., 1]) * np.minimum(lightness, 1 - lightness)
    colours = hsv_to_rgb(np.stack([hue, np.clip(2 * (1 - lightness / value), 0, 1), np.clip(value, 0, 1)], -1))
    return np.where(length > 0, colours, 0.8)


def spin_texture(config: SpinConfiguration, panels: Mapping[str, Array]) -> Figure:
    """Spins (N, 3), one panel for each title: cells of the sites coloured by :func:`spin_colours`, a wheel as legend.

    Arrows show (S_x, S_y) for up to 1000 sites. Of a 3-D system the layer of the lowest 1.5 mean spacings is shown.
    """
    if not panels:
        raise InputError("spin texture: give at least one panel")
    figure, axes = new_figure(columns=len(panels), width=3.6, height=3.7)
    for ax, (title, spins) in zip(axes, panels.items(), strict=True):
        _Picture(ax, config, np.asarray(spins))
        label(ax, "$x$ (mean spacing)", "$y$ (mean spacing)" if ax is axes[0] else "", title)
    _wheel(axes[-1])
    return figure


def draw_spins(ax: Axes, config: SpinConfiguration, spins: Array) -> None:
    """Spins (N, 3) into a panel of a figure, as in :func:`spin_texture`, with the wheel beside it."""
    _Picture(ax, config, spins)
    _wheel(ax)


def spin_animation(
    config: SpinConfiguration, frames: Iterable[tuple[float, Array]], path: str | Path, frames_per_second: int = 12
) -> Path:
    """A film of the spins: GIF, or MP4 if the name ends so and ffmpeg is installed.

    Args:
        frames: (time in hbar/t0, spins (N, 3)), one after the other; not all of them are held.
        path: .gif or .mp4.

    Raises:
        InputError: no frames, another ending, no ffmpeg, a file that cannot be written.
    """
    path = Path(path)
    if path.suffix not in (".gif", ".mp4"):
        raise InputError(f"animation {path}: the name must end in .gif or .mp4")
    if path.suffix == ".mp4" and not FFMpegWriter.isAvailable():
        raise InputError(f"animation {path}: mp4 needs the program ffmpeg, which is not on the path; write a .gif")
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise InputError("animation: there are no frames")
    writer = (PillowWriter if path.suffix == ".gif" else FFMpegWriter)(fps=frames_per_second)
    figure, (ax,) = new_figure(width=4.4, height=4.2)
    picture = _Picture(ax, config, first[1])
    label(ax, "$x$ (mean spacing)", "$y$ (mean spacing)")
    _wheel(ax)
    try:
        with writer.saving(figure, str(path), dpi=100):
            for time, spins in chain([first], rest):
                picture.show(spins)
                ax.set_title(rf"$t$ = {time:.4g} $\hbar/t_0$", fontsize=10, loc="left")
                writer.grab_frame()
    except OSError as error:
        raise InputError(f"animation {path} cannot be written: {error.strerror or error}") from None
    return path


def shown_sites(config: SpinConfiguration) -> np.ndarray:
    """The sites that a picture in the plane shows: all, or the lowest layer of a 3-D system; indices."""
    z = config.positions[:, 2]
    return np.flatnonzero(z <= z.min() + 1.5)


def in_the_box(config: SpinConfiguration) -> Array:
    """Positions (N, 3) moved by periods into the cell."""
    fractions = config.positions @ np.linalg.inv(config.cell)
    return np.where(config.pbc, fractions % 1.0, fractions) @ config.cell


class _Picture:
    """Every point of the box has the colour of the site nearest to it; arrows on top where there is room."""

    def __init__(self, ax: Axes, config: SpinConfiguration, spins: Array) -> None:
        self._shown = shown_sites(config)
        sites = in_the_box(config)[self._shown, :2]
        self._nearest, extent = _nearest_sites(config, sites)
        self._image = ax.imshow(self._pixels(spins), origin="lower", extent=extent, interpolation="nearest", zorder=0)
        self._quiver = None
        ax.grid(False)
        corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]) @ config.cell[:2, :2]
        if config.pbc[:2].any():
            ax.plot(*corners.T, color=MUTED, linewidth=0.7, zorder=4)
        ax.set_aspect("equal")
        if len(self._shown) <= MOST_ARROWS:
            self._quiver = ax.quiver(
                *sites.T, *spins[self._shown, :2].T, color=self._ink(spins), pivot="middle", angles="xy",
                scale_units="xy", scale=1.15, units="xy", width=0.09, headwidth=3.6, headlength=4, headaxislength=3.6,
                minlength=0.1, zorder=3,
            )  # fmt: skip

    def show(self, spins: Array) -> None:
        """The same sites with other spins (N, 3)."""
        self._image.set_data(self._pixels(spins))
        if self._quiver is not None:
            self._quiver.set_UVC(*spins[self._shown, :2].T)
            self._quiver.set_color(self._ink(spins))  # type: ignore[arg-type]

    def _pixels(self, spins: Array) -> Array:
        colours = np.concatenate([spin_colours(spins[self._shown]), np.ones((len(self._shown), 1))], 1)
        return np.concatenate([colours, np.zeros((1, 4))])[self._nearest]

    def _ink(self, spins: Array) -> Array:
        """Dark on light and light on dark."""
        return np.where(spins[self._shown, 2, None] < -0.25, 0.95, 0.08) * np.ones(3)


def _nearest_sites(
    config: SpinConfiguration, sites: Array
) -> tuple[NDArray[np.int64], tuple[float, float, float, float]]:
    """Number of the nearest site for each pixel, -1 for white, and the extent of the picture.

    White is what lies outside of the box, or further than 2 mean spacings (1 at open edges) from every site.
    """
    cell, periods = config.cell[:2, :2], np.asarray(config.pbc[:2])
    corners = np.concatenate([sites, np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) @ cell]) if periods.all() else sites
    spacing = np.sqrt(abs(np.linalg.det(cell)) / len(sites)) if periods.all() else 1.0
    low, high = (corners.min(0), corners.max(0)) if periods.all() else (sites.min(0) - 0.6, sites.max(0) + 0.6)
    side = (high - low).max()
    step = side / np.clip(_PIXELS_A_SITE * side / spacing, *_PIXELS)
    x, y = (np.arange(a + step / 2, b, step) for a, b in zip(low, high, strict=True))
    points = np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in periods.astype(int)), indexing="ij"), -1)
    images = (sites[None] + (shifts.reshape(-1, 2) @ cell)[:, None]).reshape(-1, 2)
    distance, nearest = cKDTree(images).query(points, distance_upper_bound=(2.0 if periods.all() else 1.0) * spacing)
    fractions = points @ np.linalg.inv(cell)
    outside = (periods & ((fractions < 0) | (fractions >= 1))).any(1)
    number = np.where(outside | ~np.isfinite(distance), -1, nearest % len(sites))
    extent = (float(low[0]), float(high[0]), float(low[1]), float(high[1]))
    return number.reshape(len(y), len(x)), extent


def _wheel(beside: Axes) -> None:
    """The colours of all directions, seen from +z: the middle half is the upper half sphere."""
    n = 161
    x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
    r, phi = np.hypot(x, y), np.arctan2(y, x)
    theta = np.pi * np.minimum(r, 1)
    spins = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)
    picture = np.concatenate([spin_colours(spins), (r <= 1)[..., None].astype(float)], -1)
    ax = beside.inset_axes((1.04, 0.62, 0.3, 0.36))
    ax.imshow(picture, origin="lower", extent=(-1, 1, -1, 1), interpolation="bilinear")
    ax.set_axis_off()
    ring = np.linspace(0, 2 * np.pi, 100)
    ax.plot(np.cos(ring) / 2, np.sin(ring) / 2, color="0.25", linewidth=0.6, linestyle=":")
    for text, right, up in (("$+x$", 0.7, 0.0), ("$+y$", 0.0, 0.7), ("$+z$", 0.0, 0.0)):
        ax.text(right, up, text, fontsize=7, ha="center", va="center", color="0.1" if text == "$+z$" else "white")
    ax.text(0, -1.12, "rim: $-z$\ndotted: $S_z=0$", fontsize=7, ha="center", va="top")
