"""What the benchmarks share: timing in turn, threads, the peaks of the machine, and tables that say where they ran."""

from __future__ import annotations

import argparse
import math
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numba
import torch
from counted_work import Work
from rich import box
from rich.console import Console
from rich.table import Table

from mhipnn.threads import torch_threads

Action = Callable[[], object]
Seconds = list[float]
BURST = 0.03  # seconds


@dataclass(frozen=True)
class Timing:
    """Times of one action in seconds; ``spread`` is (max - min)/median, which says nothing for a single time."""

    times: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.times)

    @property
    def spread(self) -> str:
        return f"{100 * (max(self.times) - min(self.times)) / self.median:.0f} %" if len(self.times) > 1 else "once"


def interleaved(
    actions: Mapping[str, Action], repeats: int, device: torch.device | str = "cpu", budget: float = float("inf")
) -> dict[str, Timing]:
    """Time every action ``repeats`` times in turn, after one round that is not counted.

    In turn, so that whatever else the machine does falls on all of them alike. A short action is done as often in a
    row as fills ``BURST``: in use it follows itself, and does not find the caches as another one left them. An action
    leaves the rounds early when its times add up to ``budget`` seconds, but not before the first one that counts.
    """
    times: dict[str, Seconds] = {name: [] for name in actions}
    for action in actions.values():
        _seconds(action, device)
    calls = {name: math.ceil(BURST / max(_seconds(action, device), 1e-6)) for name, action in actions.items()}
    for _ in range(repeats):
        for name, action in actions.items():
            if sum(times[name]) * calls[name] < budget:
                times[name].append(_seconds(action, device, calls[name]))
    return {name: Timing(tuple(values)) for name, values in times.items()}


def _seconds(action: Action, device: torch.device | str, calls: int = 1) -> float:
    """Mean time of some calls in a row."""
    synchronise(device)
    start = time.perf_counter()
    for _ in range(calls):
        action()
    synchronise(device)
    return (time.perf_counter() - start) / calls


def synchronise(device: torch.device | str) -> None:
    """Wait until a GPU has done what it was given."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Run a block with ``n`` threads of torch, of BLAS and of numba."""
    before, most = numba.get_num_threads(), numba.config.NUMBA_NUM_THREADS
    numba.set_num_threads(min(n, most))
    try:
        with torch_threads(n):
            yield
    finally:
        numba.set_num_threads(before)


@dataclass(frozen=True)
class Peaks:
    """What this machine reaches in this run: FLOP/s of a large matmul, bytes/s (read and written) of a copy."""

    flops: float
    bandwidth: float

    def line(self) -> str:
        return f"peaks in this run: matmul {self.flops / 1e9:,.0f} GFLOP/s, copy {self.bandwidth / 1e9:,.1f} GB/s"

    def shares(self, work: Work, seconds: float) -> tuple[str, str]:
        """Of the matmul's and of the copy's peak."""
        parts = (work.flop / seconds / self.flops, work.bytes / seconds / self.bandwidth)
        return f"{100 * parts[0]:.1f} %", f"{100 * parts[1]:.1f} %"

    def roofline(self, name: str, work: Work, seconds: float) -> str:
        of_matmul, of_copy = self.shares(work, seconds)
        return (
            f"roofline, {name}: {work.flop / 1e6:,.4g} MFLOP and {work.bytes / 1e6:,.4g} MB counted; "
            f"{of_matmul} of the matmul, {of_copy} of the copy"
        )


def measure_peaks(
    dtype: torch.dtype, device: torch.device | str = "cpu", repeats: int = 7, size: int | None = None
) -> Peaks:
    """Medians of a (size, size) product and of the copy of sixteen such matrices, too large for the caches."""
    size = size or (8192 if torch.device(device).type == "cuda" else 2048)
    a, b, product = (torch.rand(size, size, dtype=dtype, device=device) for _ in range(3))
    source = torch.rand(16, size, size, dtype=dtype, device=device)
    target = torch.empty_like(source)
    actions = {"matmul": lambda: torch.mm(a, b, out=product), "copy": lambda: target.copy_(source)}
    timing = interleaved(actions, repeats, device)
    moved = 2 * source.numel() * source.element_size()
    return Peaks(2 * size**3 / timing["matmul"].median, moved / timing["copy"].median)


def device_name(device: torch.device | str) -> str:
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        model = None
    return model[1] if model else platform.processor() or platform.machine()


def table(title: str, device: torch.device | str, columns: Sequence[str], n_threads: Sequence[int] = ()) -> Table:
    """An empty table under a line that names device, threads (default: those now) and the version of torch."""
    spelt = ", ".join(str(n) for n in n_threads or [torch.get_num_threads()])
    where = f"{device_name(device)}, {spelt} thread(s), torch {torch.__version__}"
    made = Table(title=f"{title}\n{where}", title_justify="left", box=box.HEAVY_HEAD)
    for number, column in enumerate(columns):
        made.add_column(column, justify="right" if number else "left", no_wrap=True)
    return made


def wide_console() -> Console:
    """As wide as the terminal; wide enough for every table where there is none."""
    console = Console(highlight=False, soft_wrap=True)
    return console if console.is_terminal else Console(width=160, highlight=False, soft_wrap=True)


def parser(description: str | None, repeats: int = 15) -> argparse.ArgumentParser:
    """With the options that all benchmarks have."""
    made = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--repeats", type=positive, default=repeats, help=f"times of each action (default {repeats})")
    made.add_argument("--budget", type=float, default=60.0, help="seconds after which an action is not timed again")
    made.add_argument("--device", type=present_device, default=torch.device("cpu"), help="cpu (default) or cuda")
    return made


def present_device(text: str) -> torch.device:
    """A device of this machine, for argparse."""
    if text.startswith("cuda") and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError(f"{text!r}: PyTorch {torch.__version__} finds no CUDA device here; take cpu")
    try:
        return torch.device(text)
    except RuntimeError as error:
        raise argparse.ArgumentTypeError(f"expected cpu or cuda, got {text!r}") from error


def positive(text: str) -> int:
    """An integer of at least 1, for argparse."""
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an integer of at least 1, got {text!r}")
    return value
