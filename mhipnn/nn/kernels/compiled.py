"""How kernels are compiled for CPUs, and shared out over threads."""

from __future__ import annotations

import os
from typing import Any

import numba
import numpy as np
import torch
from torch import Tensor

_MIN_ROWS = 64  # a share of fewer sites costs more to hand out than it saves
_forked = False


def kernel(function: Any = None, *, parallel: bool = False) -> Any:
    """Compile for this CPU at the first call; kept on disk for the next process where a place is writable."""
    if function is None:
        return lambda f: kernel(f, parallel=parallel)
    options: Any = {"nogil": True, "error_model": "numpy", "boundscheck": False, "parallel": parallel}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # neither the package's folder nor the user's cache can be written
        return numba.njit(**options)(function)


def array(tensor: Tensor) -> np.ndarray:
    """The tensor's memory (or that of a contiguous copy) as a numpy array."""
    return tensor.detach().contiguous().numpy()


def empty(shape: tuple[int, ...], like: Tensor) -> Tensor:
    """An uninitialised tensor for a large array that is read again and again.

    NumPy asks the system for huge pages, PyTorch does not: walks through hundreds of MiB are a tenth faster with them.
    """
    return torch.from_numpy(np.empty(shape, array(like[:0]).dtype))


def shares(n_rows: int) -> int:
    """Into how many shares to cut the rows: one for each of torch's threads, if there is enough to do.

    GNU OpenMP does not survive a fork: a forked child works with one thread.
    """
    limit = numba.config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]
    n = min(torch.get_num_threads(), limit, n_rows // _MIN_ROWS)
    if n < 2 or _forked:
        return 1
    numba.set_num_threads(n)
    return n


@kernel
def bounds(share, n_shares, n_rows):
    """First row of a share and of the next."""
    return n_rows * share // n_shares, n_rows * (share + 1) // n_shares


def _after_fork() -> None:
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
