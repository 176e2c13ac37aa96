"""Training steps: hippynn's HIP-NN against ours, and the default mHIP-NN against plain PyTorch, in interleaved runs.

    python tools/bench_training.py
    python tools/bench_training.py --device cuda --graphs 64 --hippynn triton numba pytorch --threads 1

First table, non-magnetic HIP-NN: the same architecture, sizes, weights, sites and pairs in both codes, so that energies
and forces agree to rounding (that is checked first). `energy + forces` is one evaluation; `training step` adds the mean
square errors of both and their gradient by all parameters (double backward), without an optimiser. Ours is the public
`MHIP.forward`, which pads the neighbours, sums energies in float64 and returns fields and torques (zero here) on top:
hippynn gets its pairs ready and does none of this. How hippynn's layers are joined: tools/hippynn_peer.py.

Second table, magnetic: the step of `python -m mhipnn.train` with its defaults (torque and energy,
AdamW) on 4 graphs of 100 random sites, by our kernels and by the plain PyTorch form (tools/plain_mhip.py), and the time
of one batch from the loader of the same data module. Labels are exact, spins random.

The gaussians of the sensitivities reach subnormal numbers in float32, which slow hippynn's kernels (ours cut them off).
`--flush-denormals` sets them to zero for all.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
from collections.abc import Callable

import hippynn_peer
import torch
from benchmarking import Action, Peaks, interleaved, measure_peaks, parser, positive, table, threads, wide_console
from counted_work import Sizes, gradient_of, training_step
from hydra.utils import instantiate
from plain_mhip import PlainMHIP
from rich.console import Console
from rich.table import Table
from systems import batch_of_random_sites
from torch import Tensor, nn

from mhipnn.config import compose_config
from mhipnn.data.datamodule import SpinDataModule
from mhipnn.data.graph import SpinGraph
from mhipnn.nn.mhip import MHIP
from mhipnn.training.run import build_model

EnergyAndForces = Callable[[SpinGraph, bool], tuple[Tensor, Tensor]]
AGREEMENT = 1e-4  # relative, of float32 sums over thousands of terms


# ------------------------------------------------------------------ the non-magnetic network


def non_magnetic(args: argparse.Namespace, n_threads: int, peaks: Peaks, console: Console) -> Table:
    torch.manual_seed(0)
    graph = batch_of_random_sites(args.graphs, args.sites, args.cutoff, torch.float32).to(args.device)
    model = MHIP(
        cutoff=args.cutoff,
        n_features=args.features,
        n_interactions=2,
        n_sensitivities=args.sensitivities,
        n_onsite=args.onsite,
        l_max=0,
    ).to(args.device)
    codes = {"mhipnn": _ours(model)} | _hippynns(model, graph, args.hippynn, console)
    target = [torch.randn_like(value) for value in codes["mhipnn"](graph, False)]
    actions: dict[str, Action] = {}
    for name, code in codes.items():
        actions[f"{name}: evaluation"] = lambda code=code: code(graph, False)
        actions[f"{name}: training"] = lambda code=code: _loss(code(graph, True), target).backward()
    times = interleaved(actions, args.repeats, args.device, args.budget)
    sizes = Sizes(graph.num_nodes, graph.edge_index.shape[1])
    title = (
        f"HIP-NN, non-magnetic: {args.graphs} graphs of {args.sites} sites, {sizes.n_edges:,} edges, 2 interactions, "
        f"{args.sensitivities} sensitivities, {args.features} features, {args.onsite} on-site layers, float32"
    )
    columns = ("code", "energy + forces (ms)", "spread", "/ mhipnn", "training step (ms)", "spread", "/ mhipnn")
    rows = table(title, args.device, columns)
    for name in codes:
        cells = []
        for kind in ("evaluation", "training"):
            timing, ours = times[f"{name}: {kind}"], times[f"mhipnn: {kind}"]
            cells += [f"{1e3 * timing.median:.2f}", timing.spread, f"{timing.median / ours.median:.2f} x"]
        rows.add_row(name, *cells)
    evaluation, training = (times[f"mhipnn: {kind}"].median for kind in ("evaluation", "training"))
    where = f"{n_threads} thread(s)"
    console.print(peaks.roofline(f"energy + forces, {where}", gradient_of(model, sizes), evaluation))
    console.print(peaks.roofline(f"training step, {where}", training_step(model, sizes), training))
    return rows


def _ours(model: MHIP) -> EnergyAndForces:
    modes = {True: model.train(), False: copy.deepcopy(model).eval().requires_grad_(False)}

    def evaluate(graph: SpinGraph, differentiable: bool) -> tuple[Tensor, Tensor]:
        prediction = modes[differentiable](graph, forces=True, differentiable=differentiable)
        return prediction.energy, prediction.forces

    return evaluate


def _hippynns(model: MHIP, graph: SpinGraph, names: list[str], console: Console) -> dict[str, EnergyAndForces]:
    """One code for each of hippynn's kernels that run here.

    Raises:
        ValueError: its energies or forces differ from ours.
    """
    found: dict[str, EnergyAndForces] = {}
    expected = _ours(model)(graph, False)
    for name in names:
        try:
            code = hippynn_peer.HippynnNetwork(model, name)
            result = code(graph, False)
            code(graph, True)[1].square().sum().backward()
        except Exception as error:  # a peer may fail in any way: no compiler, no such device
            console.print(f"hippynn {name} does not run here: {type(error).__name__}: {str(error).splitlines()[:1]}")
            continue
        for quantity, value, wanted in zip(("energies", "forces"), result, expected, strict=True):
            _require_equal(f"hippynn {name}, {quantity}", value, wanted)
        found[f"hippynn {name}"] = code
    return found


def _loss(result: tuple[Tensor, Tensor], target: list[Tensor]) -> Tensor:
    return sum((value - wanted).square().mean() for value, wanted in zip(result, target, strict=True))  # type: ignore


def _require_equal(what: str, value: Tensor, wanted: Tensor) -> None:
    error = float(((value - wanted).abs().max() / wanted.abs().max()).detach())
    if not error < AGREEMENT:
        raise ValueError(f"{what}: differ from those of mhipnn by {error:.1e} (relative)")


# ------------------------------------------------------------------ the magnetic network with its defaults


def magnetic(
    args: argparse.Namespace, n_threads: int, peaks: Peaks, folder: str, rows: Table, console: Console
) -> None:
    """Add a row for this number of threads."""
    cfg = compose_config(
        "train",
        [
            f"data.root={folder}", f"data.splits={{train: {4 * args.batches}, val: 1, test: 1}}", "data.n_workers=1",
            "data.samplers.quench=null", "data.size_split=null", f"data.structure.n_sites={args.sites}",
            "+data.progress=false",
        ],
    )  # fmt: skip
    data: SpinDataModule = instantiate(cfg.data)
    data.prepare_data()
    data.setup("fit")
    torch.manual_seed(0)
    model = build_model(cfg)
    model.fit_scale(data.statistics)
    model.to(args.device).train()
    loader = data.train_dataloader()
    batch = next(iter(loader)).to(args.device)
    plain = PlainMHIP(copy.deepcopy(model)).train()
    _require_equal("torques", plain(batch, differentiable=True).torque, model(batch).torque)
    terms = {name: instantiate(term) for name, term in cfg.loss.items() if term is not None}

    def step(network: nn.Module) -> Action:
        optimiser = instantiate(cfg.optimizer)(network.parameters())

        def action() -> None:
            optimiser.zero_grad()
            prediction = network(batch, differentiable=True)
            torch.stack(
                [term.weight * term(prediction, batch, data.statistics) for term in terms.values()]
            ).sum().backward()
            optimiser.step()

        return action

    actions = {"mhipnn": step(model), "plain": step(plain), "loader": lambda: list(loader)}
    times = interleaved(actions, args.repeats, args.device, args.budget)
    ours, one_batch = times["mhipnn"].median, times["loader"].median / len(loader)
    rows.add_row(
        str(n_threads),
        f"{1e3 * ours:.2f}", times["mhipnn"].spread,
        f"{1e3 * times['plain'].median:.2f}", times["plain"].spread, f"{times['plain'].median / ours:.2f} x",
        f"{1e3 * one_batch:.3f}", f"{100 * one_batch / ours:.1f} %",
    )  # fmt: skip
    sizes = Sizes(batch.num_nodes, batch.edge_index.shape[1])
    console.print(peaks.roofline(f"magnetic step, {n_threads} thread(s)", training_step(model, sizes), ours))


def main(arguments: list[str] | None = None) -> None:
    options = parser(__doc__)
    options.add_argument("--graphs", type=positive, default=8, help="of the non-magnetic table")
    options.add_argument("--sites", type=positive, default=100, help="of a graph, in both tables")
    options.add_argument("--cutoff", type=float, default=3.0, help="of the non-magnetic table")
    options.add_argument("--sensitivities", type=positive, default=20, help="of the non-magnetic table")
    options.add_argument("--features", type=positive, default=32, help="of the non-magnetic table")
    options.add_argument("--onsite", type=positive, default=3, help="on-site layers of the non-magnetic table")
    options.add_argument("--batches", type=positive, default=8, help="in the magnetic table's loader")
    options.add_argument("--threads", type=positive, nargs="+", default=[1, 2])
    options.add_argument("--hippynn", nargs="*", help="its kernels (default: numba pytorch, on a GPU triton cupy too)")
    options.add_argument("--flush-denormals", action="store_true", help="take subnormal numbers for zero")
    args = options.parse_args(arguments)
    console = wide_console()
    args.hippynn = hippynn_peer.available(args.hippynn, args.device, console)
    torch.set_flush_denormal(args.flush_denormals)
    columns = (
        "threads",
        "mhipnn (ms)",
        "spread",
        "plain (ms)",
        "spread",
        "/ mhipnn",
        "batch from loader (ms)",
        "/ step",
    )
    title = f"mHIP-NN with defaults: optimiser step on 4 graphs of {args.sites} sites, float32"
    steps = table(title, args.device, columns, args.threads)
    try:
        with tempfile.TemporaryDirectory() as folder:
            for n_threads in args.threads:
                with threads(n_threads):
                    peaks = measure_peaks(torch.float32, args.device)
                    console.print(peaks.line())
                    console.print(non_magnetic(args, n_threads, peaks, console))
                    magnetic(args, n_threads, peaks, folder, steps, console)
        console.print(steps)
    finally:
        torch.set_flush_denormal(False)


if __name__ == "__main__":
    main()
