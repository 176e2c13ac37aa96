"""A whole quench as `mhipnn.simulate` runs it: seconds a step, cost a spin, memory, against the number of spins.

    python tools/bench_simulate.py
    python tools/bench_simulate.py --sizes 1000 10000 30000 --steps 40 --threads 2 --checkpoint best.ckpt

Every size runs in a fresh process: Heun at kT = 0.05 with thermal noise, a frame every 8 steps written to a compressed
file with C(r) and the magnetisation, in a temporary folder. Timings do not depend on the weights: without a checkpoint
the default `mhip` runs untrained. Below N = 10,000
there are up to ten times as many steps. Columns:

    s/step    wall time of the run over its steps, frames included, the first ones (compilation, allocation) not
    us/spin   the same over the spins
    memory    peak resident set of the process, all of Python and torch included

`flat within` is the largest over the smallest cost a spin.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarking import parser, positive, table, threads, wide_console
from frozen_memory import peak_resident_set
from hydra.utils import instantiate
from rich.progress import track
from systems import random_system

from mhipnn.analysis.streaming import Correlations
from mhipnn.config import compose_config
from mhipnn.dynamics import Magnetisation, Quench, Recording, Simulation
from mhipnn.nn.checkpoint import load_potential
from mhipnn.nn.network_potential import NetworkPotential

COLUMNS = ("N", "s/step", "us/spin", "memory (GiB)")
LARGE = 10_000  # smaller systems make more steps: a processor that wakes up is half as fast for half a second


def measure_one(n_sites: int, steps: int, checkpoint: str | None) -> dict[str, float]:
    """Seconds a step and the peak of this process, GiB, of one replica."""
    if checkpoint is None:
        potential = NetworkPotential(instantiate(compose_config("train").model))
    else:
        potential = load_potential(checkpoint)
    instants: list[float] = []
    config = random_system(n_sites)
    factor = min(max(1, LARGE // config.n_sites), 10)
    begin, steps = 4 * factor, steps * factor
    observers = {"correlations": Correlations(), "magnetisation": Magnetisation()}
    with tempfile.TemporaryDirectory() as folder:
        Simulation(
            Quench(0.25 * (steps + begin), 0.25, 0.1, 0.05, record_every=8),
            potential,
            [config],
            [0],
            Recording(Path(folder) / "trajectory.h5", observers=observers),
        ).run(lambda done, total: instants.append(time.perf_counter()))
    return {
        "n_sites": config.n_sites,
        "seconds": (instants[-1] - instants[begin]) / (len(instants) - 1 - begin),
        "peak": peak_resident_set(),
    }


def in_fresh_process(n_sites: int, args: argparse.Namespace) -> dict[str, float]:
    """:func:`measure_one` where nothing ran before."""
    command = [sys.executable, __file__, "--one", str(n_sites), "--steps", str(args.steps)]
    command += ["--threads", str(args.threads)] + (["--checkpoint", args.checkpoint] if args.checkpoint else [])
    printed = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(printed.splitlines()[-1])


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, repeats=1)
    options.add_argument("--sizes", type=positive, nargs="+", default=[1000, 3000, 10_000, 30_000])
    options.add_argument("--steps", type=positive, default=40)
    options.add_argument("--checkpoint", help="a trained network (default: the default model, untrained)")
    options.add_argument("--threads", type=positive, default=2)
    options.add_argument("--one", type=positive, help=argparse.SUPPRESS)
    args = options.parse_args(arguments)
    if args.one is not None:
        with threads(args.threads):
            print(json.dumps(measure_one(args.one, args.steps, args.checkpoint)))
        return
    console = wide_console()
    title = f"Quenches of one replica, {args.steps} steps or more, learned potential on the CPU"
    rows = table(title, "cpu", COLUMNS, [args.threads])
    per_spin = []
    for n_sites in track(args.sizes, "running", console=console, transient=True):
        runs = [in_fresh_process(n_sites, args) for _ in range(args.repeats)]
        best = min(runs, key=lambda run: run["seconds"])
        per_spin.append(best["seconds"] / best["n_sites"])
        cells = (f"{best['seconds']:.3g}", f"{per_spin[-1] * 1e6:.2f}", f"{max(run['peak'] for run in runs):.2f}")
        rows.add_row(f"{best['n_sites']:,}", *cells)
    console.print(rows)
    if len(per_spin) > 1:
        flat = max(per_spin) / min(per_spin) - 1
        console.print(f"flat within {100 * flat:.0f} % from N = {min(args.sizes):,} to {max(args.sizes):,}")


if __name__ == "__main__":
    main()
