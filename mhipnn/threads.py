"""How many threads torch uses for a piece of work, restored afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def torch_threads(n: int) -> Iterator[None]:
    """Run a block with ``n`` torch (and BLAS) threads.

    Small matrices gain nothing from a second thread, and lose much when the cores are busy: the threads wait for each
    other. Not to be entered from several Python threads at once.
    """
    before = torch.get_num_threads()
    if n == before:
        yield
        return
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)
