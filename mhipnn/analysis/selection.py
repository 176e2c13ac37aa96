"""Which frames and replicas of a trajectory a command reads, and where it writes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..dynamics.trajectory import TrajectoryReader
from ..errors import ConfigError


def select_frames(times: np.ndarray, start: float | None, stop: float | None, frames: int | None) -> list[int]:
    """Frames with start <= t <= stop, every k-th of them such that there are at most ``frames``.

    Raises:
        ConfigError: no frame is left, a time that is no number, or ``frames`` < 1.
    """
    for name, time in (("start", start), ("stop", stop)):
        if time is not None and not _is_number(time):
            raise ConfigError(f"{name}={time}: give a time, hbar/t0, or null")
    if frames is not None and not (_is_number(frames) and frames >= 1 and int(frames) == frames):
        raise ConfigError(f"frames={frames}: give a whole number >= 1, or null for all")
    low, high = (-np.inf if start is None else start), (np.inf if stop is None else stop)
    inside = np.flatnonzero((times >= low - 1e-9) & (times <= high + 1e-9))
    if not len(inside):
        reach = f"it holds t = {times[0]:g} to {times[-1]:g}" if len(times) else "it holds no complete frame"
        raise ConfigError(f"start={start} stop={stop}: no frame of the trajectory is in this range; {reach}")
    step = 1 if frames is None else math.ceil(len(inside) / frames)
    return inside[::step].tolist()


def select_replicas(reader: TrajectoryReader, wanted: Sequence[int] | None) -> list[int]:
    """The replicas to average over: those given, or all, which then must be at one temperature.

    Raises:
        ConfigError: no such replica, or a run at several temperatures without a choice.
    """
    n = len(reader.configs)
    if wanted is not None:
        chosen = list(wanted) if isinstance(wanted, Sequence) else [wanted]
        known = all(_is_number(k) and k in range(n) for k in chosen)
        if not isinstance(wanted, Sequence) or not chosen or not known or len(set(chosen)) < len(chosen):
            raise ConfigError(
                f"replicas={wanted}: the trajectory has replicas 0 to {n - 1}; give a list of some, each once"
            )
        return chosen
    temperatures = temperature_blocks(reader.metadata)
    if temperatures:
        each = n // len(temperatures)
        raise ConfigError(
            f"the run has {len(temperatures)} temperatures {temperatures}, {each} replicas at each, in this order: "
            f"average over those of one, with replicas=[0,...,{each - 1}] over those of the first"
        )
    return list(range(n))


def temperature_blocks(metadata: Any) -> list[Any]:
    """Names of the equal parts of a run that stand one after the other, its temperatures; empty if there is one."""
    if not isinstance(metadata, dict):
        return []
    blocks = metadata.get("temperatures")
    if blocks is None:  # a file that was written before this was recorded
        for key in ("config", "dynamics", "temperature"):
            metadata = metadata.get(key) if isinstance(metadata, dict) else None
        blocks = metadata
    return blocks if isinstance(blocks, list) and len(blocks) > 1 else []


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def existing(path: Any) -> Path:
    """The file of a trajectory. Raises ConfigError: there is none."""
    if not Path(str(path)).is_file():
        raise ConfigError(f"trajectory={path}: there is no such file; give the trajectory.h5 of a run of simulate")
    return Path(str(path))


def make_folder(folder: Path) -> None:
    """For what a command writes. Raises ConfigError: it cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output={folder} cannot be written ({error.strerror}); choose another folder") from error


def frames_bar() -> Progress:
    """Over the frames of a file."""
    return Progress(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(), TimeRemainingColumn(), transient=True,
    )  # fmt: skip
