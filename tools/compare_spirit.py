"""Our integrators against Spirit, an engine that nobody here wrote: one Heisenberg chain, the same start, both to 1 ps.

    pip install spirit          # in an environment of its own; it is no dependency
    python tools/compare_spirit.py --python PATH_OF_ITS_PYTHON

An open chain of moments 2 mu_B with exchange J = 5 meV, Dzyaloshinskii-Moriya exchange D = 1.5 meV along the bonds and
a field of 20 T, damping 0.1, from random spins. Both engines run at several time steps; the table has the largest
deviation of a spin component from our adaptive integrator at a tolerance of 1e-12, and the orders of both.

Spirit (G. P. Mueller et al., Phys. Rev. B 99, 224414 (2019)): unit spins, E = -sum_pairs [J n_i.n_j + D.(n_i x n_j)] -
mu sum_i B.n_i, dn/dt = -gamma/(1 + alpha^2) (n x B_eff + alpha n x (n x B_eff)), time in ps. Ours in meV: the unit of
time is mu_B/gamma = 0.3287 ps.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from mhipnn import SpinConfiguration
from mhipnn.dynamics import RK4, SIB, DepondtMertens, DormandPrince, Heun, Integrator, Quench
from mhipnn.dynamics.additive import PairExchange
from mhipnn.structures import random_spins
from mhipnn.structures.exchange import ShellExchange

GAMMA, MU_B = 0.1760859644, 0.057883817555  # 1/(ps T), meV/T
J, D, MOMENT, FIELD, DAMPING, DURATION = 5.0, 1.5, 2.0, 20.0, 0.1, 1.0  # meV, meV, mu_B, T, -, ps
DIRECTION = (0.6, 0.0, 0.8)
SOLVERS: dict[str, Integrator] = {"Heun": Heun(), "Depondt": DepondtMertens(), "SIB": SIB(), "RK4": RK4()}

SPIRIT = """
import json, sys
import numpy as np
from spirit import configuration, geometry, hamiltonian, parameters, simulation, state, system
task = json.load(sys.stdin)
ends, energy = {}, None
for solver in task["solvers"]:
    for dt in task["steps"]:
        with state.State("", quiet=True) as p:
            geometry.set_n_cells(p, [len(task["spins"]), 1, 1])
            geometry.set_mu_s(p, task["moment"])
            hamiltonian.set_boundary_conditions(p, [0, 0, 0])
            hamiltonian.set_anisotropy(p, 0.0, [0, 0, 1])
            hamiltonian.set_field(p, task["field"], task["direction"])
            hamiltonian.set_exchange(p, 1, [task["J"]])
            hamiltonian.set_dmi(p, 1, [task["D"]], chirality=1)
            parameters.llg.set_temperature(p, 0.0)
            parameters.llg.set_damping(p, task["damping"])
            parameters.llg.set_timestep(p, dt)
            parameters.llg.set_convergence(p, 1e-30)
            parameters.llg.set_output_general(p, False, False, False)
            spins = system.get_spin_directions(p)
            spins[:] = np.array(task["spins"])
            system.update_data(p)
            energy = system.get_energy(p)
            method = getattr(simulation, "SOLVER_" + solver.upper())
            simulation.start(p, simulation.METHOD_LLG, method, n_iterations=round(task["duration"] / dt))
            ends[solver + " " + repr(dt)] = np.array(system.get_spin_directions(p)).tolist()
print("RESULT" + json.dumps({"ends": ends, "energy": energy}))
"""


def run_spirit(python: str, spins: np.ndarray, steps: list[float]) -> tuple[dict[str, np.ndarray], float]:
    """Spins at the end by "solver dt", and the energy of the start, meV."""
    task = dict(spins=spins.tolist(), steps=steps, solvers=list(SOLVERS), J=J, D=D, moment=MOMENT, field=FIELD,
                direction=DIRECTION, damping=DAMPING, duration=DURATION)  # fmt: skip
    done = subprocess.run([python, "-c", SPIRIT], input=json.dumps(task), capture_output=True, text=True)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    if line is None:
        sys.exit(f"error: {python} did not run Spirit: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    result = json.loads(line.removeprefix("RESULT"))
    return {name: np.array(end) for name, end in result["ends"].items()}, result["energy"]


def run_ours(integrator: Integrator, config: SpinConfiguration, dt: float) -> tuple[np.ndarray, float]:
    """Spins at the end and the energy of the start, meV; dt in ps."""
    chain = PairExchange(ShellExchange([J], [1.0]), ShellExchange([D], [1.0]))
    unit = GAMMA / MU_B
    field = tuple(MU_B * FIELD * np.array(DIRECTION))
    quench = Quench(DURATION * unit, dt * unit, DAMPING, 0.0, 10**9, integrator, field)
    run = quench.run(chain, [config], [0])
    return run.spins[-1, 0], float(run.energies[0, 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has the package spirit")
    parser.add_argument("--sites", type=int, default=24)
    parser.add_argument("--steps", type=float, nargs="+", default=[0.008, 0.004, 0.002], help="ps, each half the last")
    options = parser.parse_args()
    torch.set_num_threads(1)
    spins = random_spins(options.sites, np.random.default_rng(1))
    positions = np.arange(options.sites)[:, None] * np.eye(3)[0]
    config = SpinConfiguration(positions, 2 * options.sites * np.eye(3), False, spins, moments=[MOMENT] * options.sites)
    theirs, their_energy = run_spirit(options.python, spins, options.steps)
    exact, our_energy = run_ours(DormandPrince(1e-12), config, options.steps[0])
    table = Table("solver", "dt (fs)", "Spirit", "order", "mhipnn", "order", title="largest deviation after 1 ps")
    for solver, integrator in SOLVERS.items():
        before: tuple[float, ...] = (np.nan, np.nan)
        for dt in options.steps:
            errors = tuple(
                float(np.abs(end - exact).max())
                for end in (theirs[f"{solver} {dt!r}"], run_ours(integrator, config, dt)[0])
            )
            orders = [
                f"{np.log2(old / new):.2f}" if old == old else "" for old, new in zip(before, errors, strict=True)
            ]
            table.add_row(solver, f"{1000 * dt:g}", f"{errors[0]:.1e}", orders[0], f"{errors[1]:.1e}", orders[1])
            before = errors
    console = Console()
    console.print(table)
    console.print(f"energy of the start (meV): Spirit {their_energy:.9f}, mhipnn {our_energy:.9f}")


if __name__ == "__main__":
    main()
