"""Dask on this machine: the engine of the clusters, to try it, and workers that may be lost."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence

from ..pool import available_cpus
from .base import J, R, checked_workers, require_extra
from .dask_jobs import WORKER_THREADS, quiet, run_on


class DaskLocal:
    """``distributed.LocalCluster``, one process and one thread a worker; a worker that dies is replaced.

    It listens on 127.0.0.1 only.

    Args:
        n_workers: workers; None for one a core.

    Raises:
        ConfigError: Dask is not installed.
        DatasetError: ``n_workers`` is not an integer >= 1.
    """

    def __init__(self, n_workers: int | None = None) -> None:
        require_extra("dask_local", "distributed")
        self.n_workers = checked_workers(n_workers, available_cpus())

    def run(self, function: Callable[[J], R], jobs: Sequence[J]) -> Generator[tuple[J, R], None, None]:
        """See :meth:`Launcher.run`."""
        from distributed import LocalCluster

        with (
            quiet(),
            LocalCluster(
                n_workers=min(self.n_workers, len(jobs)),
                threads_per_worker=1,
                host="127.0.0.1",
                dashboard_address=None,
                memory_limit=0,  # as much as there is: a worker is not restarted for what a large system needs
                env=WORKER_THREADS,
                silence_logs=logging.CRITICAL,  # in the workers
            ) as cluster,
        ):
            yield from run_on(cluster, function, jobs)
