"""What torques are worth that come from a part of the system: discs cut out around a site, and KPM, as a table.

    python tools/audit_cutouts.py
    python tools/audit_cutouts.py --tracks 1.0:1.0 --radii 5 8 --state quenched

The reference is exact diagonalization of the whole system of random 2-D sites at kT = 0.05. A disc has an open boundary
and exact electrons; the torque of the site in its middle is compared. Rows are J:filling and what was solved; columns:

    sites         in a disc
    own filling   rms error over the rms torque, electrons of the disc at the filling of the system
    true mu       the same at the chemical potential of the whole system, which a large system does not tell
    largest       error of one site over the rms torque, at the own filling
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from time import perf_counter

import numpy as np
from rich.console import Console
from rich.table import Table

from mhipnn import SDModel, SpinConfiguration
from mhipnn.dynamics import Quench
from mhipnn.electrons import KPM
from mhipnn.structures import RandomSites

KT = 0.05


def disc(config: SpinConfiguration, centre: int, radius: float) -> tuple[SpinConfiguration, int]:
    """The sites within the radius of one of them, with an open boundary, and the number of the middle one."""
    fractions = (config.positions - config.positions[centre]) @ np.linalg.inv(config.cell)
    apart = np.where(config.pbc, fractions - np.round(fractions), fractions) @ config.cell
    inside = np.flatnonzero(np.linalg.norm(apart, axis=1) <= radius)
    cell = np.eye(3) * 4 * radius
    part = SpinConfiguration(apart[inside], cell, (False, False, False), config.spins[inside])
    return part, int(np.flatnonzero(inside == centre)[0])


def middle_torques(model: SDModel, discs: list[tuple[SpinConfiguration, int]]) -> np.ndarray:
    """(n, 3)."""
    return np.array([model.evaluate(part, forces=False).torque[middle] for part, middle in discs])


def system(J: float, filling: float, n_sites: int, seed: int, state: str) -> SpinConfiguration:
    """Random spins, or those of an exact quench at t = 10 hbar/t0."""
    config = RandomSites(n_sites, 2).sample(np.random.default_rng(seed))
    if state == "random":
        return config
    quench = Quench(10.0, 0.5, 0.3, KT, record_every=20)
    run = quench.run(SDModel(J=J, filling=filling, temperature=KT), [config], [seed])
    return config.with_spins(run.spins[-1, 0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tracks", nargs="+", default=["3.0:1.0", "1.0:1.0", "6.0:0.7"], help="J:filling")
    parser.add_argument("--n-sites", type=int, default=400)
    parser.add_argument("--radii", type=float, nargs="+", default=[4, 5, 6, 7, 8])
    parser.add_argument("--centres", type=int, default=24)
    parser.add_argument("--state", choices=("random", "quenched"), default="random")
    parser.add_argument("--seed", type=int, default=5)
    given = parser.parse_args()
    table = Table("J:filling", "solved", "sites", "own filling", "true mu", "largest", "seconds", title="torque error")
    for track in given.tracks:
        J, filling = map(float, track.split(":"))
        for cells in rows(J, filling, system(J, filling, given.n_sites, given.seed, given.state), given):
            table.add_row(track, *cells)
    Console().print(table)


def rows(J: float, filling: float, config: SpinConfiguration, given: argparse.Namespace) -> Iterator[list[str]]:
    """Of one system: a disc of each radius, then KPM."""
    whole = SDModel(J=J, filling=filling, temperature=KT).evaluate(config, forces=False)
    rms = float(np.sqrt((whole.torque**2).mean()))
    centres = np.random.default_rng(given.seed).choice(config.n_sites, given.centres, replace=False)
    for radius in given.radii:
        started = perf_counter()
        discs = [disc(config, centre, radius) for centre in centres]
        models = [SDModel(J=J, temperature=KT, **one) for one in ({"filling": filling}, {"mu": whole.mu})]
        own, true = ((middle_torques(model, discs) - whole.torque[centres]) / rms for model in models)
        sites = f"{np.mean([part.n_sites for part, _ in discs]):.0f}"
        yield [f"disc, {radius:g}", sites, size(own), size(true), largest(own), f"{perf_counter() - started:.1f}"]
    for accuracy in ("fast", "accurate"):
        started = perf_counter()
        kpm = SDModel(J=J, filling=filling, temperature=KT, solver=KPM(accuracy)).evaluate(config, forces=False)
        error = (kpm.torque - whole.torque) / rms
        seconds = f"{perf_counter() - started:.1f}"
        yield [f"KPM, {accuracy}", str(config.n_sites), size(error), "", largest(error), seconds]


def size(error: np.ndarray) -> str:
    return f"{np.sqrt((error**2).mean()):.5f}"


def largest(error: np.ndarray) -> str:
    return f"{np.linalg.norm(error, axis=1).max() / np.sqrt(3):.4f}"


if __name__ == "__main__":
    main()
