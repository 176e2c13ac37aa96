"""How far torques at a fixed number of electrons depend on a chemical potential that no local model can know.

    python tools/mu_spread.py --data sd_double_exchange
    python tools/mu_spread.py --data kondo_square --path kondo_square.npz --configurations 5

Of configurations with uncorrelated spins, the labels' own potential gives mu at its filling; then torques at the mean
mu of all are compared with those at the filling. 1 - R^2 of that comparison is what a sum of site terms of finite
range would still miss if it knew everything else, and what `model.shared_mu` is there for (docs/model.md).
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
from benchmarking import positive
from hydra.utils import instantiate
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mhipnn import SDModel, SpinConfiguration
from mhipnn.analysis import r_squared
from mhipnn.config import compose_config
from mhipnn.structures.spins import random_spins


def configurations(name: str, path: str | None, n: int) -> tuple[SDModel, list[SpinConfiguration]]:
    """The potential of a track, and n configurations: test ones of its file, or its disorder with random spins."""
    data = compose_config("train", [f"data={name}", *([f"data.path={path}"] if path else [])]).data
    if path:
        module = instantiate(data, cutoff=None)
        module.prepare_data()
        return module.potential(), module.configurations("test")[:n]
    structure, chosen = instantiate(data.structure), []
    for number in range(n):
        rng = np.random.default_rng(number)
        config = structure.sample(rng)
        chosen.append(config.with_spins(random_spins(config.n_sites, rng)))
    return instantiate(data.potential), chosen


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--data", default="sd_disorder", help="a track (default sd_disorder)")
    options.add_argument("--path", help="of its file, if it has one")
    options.add_argument("--configurations", type=positive, default=16)
    args = options.parse_args()
    potential, configs = configurations(args.data, args.path, args.configurations)
    at_filling = [potential.evaluate(c, forces=False) for c in track(configs, "at the filling", transient=True)]
    mu = np.array([evaluation.mu for evaluation in at_filling])
    fixed = replace(potential, filling=None, mu=float(mu.mean()))
    at_mu = [fixed.evaluate(c, forces=False) for c in track(configs, "at the mean mu", transient=True)]
    exact, other = (np.stack([one.torque for one in made]) for made in (at_filling, at_mu))
    table = Table(title=f"{args.data}, {len(configs)} x {configs[0].n_sites} sites", title_justify="left")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    table.add_row("mean chemical potential (t0)", f"{mu.mean():.4f}")
    table.add_row("its standard deviation (t0)", f"{mu.std(ddof=1):.4f}")
    table.add_row("rms torque component (t0)", f"{exact.std():.4f}")
    table.add_row("1 - R² of torques at the mean", f"{1 - r_squared(exact, other):.2e}")
    Console().print(table)


if __name__ == "__main__":
    main()
