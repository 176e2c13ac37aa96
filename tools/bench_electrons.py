"""Exact electrons: time of a label, its share inside the eigensolver, a naive numpy code beside it, two processes.

    OMP_NUM_THREADS=1 python tools/bench_electrons.py
    OMP_NUM_THREADS=1 python tools/bench_electrons.py --sizes 50 100 200 400 900 --naive-up-to 400 --seconds 20

Rows, one a size N, random 2-D sites, float64, one thread. Columns:

    label        energy, fields and forces of one configuration, sites met for the first time: `SDModel.evaluate_all` of
                 `--batch` configurations, as labelling calls it
    in eigh      share of its wall time inside torch.linalg.eigh
    alone        one `SDModel.evaluate`, for the same
    naive        the same label by tools/naive_electrons.py, in the same interleaved run, over ours
    field        energy and fields of one of eight replicas at frozen sites: a step of a quench
    in eigh      share of that
    2 processes  labels per second of two processes at once over those of one, in turn

`--solvers` prints a second table: the eigenproblem alone, by LAPACK driver and precision. Without OMP_NUM_THREADS=1
numpy's BLAS takes all cores for the naive code.
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
from benchmarking import Action, interleaved, parser, positive, synchronise, table, threads, wide_console
from rich.console import Console
from rich.progress import track

from mhipnn import SDModel, SpinConfiguration, random_sites
from mhipnn.threads import torch_threads

COLUMNS = (
    "N",
    "2N",
    "label (ms)",
    "spread",
    "in eigh",
    "alone (ms)",
    "in eigh",
    "naive (ms)",
    "/ label",
    "field (ms)",
    "spread",
    "in eigh",
    "2 processes",
)
MODEL = {"J": 3.0, "filling": 1.0, "temperature": 0.05}
AGREEMENT = 1e-8
N_CONFIGURATIONS = 8
ROUNDS = 3


class Clock:
    """Seconds spent inside torch.linalg.eigh, and in all, while it watches."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.solver, self.all = device, 0.0, 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        solve = torch.linalg.eigh

        def timed(H: torch.Tensor) -> object:
            start = self._now()
            try:
                return solve(H)
            finally:
                self.solver += self._now() - start

        with patch.object(torch.linalg, "eigh", timed):
            start = self._now()
            yield
            self.all += self._now() - start

    def share(self) -> str:
        return f"{100 * self.solver / self.all:.0f} %"

    def _now(self) -> float:
        synchronise(self.device)
        return time.perf_counter()


def measure(args: argparse.Namespace, console: Console) -> None:
    """Print the table, and the solvers if asked for."""
    rows = table("Exact diagonalization, float64", args.device, COLUMNS)
    solvers = table("The eigenproblem alone (ms)", args.device, ("N", *SOLVERS)) if args.solvers else None
    for n in track(args.sizes, "timing", console=console, transient=True):
        configs = [random_sites(n, rng=number) for number in range(N_CONFIGURATIONS)]
        rows.add_row(str(n), str(2 * n), *_cells(configs, args), _two_processes(n, args))
        if solvers is not None:
            times = interleaved(_eigenproblem(configs[0]), args.repeats, budget=args.budget)
            solvers.add_row(str(n), *(f"{1e3 * times[name].median:.3g}" for name in SOLVERS))
    console.print(rows)
    if solvers is not None:
        console.print(solvers)


def _cells(configs: list[SpinConfiguration], args: argparse.Namespace) -> list[str]:
    exact = SDModel(**MODEL, device=args.device)
    labels, single, fields = Clock(args.device), Clock(args.device), Clock(args.device)
    turn, naive_turn = itertools.cycle(configs), itertools.cycle(configs)
    batch = [configs[number % len(configs)] for number in range(args.batch)]
    frozen = exact.prepare(configs)
    spins = frozen.spins_of(configs)

    def label() -> None:
        with labels.watching():
            exact.evaluate_all(batch)

    def alone() -> None:
        with single.watching():
            exact.evaluate(next(turn))

    def field() -> None:
        with fields.watching():
            frozen(spins)

    actions: dict[str, Action] = {"label": label, "alone": alone, "field": field}
    if configs[0].n_sites <= args.naive_up_to:
        _require_agreement(exact, configs[0])
        actions["naive"] = lambda: _naive(next(naive_turn))
    times = interleaved(actions, args.repeats, args.device, args.budget)
    ours = times["label"].median / args.batch
    naive = times["naive"].median if "naive" in times else None
    return [
        f"{1e3 * ours:.3g}",
        times["label"].spread,
        labels.share(),
        f"{1e3 * times['alone'].median:.3g}",
        single.share(),
        *((f"{1e3 * naive:.3g}", f"{naive / ours:.2f} x") if naive is not None else ("", "")),
        f"{1e3 * times['field'].median / len(configs):.3g}",
        times["field"].spread,
        fields.share(),
    ]


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
    """Labels per second of two processes over those of one of them alone, medians of rounds in turn."""
    if args.seconds <= 0 or args.device.type != "cpu":
        return ""
    context = multiprocessing.get_context("spawn")
    together, results = context.Barrier(2), context.Queue()
    workers = [
        context.Process(target=_label_in_turn, args=(n_sites, number, args.seconds / (2 * ROUNDS), together, results))
        for number in range(2)
    ]
    for worker in workers:
        worker.start()
    try:
        rates = dict(results.get(timeout=600) for _ in workers)
    finally:
        for worker in workers:
            worker.join()
    both = [first + second for first, second in zip(rates[0]["both"], rates[1]["both"], strict=True)]
    return f"{statistics.median(both) / statistics.median(rates[0]['alone']):.2f} x"


def _label_in_turn(
    n_sites: int, number: int, seconds: float, together: Barrier, results: multiprocessing.Queue
) -> None:
    """Process 0 alone, then both, and again; one thread each."""
    exact, config = SDModel(**MODEL), random_sites(n_sites, rng=number)
    rates: dict[str, list[float]] = {"alone": [], "both": []}
    with torch_threads(1):
        exact.evaluate(config)
        for _ in range(ROUNDS):
            for who in ("alone", "both"):
                together.wait(timeout=600)
                if who == "both" or number == 0:
                    rates[who].append(_labels_per_second(exact, config, seconds))
    results.put((number, rates))


def _labels_per_second(exact: SDModel, config: SpinConfiguration, seconds: float) -> float:
    begin, done = time.perf_counter(), 0
    while done == 0 or time.perf_counter() - begin < seconds:
        exact.evaluate(config)
        done += 1
    return done / (time.perf_counter() - begin)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--sizes", type=positive, nargs="+", default=[50, 100, 200, 400])
    options.add_argument("--batch", type=positive, default=32, help="configurations given at once (default 32)")
    options.add_argument("--naive-up-to", type=int, default=400, help="most sites of the naive column")
    options.add_argument("--seconds", type=float, default=12.0, help="of the last column, for each size; 0 for none")
    options.add_argument("--solvers", action="store_true", help="a second table: the eigenproblem by several solvers")
    args = options.parse_args(arguments)
    console = wide_console()
    with threads(1):
        measure(args, console)


if __name__ == "__main__":
    main()
