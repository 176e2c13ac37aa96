"""How kernels are compiled for CPUs, and shared out over threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FunctionType
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

from ...compilation import compiled

_MIN_ROWS = 64  # a share of fewer sites costs more to hand out than it saves
_LOOPS_ONLY = {"prange": True} | dict.fromkeys(
    ("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False
)
_UNCHECKED = {"error_model": "numpy", "boundscheck": False}  # no checks of Python's arithmetic and indices
_forked = False
_pools: dict[int, ThreadPoolExecutor] = {}  # by number of threads

kernel = compiled(**_UNCHECKED)
inlined = numba.njit(inline="always")  # part of the kernel that calls it


def shared_out(function: Callable[..., None]) -> Callable[..., None]:
    """A kernel ``function(*arrays, n_shares)`` that does nothing but loop over shares of the rows with ``prange``.

    Several shares go to OpenMP's threads. These stay awake for a while, so that the next kernel of a field is handed
    out in microseconds. A single share stays in the calling thread. Each way is compiled when it is first taken.
    """
    twin = FunctionType(function.__code__, function.__globals__)
    twin.__qualname__ += "_in_threads"  # compiled functions are kept on disk by their names
    alone, in_threads = kernel(function), compiled(**_UNCHECKED, parallel=_LOOPS_ONLY)(twin)

    def call(*arguments: Any) -> None:
        if arguments[-1] == 1:
            alone(*arguments)
        else:
            _use_threads(arguments[-1])
            in_threads(*arguments)

    return call


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's memory (or that of a contiguous copy) as a numpy array."""
    return tensor.detach().contiguous().numpy()


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An uninitialised tensor for a large array that is read again and again.

    NumPy asks the system for huge pages, PyTorch does not: walks through hundreds of MiB are a tenth faster with them.
    """
    return torch.from_numpy(np.empty(shape, array(like[:0]).dtype))


def shares(n_rows: int) -> int:
    """In how many shares rows are handed out: one for each of torch's threads, if there is enough to do.

    One after a fork, which GNU OpenMP does not survive.
    """
    return 1 if _forked else max(1, min(torch.get_num_threads(), n_rows // _MIN_ROWS))


def ranges(n_rows: int) -> list[tuple[int, int]]:
    """First row and end of each share."""
    n = shares(n_rows)
    return [(n_rows * share // n, n_rows * (share + 1) // n) for share in range(n)]


def in_threads(function: Callable[..., object], calls: Sequence[Sequence[Any]]) -> None:
    """function(*call) for every call, the first in this thread and each other one in a thread of Python's.

    These must be woken, in 0.1 ms: for kernels that take long, and long to compile. Nothing is compiled twice for them.
    """
    first, *others = calls
    if others and len(others) not in _pools:
        _pools[len(others)] = ThreadPoolExecutor(len(others), "mhipnn-kernel")
    futures = [_pools[len(others)].submit(function, *call) for call in others]
    function(*first)
    for future in futures:
        future.result()


@contextmanager
def parts_of(total: np.ndarray, n_shares: int) -> Iterator[np.ndarray]:
    """What shares add to where several may meet: ``total`` for the first, an array of its own for each other one.

    These are added to ``total`` in the order of the shares: with the same number of threads the sum is the same to the
    bit. In the kernel ``part(total, parts, share)`` is that of a share.
    """
    parts = np.zeros((n_shares - 1, *total.shape), total.dtype)
    yield parts
    for one in parts:
        total += one


@kernel
def part(total, parts, share):
    """What a share adds to, see :func:`parts_of`."""
    return parts[share - 1] if share else total


@kernel
def bounds(share, n_shares, n_rows):
    """First row of a share and of the next."""
    return n_rows * share // n_shares, n_rows * (share + 1) // n_shares


def _use_threads(n: int) -> None:
    before = torch.get_num_threads()
    numba.set_num_threads(min(n, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    if torch.get_num_threads() != before:  # when numba starts its threads, it sets OpenMP's number, which is torch's
        torch.set_num_threads(before)


def _after_fork() -> None:
    global _forked
    _forked = True
    _pools.clear()  # a fork takes none of its parent's threads along


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
