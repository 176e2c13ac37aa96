"""A small dataset for labelling tests, and stand-ins for its parts: cheap, slow or broken on purpose.

Worker processes import this module by its name.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mhipnn.data import DatasetDefinition
from mhipnn.errors import InputError
from mhipnn.potential import Evaluation, torque


def part(name, **arguments):
    """Node of a stand-in."""
    return {"_target_": f"labelling_parts.{name}", **arguments}


SITES = {"_target_": "mhipnn.structures.RandomSites", "n_sites": 6}
PAIRS = part("PairPotential")
# Dense eigensolvers are where threads and processes could show in the last bits.
ELECTRONS = {"_target_": "mhipnn.electrons.SDModel", "J": 3, "filling": 1}
RANDOM = {"_target_": "mhipnn.structures.RandomSpins"}
SPLITS = {"train": 10, "val": 2, "test": 2}
TOY = {
    "name": "toy",
    "structure": SITES,
    "potential": PAIRS,
    "samplers": {"random": RANDOM, "more": dict(RANDOM, n=2, every=4)},
    "splits": SPLITS,
    "size_split": {"factor": 3, "realisations": 2, "samplers": {"random": RANDOM}},
}


def define(**changes):
    return DatasetDefinition(**(TOY | changes))


def contents(folder):
    """Bytes of every shard, by name."""
    return {path.name: path.read_bytes() for path in folder.glob("*.h5")}


def running(pid):
    """Whether a process is there, and not only its entry in the table."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for(condition, what, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


@dataclass
class PairPotential:
    """E = (1/2) sum_ij S_i . S_j / (i + j + 1)^2 + sum_i |R_i|^2 / 2: gradients in closed form."""

    scale: float = 1.0
    broken: bool = False

    def evaluate(self, config, forces=True):
        index = np.arange(config.n_sites)
        coupling = self.scale / (index[:, None] + index[None] + 1.0) ** 2
        np.fill_diagonal(coupling, 0.0)
        site = 0.5 * (config.spins * (coupling @ config.spins)).sum(-1) + 0.5 * (config.positions**2).sum(-1)
        field = -coupling @ config.spins
        if self.broken:
            field[3] = np.nan
        return Evaluation(float(site.sum()), site, field, torque(config.spins, field), -config.positions)


@dataclass
class SlowSpins:
    """Random spins; where the environment says so, each process leaves its number and sticks at its second job."""

    every: int = 1

    def sample(self, sites, potential, rng):
        if "SLOW_SPINS_PIDS" in os.environ:
            mark = Path(os.environ["SLOW_SPINS_PIDS"]) / str(os.getpid())
            if mark.exists():
                time.sleep(120)
            mark.touch()
        spins = rng.normal(size=(sites.n_sites, 3))
        return [(-1.0, spins / np.linalg.norm(spins, axis=1, keepdims=True))]


@dataclass
class RefusingSpins:
    """Accepted by configuration, refused in the worker."""

    every: int = 1

    def sample(self, sites, potential, rng):
        raise InputError("these sites cannot be used")


@dataclass
class DyingSpins:
    """Takes its process along."""

    every: int = 1

    def sample(self, sites, potential, rng):
        os._exit(3)


@dataclass
class NoSpins:
    every: int = 1

    def sample(self, sites, potential, rng):
        return []


@dataclass
class MortalSpins:
    """Random spins; where the environment says so, the first process to start a second job is killed in it.

    With ``whole_job`` all of its process group is, unless that is the group of the tests.
    """

    every: int = 1
    whole_job: bool = False

    def sample(self, sites, potential, rng):
        if "MORTAL_SPINS" in os.environ:
            marks = Path(os.environ["MORTAL_SPINS"])
            mine = marks / str(os.getpid())
            if mine.exists() and not list(marks.glob("*.killed")):
                mine.rename(mine.with_suffix(".killed"))
                if self.whole_job and os.getpgid(0) != int(os.environ["TESTS_GROUP"]):
                    os.killpg(0, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)
            mine.touch()
        spins = rng.normal(size=(sites.n_sites, 3))
        return [(-1.0, spins / np.linalg.norm(spins, axis=1, keepdims=True))]
