"""How numba compiles code for the CPU at hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def compiled(**options: Any) -> Callable[[Any], Any]:
    """A decorator: compile at the first call; kept on disk for the next process where a place is writable.

    What is compiled runs without Python's lock. ``options`` are those of ``numba.njit``.
    """

    def compile_it(function: Any) -> Any:
        try:
            return numba.njit(cache=True, nogil=True, **options)(function)
        except RuntimeError:  # neither the package's folder nor the user's cache can be written
            return numba.njit(nogil=True, **options)(function)

    return compile_it
