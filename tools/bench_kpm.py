"""Kernel polynomial method: time against the number of sites, against diagonalization, and block products.

    python tools/bench_kpm.py
    python tools/bench_kpm.py --sizes 2000 4000 8000 16000 --exact-sizes 400 800 1200 --presets accurate
    python tools/bench_kpm.py --device cuda --sizes 16000 64000 --exact-sizes 1000 2000

One evaluation (energy and fields, regions made before) on random 2-D sites. First table: H times a block of vectors in
one step of the recursion, by scipy, by torch and compiled (the last one with the spins and the moments). Second
table: seconds per evaluation, torque error against diagonalization where that is timed too, and the peak resident set
so far. Below it the exponents d log t/d log N between the smallest and the largest of `--sizes`, and the N from which
each preset is faster than diagonalization (power laws through the last two sizes of each).
"""

from __future__ import annotations

import argparse
import math
import resource
import time
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from benchmarking import Action, Timing, interleaved, parser, positive, synchronise, table, threads, wide_console
from rich.console import Console
from scipy.sparse import csr_array, kron

from mhipnn import SDModel, SpinConfiguration
from mhipnn.electrons.kpm import KPM
from mhipnn.electrons.kpm.cpu import CPURecursion
from mhipnn.electrons.kpm.hamiltonian import Hamiltonian, scaled
from mhipnn.electrons.kpm.kernels import LANES, ROW
from mhipnn.electrons.kpm.potential import FrozenKPM
from mhipnn.electrons.kpm.regions import probing
from mhipnn.potential import FrozenPotential
from mhipnn.structures import random_sites

Times = dict[int, float]
STEPS = 20  # of the recursion, for one product


def products(n_sites: int, args: argparse.Namespace, console: Console) -> None:
    """Time H times ``LANES`` vectors in every way that is at hand on a CPU."""
    frozen = SDModel(3.0, 1.0, args.kT, solver=KPM(radius=0.0)).prepare([random_sites(n_sites, rng=0)])
    assert isinstance(frozen, FrozenKPM)
    sites = frozen.sites[0]
    H = Hamiltonian(sites.hopping, sites.onsite, np.zeros((n_sites, 3)))
    rng = np.random.default_rng(0)
    real = rng.normal(size=(n_sites, ROW))
    spinors = rng.normal(size=(2 * n_sites, LANES)) + 0j
    full = csr_array(kron(sites.hopping, np.eye(2)), dtype=complex)
    parts = (torch.from_numpy(array) for array in (sites.hopping.indptr, sites.hopping.indices, sites.hopping.data))
    with warnings.catch_warnings():  # that they are in beta
        warnings.filterwarnings("ignore", "Sparse CSR tensor support")
        of_torch = torch.sparse_csr_tensor(*parts, sites.hopping.shape, check_invariants=False)
    as_tensor = torch.from_numpy(real)
    blocks = probing(random_sites(n_sites, rng=0), 0.0, 0)
    recursion = CPURecursion(scaled(H, frozen.band(0, np.eye(3)[[0] * n_sites])), blocks, torch.float64)
    actions: dict[str, Action] = {
        "scipy, complex 2N x 2N": lambda: full @ spinors,
        "scipy, real N x N": lambda: sites.hopping @ real,
        "torch, real N x N": lambda: of_torch @ as_tensor,
        f"compiled ({STEPS} steps)": lambda: recursion.moments(STEPS, mixed=False),
    }
    times = interleaved(actions, max(args.repeats, 3))
    rows = table(f"H times {LANES} vectors, N = {n_sites:,}", "cpu", ("way", "ms a product", "spread", "GFLOP/s"))
    flop = 2 * sites.hopping.nnz * ROW
    for name, timing in times.items():
        seconds = timing.median / (STEPS if name.startswith("compiled") else 1)
        rows.add_row(name, f"{1e3 * seconds:.3f}", timing.spread, f"{flop / seconds / 1e9:.2f}")
    console.print(rows)


def measure(args: argparse.Namespace, console: Console) -> None:
    """Print the table over sizes, the exponents and the crossings."""
    solvers: dict[str, str | KPM] = {name: KPM(name, args.method) for name in args.presets}
    columns = ["N"]
    for name in solvers:
        columns += [f"{name} (s)", "error", "estimate"]
    rows = table(
        f"Seconds per evaluation, J = {args.J:g}, kT = {args.kT:g}, {args.method}",
        args.device, (*columns, "exact (s)", "peak (GiB)"), [args.threads],
    )  # fmt: skip
    found: dict[str, Times] = {name: {} for name in (*solvers, "exact")}
    for n in sorted({*args.sizes, *args.exact_sizes}):
        config = random_sites(n, rng=0)
        exact = None
        if n in args.exact_sizes:
            found["exact"][n], exact = timed(SDModel(args.J, 1.0, args.kT, device=args.device), config, args.repeats)
        cells = [f"{n:,}"]
        for name, solver in solvers.items():
            model = SDModel(args.J, 1.0, args.kT, device=args.device, solver=solver)
            found[name][n], torques = timed(model, config, args.repeats)
            frozen_estimate = model.evaluate(config, forces=False).torque_error if args.estimates else math.nan
            scale = float(np.sqrt((torques**2).mean()))
            error = "" if exact is None else f"{np.sqrt(((torques - exact) ** 2).mean()) / scale:.1e}"
            cells += [f"{found[name][n]:.3f}", error, f"{frozen_estimate / scale:.1e}" if args.estimates else ""]
        cells.append(f"{found['exact'][n]:.3f}" if exact is not None else "")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        rows.add_row(*cells, f"{peak:.2f}")
    console.print(rows)
    for name in solvers:
        ours = {n: found[name][n] for n in sorted(args.sizes)}
        if len(ours) > 1:
            first, last = min(ours), max(ours)
            slope = math.log(ours[last] / ours[first]) / math.log(last / first)
            console.print(f"{name}: t ~ N^{slope:.2f} from N = {first:,} to {last:,}")
        if len(found["exact"]) > 1 and len(found[name]) > 1:
            console.print(f"{name}: as fast as diagonalization at N = {crossing(found[name], found['exact']):,.0f}")


def timed(model: SDModel, config: SpinConfiguration, repeats: int) -> tuple[float, np.ndarray]:
    """Median seconds of energy and fields at frozen sites, and the torques."""
    frozen: FrozenPotential = model.prepare([config])
    spins = torch.as_tensor(config.spins[None]).to(frozen.device, frozen.dtype)
    times = []
    for _ in range(repeats):
        synchronise(model.device)
        start = time.perf_counter()
        field = frozen(spins)[1]
        synchronise(model.device)
        times.append(time.perf_counter() - start)
    return Timing(tuple(times)).median, np.cross(config.spins, field[0].double().cpu().numpy())


def crossing(ours: Times, exact: Times) -> float:
    """Where the power laws through the sizes nearest to where both were timed meet."""
    both = sorted(set(ours) & set(exact))[-2:]
    if len(both) < 2:
        return math.nan
    (a, b), span = both, math.log(both[1] / both[0])
    slope, slope_exact = math.log(ours[b] / ours[a]) / span, math.log(exact[b] / exact[a]) / span
    return b * math.exp(math.log(ours[b] / exact[b]) / (slope_exact - slope))


def main(arguments: Sequence[str] | None = None) -> None:
    options = parser(__doc__, repeats=1)
    options.add_argument("--sizes", type=positive, nargs="*", default=[2000, 4000, 8000, 16000])
    options.add_argument("--exact-sizes", type=positive, nargs="*", default=[400, 800, 1200])
    options.add_argument("--presets", nargs="+", choices=["fast", "accurate"], default=["fast", "accurate"])
    options.add_argument("--method", choices=["regions", "probing"], default="regions")
    options.add_argument("--J", type=float, default=3.0)
    options.add_argument("--kT", type=float, default=0.05)
    options.add_argument("--threads", type=positive, default=torch.get_num_threads())
    options.add_argument("--product-size", type=positive, default=2000, help="sites of the table of products")
    options.add_argument("--estimates", action="store_true", help="print the estimated error too (one more evaluation)")
    args = options.parse_args(arguments)
    console = wide_console()
    with threads(args.threads):
        if args.device.type == "cpu":
            products(args.product_size, args, console)
        timed(SDModel(args.J, 1.0, 1.0, solver=KPM(order=8, radius=0.0)), random_sites(8, rng=0), 1)  # compiles
        measure(args, console)


if __name__ == "__main__":
    main()
