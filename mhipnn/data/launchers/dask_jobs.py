"""Run jobs on any Dask cluster: what the launchers that use one have in common."""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...errors import DatasetError
from .base import J, R

if TYPE_CHECKING:
    from distributed.deploy.cluster import Cluster

WORKER_THREADS = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
"""Variables that a worker needs before it loads numpy; Dask sets them by default, and its configuration could not."""


def run_on(cluster: Cluster, function: Callable[[J], R], jobs: Sequence[J]) -> Generator[tuple[J, R], None, None]:
    """Yield (job, function(job)) as they finish; Dask runs again what a lost worker had.

    Each job is yielded once: a result that was lost with its worker before it came here is made again, and the same.

    Raises:
        DatasetError: a job lost its worker several times, or the cluster is gone.
    """
    from distributed import Client, KilledWorker, as_completed

    try:
        with Client(cluster) as client:
            client.run(_ignore_interrupts)
            by_key = {f"label-{number}": job for number, job in enumerate(jobs)}
            futures = [
                client.submit(_with_one_thread, function, job, key=key, pure=False, priority=-number)
                for number, (key, job) in enumerate(by_key.items())
            ]
            finished = as_completed(futures, with_results=True)
            del futures  # a worker may forget a result as soon as it is here
            for future, result in finished:
                yield by_key[future.key], result
    except KilledWorker as error:
        raise DatasetError(
            "one realisation lost its worker several times, perhaps for want of memory: give each worker more, "
            "or label with launcher=processes to see why"
        ) from error
    except OSError as error:  # what Dask raises where a connection breaks or does not come about
        raise DatasetError(
            f"the Dask cluster is gone: {error or type(error).__name__}; the same command goes on"
        ) from error


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Dask's own messages off the screen: what matters comes back as an exception."""
    import distributed  # noqa: F401  (sets the level when it is imported)

    logger = logging.getLogger("distributed")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _with_one_thread(function: Callable[[Any], Any], job: Any) -> Any:
    """A job as the local pool runs it: torch would take all cores of the machine."""
    from ...threads import torch_threads

    with torch_threads(1):
        return function(job)


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal; it is the parent's to handle."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
