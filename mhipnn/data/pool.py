"""Run independent jobs on one process a core, each with one BLAS thread, and leave no process behind."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

import torch

from ..errors import DatasetError
from ..threads import torch_threads

J = TypeVar("J")
R = TypeVar("R")

_GUARD = "needs its main part under `if __name__ == '__main__':`"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


def require_main_guard() -> None:
    """Refuse to label while a worker imports the script that started it: it would wait for its own parent.

    Raises:
        DatasetError: the script lacks its ``__main__`` guard.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise DatasetError(f"a script that labels with several processes {_GUARD}")


def available_cpus() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def run_jobs(function: Callable[[J], R], jobs: Sequence[J], n_workers: int) -> Generator[tuple[J, R], None, None]:
    """Yield (job, function(job)) as they finish; jobs start in the given order.

    Args:
        function: importable by name.
        jobs: picklable.
        n_workers: processes; with 1 everything runs in this process, with one torch thread meanwhile.

    Raises:
        DatasetError: a worker died. Whatever ``function`` raises comes back as it is.
    """
    if n_workers == 1:
        for job in jobs:
            with torch_threads(1):
                result = function(job)
            yield job, result
        return
    before = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(n_workers, mp_context=context, initializer=_start_worker)
    try:
        with _one_thread_in_children():
            futures = {executor.submit(function, job): job for job in jobs}
        for future in as_completed(futures):
            yield futures.pop(future), future.result()
    except BrokenProcessPool as error:
        raise DatasetError(
            "a labelling process died, perhaps for want of memory: set data.n_workers=1 to label in one process "
            f"(a script of your own {_GUARD})"
        ) from error
    except BaseException:
        # Ctrl-C or an error: finished shards are on disk, the rest would be thrown away anyway.
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        raise
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    """Ctrl-C is the parent's to handle; a worker whose parent is gone, killed or not, goes too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@contextmanager
def _one_thread_in_children() -> Iterator[None]:
    """Processes started in this block inherit one thread; numpy's BLAS reads the variables only when it is loaded."""
    before = {name: os.environ.get(name) for name in _THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(_THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
