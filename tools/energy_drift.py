"""What integrators lose without damping: energy and total spin along a run of a Heisenberg cluster, as a table.

    python tools/energy_drift.py
    python tools/energy_drift.py --steps 100000 --time-step 0.02

E = -1/2 sum_ij K_ij S_i.S_j of N spins with random symmetric couplings of variance 1/N and moments between 0.7 and 2.5,
from random spins; both the energy and sum_i mu_i S_i are conserved by the equation. Columns:

    evaluations   field evaluations a step, counted
    oscillation   largest |E(t) - E(0)| over |E(0)|
    trend         linear fit of E over the run, from its start to its end, over |E(0)|; negative: towards lower E
    total spin    largest change of sum_i mu_i S_i over its length
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mhipnn import registry
from mhipnn.dynamics import Drive, LLGState
from mhipnn.structures import random_spins

SAMPLES = 1000


class Cluster:
    """The couplings, as a force that counts its evaluations."""

    def __init__(self, n_sites: int, seed: int) -> None:
        matrix = np.random.default_rng(seed).normal(size=(n_sites, n_sites)) / np.sqrt(2 * n_sites)
        coupling = torch.from_numpy(matrix + matrix.T)
        self.coupling = coupling.fill_diagonal_(0)
        self.evaluations = 0

    def __call__(self, spins: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.evaluations += 1
        field = self.coupling @ spins
        return -0.5 * (spins * field).sum((1, 2)), field


def drift(name: str, n_sites: int, time_step: float, steps: int, seed: int) -> tuple[float, float, float, float]:
    """Evaluations a step, oscillation, trend, change of the total spin."""
    integrator, force = registry.get("integrator", name)(), Cluster(n_sites, seed)
    spins = torch.from_numpy(random_spins(n_sites, np.random.default_rng(seed)))[None]
    moments = torch.linspace(0.7, 2.5, n_sites, dtype=spins.dtype)[None]
    state, samples = LLGState(spins, seeds=(0,)), [spins]
    for step in range(1, steps + 1):
        state = integrator.step(state, force, Drive(time_step, 0.0, 0.0, moments))
        if step % max(1, steps // SAMPLES) == 0:
            samples.append(state.spins)
    evaluations = force.evaluations / steps
    energies = np.array([float(force(sample)[0]) for sample in samples])
    totals = torch.stack([(moments[..., None] * sample).sum(1)[0] for sample in samples])
    slope = np.polyfit(np.linspace(0, 1, len(energies)), energies, 1)[0]
    lost = (totals - totals[0]).norm(dim=-1).max() / totals[0].norm()
    scale = abs(energies[0])
    return evaluations, float(np.abs(energies - energies[0]).max() / scale), float(slope / scale), float(lost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sites", type=int, default=12)
    parser.add_argument("--time-step", type=float, default=0.05, help="hbar per unit of energy")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    table = Table("integrator", "order", "evaluations", "oscillation", "trend", "total spin")
    for name in registry.names("integrator"):
        row = drift(name, options.sites, options.time_step, options.steps, options.seed)
        order = registry.get("integrator", name).order
        table.add_row(name, str(order), f"{row[0]:.1f}", *(f"{value:.1e}" for value in row[1:]))
    Console().print(table)


if __name__ == "__main__":
    main()
