"""Field evaluations: seconds and memory against the number of spins, learned against exact, in one interleaved run.

    python tools/bench_dynamics.py
    python tools/bench_dynamics.py --sizes 1000 10000 100000 --exact-sizes 100 400 900 2000 --threads 1

Columns: `frozen` is the path of the dynamics (sites fixed, geometry computed once), `whole` the evaluation from
positions (neighbour list left out), `exact` one diagonalization. Times are medians; the spread is (max - min)/median.
Timings do not depend on the weights, so the default `mhip` runs untrained.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import torch
from hydra.utils import instantiate
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mhipnn import SDModel, SpinConfiguration, random_sites
from mhipnn.config import compose_config
from mhipnn.data.graph import spin_graph
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.potential import FrozenPotential
from mhipnn.threads import torch_threads

Seconds = list[float]


def interleaved(actions: dict[str, Callable[[], object]], repeats: int) -> dict[str, Seconds]:
    """Time every action ``repeats`` times in turn, after one round that is not counted."""
    times: dict[str, Seconds] = {name: [] for name in actions}
    for number in range(repeats + 1):
        for name, action in actions.items():
            start = time.perf_counter()
            action()
            if number:
                times[name].append(time.perf_counter() - start)
    return times


def evaluations(config: SpinConfiguration, learned: NetworkPotential, exact: SDModel | None) -> dict[str, Callable]:
    """The ways to get the field on the spins of one configuration."""
    frozen, graph = learned.prepare([config]), spin_graph(config, learned.model.cutoff, learned.dtype)
    actions: dict[str, Callable] = {
        "frozen": lambda: frozen(_spins(config, frozen)),
        "whole": lambda: learned.model(graph, differentiable=False),
    }
    if exact is not None:
        electrons = exact.prepare([config])
        actions["exact"] = lambda: electrons(_spins(config, electrons))
    return actions


def measure(sizes: Sequence[int], exact_sizes: Sequence[int], repeats: int, console: Console) -> Table:
    """One row a size; sizes in ``exact_sizes`` are diagonalized too."""
    learned = NetworkPotential(instantiate(compose_config("train").model))
    exact = SDModel(J=3.0, filling=1.0, temperature=0.05)
    threads = torch.get_num_threads()
    table = Table(title=f"Field evaluations, float32 network, {threads} thread(s)", title_justify="left")
    units = ("us/spin", "", "us/spin", "/frozen", "s", "/frozen", "GiB")
    names = ("frozen", "spread", "whole", "whole", "exact", "exact", "peak")
    table.add_column("N", justify="right")
    for name, unit in zip(names, units, strict=True):
        table.add_column(f"{name}\n{unit}", justify="right")
    for n in track(sorted({*sizes, *exact_sizes}), "timing", console=console, transient=True):
        config = random_sites(n, rng=0)
        times = interleaved(evaluations(config, learned, exact if n in exact_sizes else None), repeats)
        median = {name: statistics.median(values) for name, values in times.items()}
        spread = (max(times["frozen"]) - min(times["frozen"])) / median["frozen"]
        solved = (
            (f"{median['exact']:.3g}", f"{median['exact'] / median['frozen']:.0f} x") if "exact" in median else ("", "")
        )
        table.add_row(
            f"{n:,}",
            f"{median['frozen'] / n * 1e6:.1f}",
            f"{100 * spread:.0f} %",
            f"{median['whole'] / n * 1e6:.1f}",
            f"{median['whole'] / median['frozen']:.2f}",
            *solved,
            f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f}",  # peak so far; sizes ascend
        )
    return table


def _spins(config: SpinConfiguration, potential: FrozenPotential) -> torch.Tensor:
    return torch.from_numpy(config.spins)[None].to(potential.device, potential.dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    parser.add_argument("--exact-sizes", type=int, nargs="*", default=[100, 400])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if min([*args.sizes, *args.exact_sizes, args.repeats, args.threads]) < 1:
        parser.error("sizes, repeats and threads must be at least 1")
    console = Console()
    with torch_threads(args.threads):
        console.print(measure(args.sizes, args.exact_sizes, args.repeats, console))


if __name__ == "__main__":
    main()
