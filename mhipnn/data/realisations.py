"""One disorder realisation: the job that a worker does, and what kind of job it is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from ..configuration import SpinConfiguration
from ..errors import NonFiniteError
from ..potential import Evaluation, evaluate_all, has_forces
from .definition import SPLITS, DatasetDefinition
from .labelled import LabelledConfigurations, collect
from .sources import Sources, build_sources

Kind = tuple[bool, tuple[str, ...]]
"""Realisations of one kind cost about the same: whether they are of the size split, and the samplers that apply."""


@dataclass(frozen=True)
class Job:
    """One realisation to label; plain data, so that it travels to a worker."""

    definition: DatasetDefinition
    split: str
    realisation: int

    @property
    def kind(self) -> Kind:
        return self.split == "size", tuple(self._samplers())

    @property
    def is_short(self) -> bool:
        """Whether its samplers only draw spins: a quench takes hundreds of times as long as a label."""
        return not any(hasattr(sampler, "quench") for sampler in self._samplers().values())

    def _samplers(self) -> dict[str, Any]:
        samplers = _sources(self.definition.to_json(), self.split).samplers
        return {name: sampler for name, sampler in samplers.items() if _applies(sampler, self.realisation)}


def label_jobs(jobs: Sequence[Job]) -> tuple[list[LabelledConfigurations], float]:
    """The labels of some jobs of one dataset, each for itself, and the seconds that they took together.

    The configurations of all jobs go to the potential at once, which may solve them in batches.

    Raises:
        NonFiniteError: a label that is not finite, with split, realisation and site.
    """
    start = time.perf_counter()
    drawn = [draw(job) for job in jobs]
    potential = _sources(jobs[0].definition.to_json(), jobs[0].split).potential
    configs = [state.config for states in drawn for state in states]
    evaluations = iter(evaluate_all(potential, configs, forces=has_forces(potential)))
    labelled = []
    for job, states in zip(jobs, drawn, strict=True):
        records = []
        for state in states:
            labels = next(evaluations)
            where = f"{job.split} realisation {job.realisation}, sampler {state.sampler!r}, time {state.time}"
            require_finite(labels, where)
            records.append((state.config, labels, job.realisation, state.time))
        labelled.append(collect(records))
    return labelled, time.perf_counter() - start


def label_realisation(definition: DatasetDefinition, split: str, realisation: int) -> LabelledConfigurations:
    """The exact labels of one disorder realisation; see :func:`draw` and :func:`label_jobs`."""
    (labelled,), _ = label_jobs([Job(definition, split, realisation)])
    return labelled


class Drawn(NamedTuple):
    """A spin state to be labelled: the sampler that drew it and the time since its quench (-1 without one)."""

    config: SpinConfiguration
    sampler: str
    time: float


def draw(job: Job) -> list[Drawn]:
    """One disorder realisation, and the spins that its samplers choose on it."""
    sources = _sources(job.definition.to_json(), job.split)
    seeds = _seeds(job.definition, job.split, job.realisation)
    site_seed, *sampler_seeds = seeds.spawn(1 + len(sources.samplers))
    sites = sources.structure.sample(np.random.default_rng(site_seed))
    return [
        Drawn(sites.with_spins(spins), name, float(sampled_at))
        for (name, sampler), seed in zip(sources.samplers.items(), sampler_seeds, strict=True)
        if _applies(sampler, job.realisation)
        for sampled_at, spins in sampler.sample(sites, sources.potential, np.random.default_rng(seed))
    ]


def sites_of(definition: DatasetDefinition, split: str, realisation: int) -> SpinConfiguration:
    """The disordered sites of one realisation, those that labelling gives its samplers."""
    (site_seed,) = _seeds(definition, split, realisation).spawn(1)
    return _sources(definition.to_json(), split).structure.sample(np.random.default_rng(site_seed))


def require_finite(labels: Evaluation, where: str) -> None:
    """Refuse labels with NaN or infinity in them; raises NonFiniteError."""
    bad = ~np.isfinite(labels.field).all(-1)
    if bad.any() or not np.isfinite(labels.energy):
        what = f"field at site {int(bad.argmax())}" if bad.any() else "energy"
        raise NonFiniteError(f"labelling: the {what} is not finite in {where}")


def check_sources(definition: DatasetDefinition) -> None:
    """Build everything once, so that a wrong value is one error at the start.

    Raises:
        UserError: what structure, potential or samplers refuse.
    """
    for split in ("train", "size") if definition.size_split else ("train",):
        _sources(definition.to_json(), split)


def _seeds(definition: DatasetDefinition, split: str, realisation: int) -> np.random.SeedSequence:
    """Parent of the seeds of one realisation: the first child is that of its sites, then comes one a sampler."""
    return np.random.SeedSequence(definition.seed, spawn_key=(SPLITS.index(split), realisation))


def _applies(sampler: object, realisation: int) -> bool:
    return realisation % getattr(sampler, "every", 1) == 0


@lru_cache(maxsize=8)
def _sources(definition_json: str, split: str) -> Sources:
    """Objects are built once a process: a worker labels many realisations of the same dataset."""
    return build_sources(DatasetDefinition.from_json(definition_json), split)
