"""A progress bar for jobs of very unequal length: throughput, and an honest estimate of the time left."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Hashable, Iterable
from datetime import timedelta
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class LabellingProgress:
    """Counts realisations; the time left is what their kinds took so far, shared among the processes.

    A realisation of 4 N sites with a quench takes a thousand times as long as one of N random spins, so a mean rate
    would mislead. ``kinds`` lists the kind of every job; no estimate is shown before each kind has been seen once.
    """

    def __init__(self, title: str, kinds: Iterable[Hashable], n_workers: int, visible: bool = True) -> None:
        self._left: dict[Hashable, int] = defaultdict(int)
        for kind in kinds:
            self._left[kind] += 1
        self._seconds: dict[Hashable, list[float]] = defaultdict(list)
        self._n_workers = n_workers
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[configurations]} configurations{task.fields[rate]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}"),
            console=Console(stderr=True),
            disable=not visible,
        )
        self._task = self._bar.add_task(title, total=sum(self._left.values()), configurations=0, rate="", left="")
        self._configurations = 0
        self._started = time.perf_counter()

    def done(self, kind: Hashable, seconds: float, configurations: int) -> None:
        """One job of this kind took so long and gave so many configurations."""
        self._left[kind] -= 1
        self._seconds[kind].append(seconds)
        self._configurations += configurations
        left = self.seconds_left()
        text = "" if left is None else f"{timedelta(seconds=round(left))} left"
        rate = f", {self.rate():.2g}/s"
        self._bar.update(self._task, advance=1, configurations=self._configurations, rate=rate, left=text)

    def rate(self) -> float:
        """Configurations a second so far, of all workers together, their start included."""
        return self._configurations / max(time.perf_counter() - self._started, 1e-9)

    def seconds_left(self) -> float | None:
        """None until every kind that is left has been seen."""
        total = 0.0
        for kind, count in self._left.items():
            if count:
                if not self._seconds[kind]:
                    return None
                total += count * sum(self._seconds[kind]) / len(self._seconds[kind])
        return total / self._n_workers

    def __enter__(self) -> LabellingProgress:
        self._started = time.perf_counter()
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()
