"""Exact labels of given spin states: of configurations that something else than a sampler of the dataset chose."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from ..configuration import SpinConfiguration
from ..potential import Evaluation, Potential, has_forces
from .definition import DatasetDefinition
from .labelled import LabelledConfigurations, collect
from .launchers.base import Launcher
from .realisations import require_finite
from .sources import build


@dataclass(frozen=True)
class State:
    """Spins on the sites of one disorder realisation of the training split.

    ``time`` is that since the quench, hbar/t0, or -1 for uncorrelated spins.
    """

    config: SpinConfiguration
    realisation: int
    time: float


@dataclass(frozen=True, eq=False)
class _Job:
    """One state to label; plain data, so that it travels to a worker."""

    potential: str
    number: int
    state: State


def label_states(definition: DatasetDefinition, states: Sequence[State], launcher: Launcher) -> LabelledConfigurations:
    """Energy, fields and forces of every state by the potential of a dataset, in the order given.

    Raises:
        NonFiniteError: a label that is not finite, with realisation and site.
        DatasetError: workers cannot be had, or die again and again.
    """
    node = json.dumps(definition.potential, sort_keys=True)
    jobs = [_Job(node, number, state) for number, state in enumerate(states)]
    done: dict[int, Evaluation] = {}
    if jobs:
        with closing(launcher.run(_label, jobs)) as results:  # ends the workers, whatever happens here
            for job, labels in results:
                done[job.number] = labels
    return collect([(state.config, done[number], state.realisation, state.time) for number, state in enumerate(states)])


def _label(job: _Job) -> Evaluation:
    potential = _potential(job.potential)
    labels = potential.evaluate(job.state.config, forces=has_forces(potential))
    require_finite(labels, f"train realisation {job.state.realisation}, time {job.state.time:g}")
    return labels


@lru_cache(maxsize=4)
def _potential(node: str) -> Potential:
    """Built once a process."""
    return build(json.loads(node), "potential")
