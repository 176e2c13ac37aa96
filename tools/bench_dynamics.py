"""Field evaluations: time and memory against the number of spins, learned and exact, in interleaved runs.

    python tools/bench_dynamics.py
    python tools/bench_dynamics.py --sizes 1000 10000 100000 --exact-sizes 100 400 900 2000 --threads 1
    python tools/bench_dynamics.py --device cuda --sizes 1000 10000 100000 1000000 --exact-sizes

Rows, one a size, random 2-D sites (beyond 10^4 spins a periodic realisation of 10^4, repeated). Columns:

    frozen    what the dynamics uses: sites fixed, all that depends on them computed once (per second: evaluations)
    plain     the same network and weights in eager PyTorch from positions (neighbour list given), tools/plain_mhip.py;
              us/spin
    exact     one diagonalization in float64, as the labels and exact dynamics use it
    memory    of preparing and evaluating: on a CPU the growth of the peak resident set, in a fresh process for each
              size, on a GPU the peak of what was allocated; then the peak of the process (on a GPU: reserved)

`flat within` is the largest over the smallest frozen time per spin among `--sizes`. Timings do not depend on the
weights: the default `mhip` runs untrained.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import frozen_memory
import torch
from benchmarking import (
    Action,
    Peaks,
    Timing,
    interleaved,
    measure_peaks,
    parser,
    positive,
    table,
    threads,
    wide_console,
)
from counted_work import Sizes, gradient_of
from hydra.utils import instantiate
from plain_mhip import PlainMHIP
from rich.console import Console
from rich.progress import track
from systems import random_system

from mhipnn import SDModel, SpinConfiguration
from mhipnn.config import compose_config
from mhipnn.data.graph import spin_graph
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.potential import FrozenPotential

COLUMNS = (
    "N",
    "frozen (us/spin)",
    "spread",
    "per second",
    "plain",
    "/ frozen",
    "exact (s)",
    "/ frozen",
    "memory (GiB)",
    "peak (GiB)",
)
AGREEMENT = 1e-4  # relative, of float32 fields


def measure(args: argparse.Namespace, console: Console) -> None:
    """Print the table, how flat it is, and how near the largest size comes to the machine's peaks."""
    learned = NetworkPotential(instantiate(compose_config("train").model), device=args.device)
    exact = SDModel(J=3.0, filling=1.0, temperature=0.05, device=args.device)
    peaks = measure_peaks(learned.dtype, args.device)
    rows = table("Field evaluations, default mhip in float32, exact in float64", args.device, COLUMNS)
    per_spin: dict[int, float] = {}
    rooflines: list[str] = []
    for n in track(sorted({*args.sizes, *args.exact_sizes}), "timing", console=console, transient=True):
        config = random_system(n)
        memory = ("", "") if args.no_memory else _memory(config, learned, args.threads)
        actions = evaluations(config, learned, exact if n in args.exact_sizes else None, n <= args.plain_up_to)
        times = interleaved(actions, args.repeats, args.device, args.budget)
        rows.add_row(f"{config.n_sites:,}", *_cells(times, config.n_sites), *memory)
        if n in args.sizes:
            per_spin[config.n_sites] = times["frozen"].median / config.n_sites
            rooflines.append(_roofline(config, learned, peaks, times["frozen"].median))
        del actions
    console.print(rows)
    if len(per_spin) > 1:
        flat = max(per_spin.values()) / min(per_spin.values())
        console.print(f"flat within {100 * (flat - 1):.0f} % from N = {min(per_spin):,} to {max(per_spin):,}")
    console.print(peaks.line())
    for line in rooflines:
        console.print(line)


def evaluations(
    config: SpinConfiguration, learned: NetworkPotential, exact: SDModel | None, with_plain: bool
) -> dict[str, Action]:
    """The ways to get the field on the spins of one configuration.

    Raises:
        ValueError: plain and frozen fields differ.
    """
    frozen = learned.prepare([config])
    spins = _spins(config, frozen)
    actions: dict[str, Action] = {"frozen": lambda: frozen(spins)}
    if with_plain:
        plain = PlainMHIP(learned.model)
        graph = spin_graph(config, learned.model.cutoff, learned.dtype).to(learned.device)
        wanted, found = plain(graph).field, frozen(spins)[1][0]
        error = float((found - wanted).abs().max() / wanted.abs().max())
        if not error < AGREEMENT:
            raise ValueError(f"fields of {config.n_sites} spins: frozen and plain differ by {error:.1e} (relative)")
        actions["plain"] = lambda: plain(graph)
    if exact is not None:
        electrons = exact.prepare([config])
        exact_spins = _spins(config, electrons)
        actions["exact"] = lambda: electrons(exact_spins)
    return actions


def _cells(times: dict[str, Timing], n_sites: int) -> list[str]:
    frozen = times["frozen"].median
    cells = [f"{frozen / n_sites * 1e6:.2f}", times["frozen"].spread, f"{1 / frozen:.3g}"]
    if "plain" in times:
        plain = times["plain"].median
        cells += [f"{plain / n_sites * 1e6:.1f}", f"{plain / frozen:.1f} x"]
    else:
        cells += ["", ""]
    if "exact" in times:
        solved = times["exact"].median
        return [*cells, f"{solved:.3g}", f"{solved / frozen:,.0f} x"]
    return [*cells, "", ""]


def _memory(config: SpinConfiguration, learned: NetworkPotential, n_threads: int) -> tuple[str, str]:
    if learned.device.type != "cuda":
        peak, growth = frozen_memory.in_fresh_process(config.n_sites, n_threads)
        return f"{growth:.2f}", f"{peak:.2f}"
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(learned.device)
    frozen = learned.prepare([config])
    spins = _spins(config, frozen)
    for _ in range(2):
        frozen(spins)
    of_device = (torch.cuda.max_memory_allocated, torch.cuda.max_memory_reserved)
    allocated, reserved = (peak(learned.device) / 2**30 for peak in of_device)
    return f"{allocated:.2f}", f"{reserved:.2f}"


def _roofline(config: SpinConfiguration, learned: NetworkPotential, peaks: Peaks, seconds: float) -> str:
    edges = spin_graph(config, learned.model.cutoff).edge_index.shape[1]
    work = gradient_of(learned.model, Sizes(config.n_sites, edges))
    return peaks.roofline(f"frozen, N = {config.n_sites:,}", work, seconds)


def _spins(config: SpinConfiguration, potential: FrozenPotential) -> torch.Tensor:
    return torch.from_numpy(config.spins)[None].to(potential.device, potential.dtype)


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--sizes", type=positive, nargs="+", default=[1000, 10_000, 100_000])
    options.add_argument("--exact-sizes", type=positive, nargs="*", default=[100, 400, 900, 2000])
    options.add_argument(
        "--plain-up-to", type=int, default=100_000, help="most spins of the plain column, 30 KiB of memory each"
    )
    options.add_argument("--no-memory", action="store_true", help="leave the memory column empty")
    options.add_argument("--threads", type=positive, default=1)
    args = options.parse_args(arguments)
    console = wide_console()
    with threads(args.threads):
        measure(args, console)


if __name__ == "__main__":
    main()
