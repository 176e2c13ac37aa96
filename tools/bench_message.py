"""The sum over neighbours and its adjoints: our kernels, PyTorch, and hippynn's, on equal inputs in one run.

    python tools/bench_message.py
    python tools/bench_message.py --device cuda --graphs 64 --hippynn triton cupy numba pytorch

With sensitivities s, features z and cotangents c over the edges e = (i <- j),

    sum          m[i, nu, a] = sum_e s[e, nu] z[j, a]        (hippynn: envsum)
    by s         b[e, nu]    = sum_a c[i, nu, a] z[j, a]     (hippynn: sensesum)
    by z         g[j, a]     = sum_e,nu c[i, nu, a] s[e, nu] (hippynn: featsum)
    by s and z   both adjoints, as a backward pass needs them.

Our kernels also take polynomials P[e, l]; n_l = 1 with P = 1 is hippynn's operation, n_l = 3 the magnetic one (with the
adjoint by P), which hippynn does not have. Results are compared before anything is timed. Autograd is left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import hippynn_peer
import torch
from benchmarking import Peaks, Timing, interleaved, measure_peaks, parser, positive, table, threads, wide_console
from counted_work import Sizes, Work, message
from rich.console import Console
from rich.table import Table
from systems import batch_of_random_sites
from torch import Tensor

from mhipnn.nn.kernels import reference
from mhipnn.nn.kernels.choice import message_kernels
from mhipnn.nn.neighbourhood import Neighbourhood, neighbourhood

OPERATIONS = ("sum", "by s", "by z", "by s and z")
TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-12}
Results = tuple[Tensor, ...]
Kernel = Callable[[], Results]


@dataclass(frozen=True)
class Inputs:
    """Random operands in the padded layout; ``source`` and ``receiver`` are the same neighbours as a list of pairs."""

    s: Tensor
    P: Tensor
    z: Tensor
    c: Tensor
    neighbours: Neighbourhood
    source: Tensor
    receiver: Tensor

    @property
    def filled(self) -> Tensor:
        slots = torch.arange(self.neighbours.index.shape[1], device=self.s.device)
        return slots < self.neighbours.counts[:, None]

    def by_pairs(self, values: Tensor) -> Tensor:
        """(N, n, K) -> (E, n), in the order of the pairs."""
        return values.transpose(1, 2)[self.filled]


def random_inputs(args: argparse.Namespace, n_l: int) -> Inputs:
    dtype = getattr(torch, args.dtype)
    graph = batch_of_random_sites(args.graphs, args.sites, args.cutoff, dtype).to(args.device)
    neighbours = neighbourhood(graph, graph.positions)
    n_sites, n_slots = neighbours.index.shape
    generator = torch.Generator().manual_seed(0)
    random = lambda *shape: torch.randn(*shape, generator=generator, dtype=dtype).to(args.device)  # noqa: E731
    return Inputs(
        s=random(n_sites, args.sensitivities, n_slots),
        P=torch.ones(n_sites, 1, n_slots).to(graph.positions) if n_l == 1 else random(n_sites, n_l, n_slots),
        z=random(n_sites, args.features),
        c=random(n_sites, args.sensitivities * n_l, args.features),
        neighbours=neighbours,
        source=graph.edge_index[0].contiguous(),
        receiver=graph.edge_index[1].contiguous(),
    )


def ours(inputs: Inputs, kernels: ModuleType) -> dict[str, Kernel]:
    """The operations by a module like ``mhipnn.nn.kernels.reference``."""
    s, P, z, c = inputs.s, inputs.P, inputs.z, inputs.c
    where = (inputs.neighbours.index, inputs.neighbours.counts)
    for_P = P.shape[1] > 1

    def adjoint(for_s: bool, for_z: bool) -> Results:
        of_z = torch.zeros_like(z) if for_z else None
        of_s, of_P = kernels.adjoint(s, P, z, c, *where, for_s, for_P and for_s, of_z)
        return tuple(result for result in (of_s, of_z, of_P) if result is not None)

    return {
        "sum": lambda: (kernels.message_sum(s, P, z, *where),),
        "by s": lambda: adjoint(True, False),
        "by z": lambda: adjoint(False, True),
        "by s and z": lambda: adjoint(True, True),
    }


def hippynns(inputs: Inputs, name: str) -> dict[str, Kernel]:
    """The operations by hippynn's kernels of this name."""
    kernels = hippynn_peer.kernels(name)
    s, pairs = inputs.by_pairs(inputs.s).contiguous(), (inputs.receiver, inputs.source)
    z, c = inputs.z, inputs.c
    return {
        "sum": lambda: (kernels.envsum_impl(s, z, *pairs),),
        "by s": lambda: (kernels.sensesum_impl(c, z, *pairs),),
        "by z": lambda: (kernels.featsum_impl(c, s, *pairs),),
        "by s and z": lambda: (kernels.sensesum_impl(c, z, *pairs), kernels.featsum_impl(c, s, *pairs)),
    }


def implementations(inputs: Inputs, hippynn_kernels: list[str], console: Console) -> dict[str, dict[str, Kernel]]:
    """name -> operation -> kernel, ours first; what does not run here is left out, in so many words."""
    chosen = message_kernels(inputs.z)
    found = {"mhipnn": ours(inputs, chosen)}
    if chosen is not reference:
        found["mhipnn PyTorch"] = ours(inputs, reference)
    if inputs.P.shape[1] > 1:
        return found
    for name in hippynn_kernels:
        try:
            candidate = hippynns(inputs, name)
            candidate["sum"]()
        except Exception as error:  # a peer may fail in any way: no compiler, no such device
            console.print(f"hippynn {name} does not run here: {type(error).__name__}: {str(error).splitlines()[:1]}")
        else:
            found[f"hippynn {name}"] = candidate
    return found


def check(inputs: Inputs, found: dict[str, dict[str, Kernel]]) -> None:
    """Every result against the reference.

    Raises:
        ValueError: a result that differs by more than rounding, with its name.
    """
    expected = ours(inputs, reference)
    tolerance = TOLERANCE[inputs.z.dtype]
    for name, kernels in found.items():
        for operation in OPERATIONS:
            for result, wanted in zip(kernels[operation](), expected[operation](), strict=True):
                if result.shape != wanted.shape:  # pairs
                    wanted = inputs.by_pairs(wanted)
                error = float((result - wanted).abs().max() / wanted.abs().max())
                if not error < tolerance:
                    raise ValueError(f"{name}, {operation}: differs from the reference by {error:.1e} (relative)")


def counted(sizes: Sizes, n_nu: int, n_l: int, n_features: int) -> dict[str, Work]:
    once = message(sizes, n_nu, n_l, n_features)
    return {"sum": once, "by s": once, "by z": once, "by s and z": once * 2}


def add_rows(rows: Table, n_l: int, times: dict[str, Timing], work: dict[str, Work], peaks: Peaks) -> None:
    for operation in OPERATIONS:
        first: float | None = None
        for key, timing in times.items():
            name, _, this = key.partition(": ")
            if this != operation:
                continue
            first = first or timing.median
            shares = peaks.shares(work[operation], timing.median)
            rows.add_row(
                operation, str(n_l), name, f"{1e3 * timing.median:.3f}", timing.spread,
                f"{timing.median / first:.2f} x", *shares, end_section=False,
            )  # fmt: skip
        rows.add_section()


def measure(args: argparse.Namespace, console: Console) -> Table:
    peaks = measure_peaks(getattr(torch, args.dtype), args.device)
    title = (
        f"Sum over neighbours and its adjoints, {args.graphs} graphs of {args.sites} sites, cutoff {args.cutoff}, "
        f"{args.sensitivities} sensitivities, {args.features} features, {args.dtype}"
    )
    columns = ("operation", "n_l", "kernels", "ms", "spread", "/ mhipnn", "of matmul", "of copy")
    rows = table(title, args.device, columns)
    for n_l in (1, 3):
        inputs = random_inputs(args, n_l)
        found = implementations(inputs, args.hippynn, console)
        check(inputs, found)
        actions = {
            f"{name}: {operation}": kernels[operation] for name, kernels in found.items() for operation in kernels
        }
        times = interleaved(actions, args.repeats, args.device, args.budget)
        sizes = Sizes(len(inputs.z), len(inputs.source), inputs.z.element_size())
        work = counted(sizes, args.sensitivities, n_l, args.features)
        add_rows(rows, n_l, times, work, peaks)
        console.print(peaks.roofline(f"sum with n_l = {n_l}", work["sum"], times["mhipnn: sum"].median))
    console.print(peaks.line())
    return rows


def options() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("--graphs", type=positive, default=8)
    made.add_argument("--sites", type=positive, default=100)
    made.add_argument("--cutoff", type=float, default=3.0)
    made.add_argument("--sensitivities", type=positive, default=20)
    made.add_argument("--features", type=positive, default=32)
    made.add_argument("--dtype", choices=("float32", "float64"), default="float32")
    made.add_argument("--threads", type=positive, default=1)
    made.add_argument("--hippynn", nargs="*", help="its kernels (default: numba pytorch, on a GPU triton cupy too)")
    return made


def main(arguments: list[str] | None = None) -> None:
    args = options().parse_args(arguments)
    console = wide_console()
    with threads(args.threads):
        args.hippynn = hippynn_peer.available(args.hippynn, args.device, console)
        console.print(measure(args, console))


if __name__ == "__main__":
    main()
