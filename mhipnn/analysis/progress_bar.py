"""The bar of a simulation: spins times steps in a second, and the time that is left."""

from __future__ import annotations

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

from ..dynamics.quench import Progress as Report


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
