"""The bars of a simulation: spins times steps in a second and the time that is left, or how far down a descent is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from ...dynamics.descent import Report as DescentReport
from ...dynamics.quench import Progress as Report


class _Speed(ProgressColumn):
    """Spins times steps in a second."""

    def __init__(self, n_spins: float) -> None:
        super().__init__()
        self._n_spins = n_spins

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed * self._n_spins:.3g} spin steps/s")


@contextmanager
def progress_bar(console: Console, n_spins: float) -> Iterator[Report]:
    """A function of (steps made, steps in all) that draws the bar; ``n_spins``: that one step moves."""
    columns = (
        TextColumn("quench"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps"),
        _Speed(n_spins),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    task: TaskID | None = None
    with Progress(*columns, console=console) as bar:

        def report(done: int, total: int) -> None:
            nonlocal task
            if task is None:  # steps of an earlier session do not count for the speed
                task = bar.add_task("quench", total=total, completed=done)
            else:
                bar.update(task, completed=done)

        yield report


@contextmanager
def descent_bar(console: Console, n_replicas: int) -> Iterator[DescentReport]:
    """A function of (first replica, iteration, largest torque, tolerance) that draws the bar.

    The bar is full when the torque has come down all the decades from where it was first seen to the tolerance.
    """
    columns = (TextColumn("minimise"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    started: dict[int, float] = {}
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("", total=1.0)

        def report(first: int, iteration: int, torque: float, tolerance: float) -> None:
            start = started.setdefault(first, torque)
            done = 1.0 if torque <= tolerance else math.log(start / torque) / math.log(max(start, torque) / tolerance)
            words = f"replica {first} of {n_replicas}, " if first else ""
            words += f"iteration {iteration}, largest torque {torque:.2g} t0"
            bar.update(task, completed=max(done, 0.0), description=words)

        yield report
