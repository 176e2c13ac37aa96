"""Exact electrons: time of a label, its share inside the eigensolver, a naive numpy code beside it, two processes.

    OMP_NUM_THREADS=1 python tools/bench_electrons.py
    OMP_NUM_THREADS=1 python tools/bench_electrons.py --sizes 50 100 200 400 900 --naive-up-to 400 --seconds 20

Rows, one a size N, random 2-D sites; energy, fields and forces in float64, as labelling asks for them, each call with
another configuration. Columns:

    label        one `SDModel.evaluate(config, forces=True)`
    eigensolver  share of its wall time inside torch.linalg.eigh
    naive        the same label by tools/naive_electrons.py, in the same interleaved run
    2 processes  labels per second of two processes at once over those of one, in turn
    solvers      (with --solvers) the eigenproblem alone: drivers of LAPACK and precisions, in ms

Without OMP_NUM_THREADS=1 numpy's BLAS takes all cores for the naive code.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier
from unittest.mock import patch

import naive_electrons
import numpy as np
import scipy.linalg
import torch
from benchmarking import Action, interleaved, parser, positive, table, threads, wide_console
from rich.console import Console
from rich.progress import track

from mhipnn import SDModel, SpinConfiguration, random_sites
from mhipnn.threads import torch_threads

COLUMNS = ("N", "2N", "label (ms)", "spread", "eigensolver", "naive (ms)", "/ label", "2 processes")
MODEL = {"J": 3.0, "filling": 1.0, "temperature": 0.05}
AGREEMENT = 1e-8
N_CONFIGURATIONS = 4


class Clock:
    """Seconds spent inside torch.linalg.eigh and inside labels."""

    def __init__(self) -> None:
        self.solver = self.label = 0.0

    @contextmanager
    def watching(self, device: torch.device) -> Iterator[None]:
        solve = torch.linalg.eigh

        def timed(H: torch.Tensor) -> object:
            start = _now(device)
            try:
                return solve(H)
            finally:
                self.solver += _now(device) - start

        with patch.object(torch.linalg, "eigh", timed):
            start = _now(device)
            yield
            self.label += _now(device) - start


def measure(args: argparse.Namespace, console: Console) -> None:
    """Print the table, and the solvers if asked for."""
    rows = table("Labels by exact diagonalization, float64, forces included", args.device, COLUMNS)
    solvers = table("The eigenproblem alone (ms)", args.device, ("N", *SOLVERS)) if args.solvers else None
    for n in track(args.sizes, "timing", console=console, transient=True):
        configs = [random_sites(n, rng=number) for number in range(N_CONFIGURATIONS)]
        rows.add_row(str(n), str(2 * n), *_label_cells(configs, args), _two_processes(n, args))
        if solvers is not None:
            times = interleaved(_eigenproblem(configs[0]), args.repeats, budget=args.budget)
            solvers.add_row(str(n), *(f"{1e3 * times[name].median:.3g}" for name in SOLVERS))
    console.print(rows)
    if solvers is not None:
        console.print(solvers)


def _label_cells(configs: list[SpinConfiguration], args: argparse.Namespace) -> list[str]:
    exact, clock = SDModel(**MODEL, device=args.device), Clock()
    turn, naive_turn = itertools.cycle(configs), itertools.cycle(configs)

    def label() -> None:
        with clock.watching(args.device):
            exact.evaluate(next(turn), forces=True)

    actions: dict[str, Action] = {"label": label}
    if configs[0].n_sites <= args.naive_up_to:
        _require_agreement(exact, configs[0])
        actions["naive"] = lambda: _naive(next(naive_turn))
    times = interleaved(actions, args.repeats, args.device, args.budget)
    ours = times["label"].median
    cells = [f"{1e3 * ours:.3g}", times["label"].spread, f"{100 * clock.solver / clock.label:.0f} %"]
    if "naive" not in times:
        return [*cells, "", ""]
    return [*cells, f"{1e3 * times['naive'].median:.3g}", f"{times['naive'].median / ours:.2f} x"]


def _naive(config: SpinConfiguration) -> naive_electrons.Labels:
    box = np.diag(config.cell).copy()
    box[~config.pbc] = np.inf
    with np.errstate(invalid="ignore"):
        J, filling, kT = MODEL.values()
        return naive_electrons.evaluate(config.positions, np.nan_to_num(box, posinf=1e9), config.spins, J, filling, kT)


def _require_agreement(exact: SDModel, config: SpinConfiguration) -> None:
    """Two codes that differ are not worth comparing.

    Raises:
        ValueError: energies, fields or forces differ.
    """
    ours, theirs = exact.evaluate(config), _naive(config)
    for name in ("energy", "field", "forces"):
        error = float(np.abs(np.subtract(getattr(ours, name), getattr(theirs, name))).max())
        if not error < AGREEMENT:
            raise ValueError(f"{name} of {config.n_sites} sites: the package and the naive code differ by {error:.1e}")


SOLVERS = ("torch heevd", "complex64", "numpy heevd", "scipy heevr", "heevr, half", "levels only")


def _eigenproblem(config: SpinConfiguration) -> dict[str, Action]:
    """H of one configuration by every solver at hand; `half` asks for the occupied half of the orbitals."""
    exact = SDModel(**MODEL).prepare([config])
    H = exact.matrix(exact.spins_of([config]))
    single, array, half = H.to(torch.complex64), H[0].numpy(), [0, config.n_sites - 1]
    fortran = np.asfortranarray(array)
    by_name: tuple[Action, ...] = (
        lambda: torch.linalg.eigh(H),
        lambda: torch.linalg.eigh(single),
        lambda: np.linalg.eigh(array),
        lambda: scipy.linalg.eigh(fortran, driver="evr", check_finite=False),
        lambda: scipy.linalg.eigh(fortran, driver="evr", subset_by_index=half, check_finite=False),
        lambda: torch.linalg.eigvalsh(H),
    )
    return dict(zip(SOLVERS, by_name, strict=True))


def _two_processes(n_sites: int, args: argparse.Namespace) -> str:
    if args.seconds <= 0 or args.device.type != "cpu":
        return ""
    rates: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(3):
        for n, found in rates.items():
            found.append(_labels_per_second(n, n_sites, args.seconds / 6))
    return f"{statistics.median(rates[2]) / statistics.median(rates[1]):.2f} x"


def _labels_per_second(n_processes: int, n_sites: int, seconds: float) -> float:
    """Of fresh processes that start together, one thread each."""
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(n_processes), context.SimpleQueue()
    workers = [
        context.Process(target=_label_for_a_while, args=(n_sites, number, seconds, start, results))
        for number in range(n_processes)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if any(worker.exitcode for worker in workers):
        raise RuntimeError("a labelling process failed; its message stands above")
    return sum(results.get() for _ in workers)


def _label_for_a_while(
    n_sites: int, number: int, seconds: float, start: Barrier, results: multiprocessing.SimpleQueue
) -> None:
    exact, config = SDModel(**MODEL), random_sites(n_sites, rng=number)
    with torch_threads(1):
        for _ in range(2):
            exact.evaluate(config)
        start.wait(timeout=120)
        begin, done = time.perf_counter(), 0
        while done == 0 or time.perf_counter() - begin < seconds:
            exact.evaluate(config)
            done += 1
        results.put(done / (time.perf_counter() - begin))


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--sizes", type=positive, nargs="+", default=[50, 100, 200, 400])
    options.add_argument("--naive-up-to", type=int, default=400, help="most sites of the naive column")
    options.add_argument("--seconds", type=float, default=12.0, help="of the last column, for each size; 0 for none")
    options.add_argument("--solvers", action="store_true", help="a second table: the eigenproblem by several solvers")
    args = options.parse_args(arguments)
    console = wide_console()
    with threads(1):
        measure(args, console)


if __name__ == "__main__":
    main()
