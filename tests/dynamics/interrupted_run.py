"""A small quench that tests run in a process of its own, to be killed there."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
from toy_potentials import heisenberg, random_coupling

from mhipnn.dynamics import Magnetisation, Quench, Recording, Simulation
from mhipnn.errors import UserError
from mhipnn.structures import RandomSites

N = 24


def simulation(folder, replicas, steps, groups=None, seed=0):
    configs = [RandomSites(N, 2).sample(np.random.default_rng([seed, number])) for number in range(replicas)]
    return Simulation(
        Quench(steps * 0.05, 0.05, 0.1, 0.2, record_every=3),
        heisenberg(random_coupling(N)),
        configs,
        list(range(replicas)),
        Recording(Path(folder) / "trajectory.h5", groups=groups, observers={"m": Magnetisation()}, save_seconds=0.01),
    )


def main(pipe, folder, replicas, steps, groups=None, limit=None):
    """Sends the number of every step that was made, then the message that ended the run."""
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        simulation(folder, replicas, steps, groups).run(lambda done, total: pipe.send(done), resume=True)
    except (KeyboardInterrupt, UserError) as error:
        pipe.send(f"{type(error).__name__}: {error}")
