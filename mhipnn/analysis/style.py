"""One look for all figures; no global state of matplotlib is touched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ..errors import InputError

# Dark blue and orange differ in lightness too, so the figures survive a grey printer.
EXACT = "#1f3b5c"
LEARNED = "#e07b1a"
MUTED = "#8a8f98"
MARKERS = "osD^vP"
RUN_LINES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), "-.", (0, (7, 1.5, 1.5, 1.5, 1.5, 1.5)), (0, (2.5, 2.5)))
SPIN_COLOURS = colormaps["cividis"]
TIME_COLOURS = colormaps["viridis"]


def new_figure(columns: int = 1, width: float = 4.6, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure with ``columns`` panels side by side; width and height of one panel in inches."""
    figure = Figure(figsize=(width * columns, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(1, columns, column + 1) for column in range(columns)]
    for ax in axes:
        tidy(ax)
    return figure, axes


def tidy(ax: Axes) -> None:
    """Two spines, small ticks, a light grid behind the data."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize=9, length=3, color=MUTED)
    ax.xaxis.label.set_fontsize(10)
    ax.yaxis.label.set_fontsize(10)
    ax.grid(True, color="#e6e8eb", linewidth=0.6)
    ax.set_axisbelow(True)


def label(ax: Axes, x: str, y: str, title: str = "") -> None:
    ax.set_xlabel(x, fontsize=10)
    ax.set_ylabel(y, fontsize=10)
    if title:
        ax.set_title(title, fontsize=10, loc="left")


def colours_of_runs(n: int) -> list[str]:
    """n colours: dark blue for the first, which the others are compared with, orange for the last."""
    between = ("#35776f", "#8c4a6e", "#8a8f98", "#b8a03c")
    return [EXACT, *between[: n - 2], LEARNED][:n]


def colours_of_times(n: int) -> list[tuple[float, float, float, float]]:
    """n colours from early (dark) to late (light, but still seen on white)."""
    return [TIME_COLOURS(value) for value in np.linspace(0.05, 0.82, n)]


def save(figure: Figure, path: str | Path) -> Path:
    """Write the figure as PNG with 150 dots per inch.

    Raises:
        InputError: the file cannot be written.
    """
    path = Path(path)
    try:
        figure.savefig(path, dpi=150, format="png")
    except OSError as error:
        raise InputError(f"figure {path} cannot be written: {error.strerror or error}") from None
    return path
