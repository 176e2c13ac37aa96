"""One disorder realisation: the job that a worker does, and what kind of job it is."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..configuration import SpinConfiguration
from ..errors import NonFiniteError
from ..potential import Evaluation
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
        samplers = _sources(self.definition.to_json(), self.split).samplers
        return self.split == "size", tuple(n for n, sampler in samplers.items() if _applies(sampler, self.realisation))


def label(job: Job) -> tuple[LabelledConfigurations, float]:
    """The labels of one job and the seconds that they took."""
    start = time.perf_counter()
    return label_realisation(job.definition, job.split, job.realisation), time.perf_counter() - start


def label_realisation(definition: DatasetDefinition, split: str, realisation: int) -> LabelledConfigurations:
    """Draw one disorder realisation, the spins that its samplers choose, and the exact labels of each.

    Raises:
        NonFiniteError: a label that is not finite, with split, realisation and site.
    """
    sources = _sources(definition.to_json(), split)
    site_seed, *sampler_seeds = _seeds(definition, split, realisation).spawn(1 + len(sources.samplers))
    sites = sources.structure.sample(np.random.default_rng(site_seed))
    records = []
    for name, seed in zip(sources.samplers, sampler_seeds, strict=True):
        if not _applies(sources.samplers[name], realisation):
            continue
        for sampled_at, spins in sources.samplers[name].sample(sites, sources.potential, np.random.default_rng(seed)):
            config = sites.with_spins(spins)
            labels = sources.potential.evaluate(config, forces=True)
            require_finite(labels, f"{split} realisation {realisation}, sampler {name!r}, time {sampled_at}")
            records.append((config, labels, realisation, float(sampled_at)))
    return collect(records)


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
