"""Exact labels of given spin states: of configurations that something else than a sampler of the dataset chose."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

from ..configuration import SpinConfiguration
from ..potential import Evaluation, Potential, evaluate_all, has_forces
from .definition import DatasetDefinition
from .labelled import LabelledConfigurations, collect
from .labelling import TOGETHER
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
    """Some states to label, the first of them number ``first``; plain data, so that it travels to a worker."""

    potential: str
    first: int
    states: Sequence[State]


def label_states(definition: DatasetDefinition, states: Sequence[State], launcher: Launcher) -> LabelledConfigurations:
    """Energy, fields and forces of every state by the potential of a dataset, in the order given.

    Raises:
        NonFiniteError: a label that is not finite, with realisation and site.
        DatasetError: workers cannot be had, or die again and again.
    """
    node = json.dumps(definition.potential, sort_keys=True)
    size = min(TOGETHER, math.ceil(len(states) / launcher.n_workers))
    jobs = [_Job(node, first, states[first : first + size]) for first in range(0, len(states), size)] if states else []
    done: dict[int, list[Evaluation]] = {}
    if jobs:
        with closing(launcher.run(_label, jobs)) as results:  # ends the workers, whatever happens here
            for job, labels in results:
                done[job.first] = labels
    labels = [each for first in sorted(done) for each in done[first]]
    return collect([(s.config, label, s.realisation, s.time) for s, label in zip(states, labels, strict=True)])


def _label(job: _Job) -> list[Evaluation]:
    potential = _potential(job.potential)
    labels = evaluate_all(potential, [state.config for state in job.states], forces=has_forces(potential))
    for state, label in zip(job.states, labels, strict=True):
        require_finite(label, f"train realisation {state.realisation}, time {state.time:g}")
    return labels


@lru_cache(maxsize=4)
def _potential(node: str) -> Potential:
    """Built once a process."""
    return build(json.loads(node), "potential")
