"""Processes of this machine: the default."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence

from ..pool import available_cpus, run_jobs
from .base import J, R, checked_workers


class Processes:
    """A pool of processes, or this process alone; nothing else is needed.

    Args:
        n_workers: processes; None for one a core, 1 to stay in this process.

    Raises:
        DatasetError: ``n_workers`` is not an integer >= 1.
    """

    def __init__(self, n_workers: int | None = None) -> None:
        self.n_workers = checked_workers(n_workers, available_cpus())

    def run(self, function: Callable[[J], R], jobs: Sequence[J]) -> Generator[tuple[J, R], None, None]:
        """See :meth:`Launcher.run`; a worker that dies ends the run, which goes on at the next call."""
        yield from run_jobs(function, jobs, min(self.n_workers, len(jobs)))
