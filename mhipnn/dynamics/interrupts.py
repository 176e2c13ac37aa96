"""Ctrl-C and SIGTERM between two steps in place of anywhere."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class StopRequest:
    """Whether somebody asked to stop."""

    requested = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested:  # the second one does not wait
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """While the block runs, the first SIGINT or SIGTERM is only noted; a second one raises KeyboardInterrupt.

    Signals are left as they are in a thread other than the main one, which cannot handle them.
    """
    stop = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before: dict[int, Any] = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
