"""How kernels are compiled for CPUs, and shared out over threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ...compilation import compiled

_MIN_ROWS = 64  # a share of fewer sites costs more to hand out than it saves
_pools: dict[int, ThreadPoolExecutor] = {}  # by number of threads
_forked = False


def kernel(function: Any = None, *, parallel: bool = False) -> Any:
    """Compiled without the checks of Python's arithmetic and indices.

    ``parallel`` loops hand out shares in microseconds, as the steps of a training need, but compile what they call once
    more: whatever runs longer is shared out by :func:`in_threads`.
    """
    decorate = compiled(error_model="numpy", boundscheck=False, parallel=parallel)
    return decorate if function is None else decorate(function)


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's memory (or that of a contiguous copy) as a numpy array."""
    return tensor.detach().contiguous().numpy()


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An uninitialised tensor for a large array that is read again and again.

    NumPy asks the system for huge pages, PyTorch does not: walks through hundreds of MiB are a tenth faster with them.
    """
    return torch.from_numpy(np.empty(shape, array(like[:0]).dtype))


def shares(n_rows: int) -> list[tuple[int, int]]:
    """First row and end of each share: one for each of torch's threads, if there is enough to do."""
    n = max(1, min(torch.get_num_threads(), n_rows // _MIN_ROWS))
    return [(n_rows * share // n, n_rows * (share + 1) // n) for share in range(n)]


def parallel_shares(n_rows: int) -> int:
    """How many shares a parallel loop may hand out; one after a fork, which GNU OpenMP does not survive."""
    n = min(len(shares(n_rows)), numba.config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if n < 2 or _forked:
        return 1
    numba.set_num_threads(n)
    return n


@kernel
def bounds(share, n_shares, n_rows):
    """First row of a share and of the next."""
    return n_rows * share // n_shares, n_rows * (share + 1) // n_shares


def in_threads(function: Callable[..., object], calls: Sequence[Sequence[Any]]) -> None:
    """function(*call) for every call, the first in this thread and each other one in a thread of its own."""
    first, *others = calls
    if others and len(others) not in _pools:
        _pools[len(others)] = ThreadPoolExecutor(len(others), "mhipnn-kernel")
    futures = [_pools[len(others)].submit(function, *call) for call in others]
    function(*first)
    for future in futures:
        future.result()


def _after_fork() -> None:
    global _forked
    _forked = True
    _pools.clear()  # a fork takes none of its parent's threads along


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
