"""Make the labels of a dataset, or what is missing of them.

Every disorder realisation has random generators of its own, seeded by (seed, split, realisation), so labels do not
depend on the number of processes, on their order, or on how often the work was interrupted.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..atomic import atomic_path, folder_lock
from ..errors import DatasetError, NonFiniteError
from .definition import SPLITS, DatasetDefinition
from .labelled import LabelledConfigurations, collect, concatenate
from .pool import available_cpus, require_main_guard, run_jobs
from .progress import LabellingProgress
from .sources import Sources, build_sources
from .store import read_shard, write_shard

log = logging.getLogger(__name__)

# Realisations in one shard: small enough that an interruption costs little. Fixed, because files are found by name.
SHARD_REALISATIONS = {"train": 8, "val": 8, "test": 8, "size": 1}


@dataclass(frozen=True)
class Shard:
    """Consecutive realisations of one split and the file that holds them."""

    split: str
    realisations: range
    path: Path


@dataclass(frozen=True)
class Job:
    """One realisation to label; plain data, so that it travels to a worker."""

    definition: DatasetDefinition
    split: str
    realisation: int


def label_dataset(
    definition: DatasetDefinition, root: str | Path, n_workers: int | None = None, progress: bool = True
) -> Path:
    """The folder ``<root>/<name>-<hash>/`` with all shards of a dataset, sound and complete.

    What is already there is verified and kept; damaged shards are named in one warning and made again. Interrupted, it
    goes on at the next call and gives the same labels.

    Args:
        definition: what to label.
        root: folder of all datasets.
        n_workers: processes, each with one BLAS thread; None for one a core, 1 to stay in this process.
        progress: show a bar with the time left (on stderr).

    Raises:
        UserError: what structure, potential or samplers refuse, a label that is not finite, an unwritable folder.
    """
    folder = definition.folder(root)
    missing, damaged = _survey(definition, folder)
    if not missing and not damaged:
        return folder
    if n_workers is not None and (not isinstance(n_workers, int) or n_workers < 1):
        raise DatasetError(f"n_workers must be an integer >= 1, or null for one process a core; got {n_workers!r}")
    require_main_guard()
    check_sources(definition)  # complains here, once, before any process starts
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):
            # Another process may have made them while this one waited.
            missing, damaged = _survey(definition, folder)
            if not missing and not damaged:
                return folder
            if damaged:
                names = ", ".join(f"{shard.path.name} ({reason})" for shard, reason in damaged)
                log.warning("damaged shards in %s are made again: %s", folder, names)
            with atomic_path(folder / "definition.json") as path:
                path.write_text(json.dumps(definition.to_dict(), indent=2, sort_keys=True) + "\n")
            _label([*missing, *(shard for shard, _ in damaged)], definition, n_workers or available_cpus(), progress)
    except OSError as error:
        raise DatasetError(
            f"cannot write labels to {folder}: {error.strerror or error}; choose another data.root"
        ) from error
    return folder


def load_split(definition: DatasetDefinition, root: str | Path, split: str) -> LabelledConfigurations:
    """All configurations of one split, in the order of their realisations; shards are verified.

    Raises:
        DatasetError: a shard is missing or damaged, or the split holds no configuration.
    """
    folder = definition.folder(root)
    shards = [shard for shard in shards_of(definition, folder) if shard.split == split]
    if not shards:
        raise DatasetError(f"dataset {definition.name!r} has no {split} split")
    parts = [read_shard(shard.path, definition, split, shard.realisations) for shard in shards]
    labelled = concatenate(parts)
    if len(labelled) == 0:
        raise DatasetError(f"empty dataset: the samplers drew no configuration for the {split} split of {folder}")
    return labelled


def shards_of(definition: DatasetDefinition, folder: Path) -> list[Shard]:
    """Every shard that makes up a dataset, whether it is there or not."""
    shards = []
    for split in SPLITS:
        n, step = definition.realisations(split), SHARD_REALISATIONS[split]
        for first in range(0, n, step):
            realisations = range(first, min(first + step, n))
            shards.append(Shard(split, realisations, folder / f"{split}-{first:05d}.h5"))
    return shards


def label_realisation(definition: DatasetDefinition, split: str, realisation: int) -> LabelledConfigurations:
    """Draw one disorder realisation, the spins that its samplers choose, and the exact labels of each.

    Raises:
        NonFiniteError: a label that is not finite, with split, realisation and site.
    """
    sources = _sources(definition.to_json(), split)
    seeds = np.random.SeedSequence(definition.seed, spawn_key=(SPLITS.index(split), realisation))
    site_seed, *sampler_seeds = seeds.spawn(1 + len(sources.samplers))
    sites = sources.structure.sample(np.random.default_rng(site_seed))
    records = []
    for name, seed in zip(sources.samplers, sampler_seeds, strict=True):
        if not _applies(sources.samplers[name], realisation):
            continue
        for sampled_at, spins in sources.samplers[name].sample(sites, sources.potential, np.random.default_rng(seed)):
            config = sites.with_spins(spins)
            labels = sources.potential.evaluate(config, forces=True)
            bad = ~np.isfinite(labels.field).all(-1)
            if bad.any() or not np.isfinite(labels.energy):
                where = f"field at site {int(bad.argmax())}" if bad.any() else "energy"
                raise NonFiniteError(
                    f"labelling: the {where} is not finite in {split} realisation {realisation}, "
                    f"sampler {name!r}, time {sampled_at}"
                )
            records.append((config, labels, realisation, float(sampled_at)))
    return collect(records)


def check_sources(definition: DatasetDefinition) -> None:
    """Build everything once, so that a wrong value is one error at the start.

    Raises:
        UserError: what structure, potential or samplers refuse.
    """
    for split in ("train", "size") if definition.size_split else ("train",):
        _sources(definition.to_json(), split)


def _survey(definition: DatasetDefinition, folder: Path) -> tuple[list[Shard], list[tuple[Shard, str]]]:
    """Shards that are missing, and shards that are there but unsound, with the reason."""
    missing, damaged = [], []
    for shard in shards_of(definition, folder):
        if not shard.path.exists():
            missing.append(shard)
            continue
        try:
            read_shard(shard.path, definition, shard.split, shard.realisations)
        except DatasetError as error:
            damaged.append((shard, str(error).removeprefix(f"{shard.path} ").split(":")[0]))
    return missing, damaged


def _label(shards: list[Shard], definition: DatasetDefinition, n_workers: int, progress: bool) -> None:
    """Label the realisations of these shards; a shard is written as soon as its last realisation is there."""
    home = {(shard.split, number): shard for shard in shards for number in shard.realisations}
    kinds = {key: _kind(definition, *key) for key in home}
    jobs = [Job(definition, split, realisation) for split, realisation in _ordered(kinds)]
    parts: dict[Path, dict[int, LabelledConfigurations]] = {shard.path: {} for shard in shards}
    n_workers = min(n_workers, len(jobs))
    title = f"Labelling {definition.name}"
    with (
        LabellingProgress(title, kinds.values(), n_workers, progress) as bar,
        closing(run_jobs(_run, jobs, n_workers)) as results,  # ends the workers, whatever happens here
    ):
        for job, (labelled, seconds) in results:
            shard = home[job.split, job.realisation]
            done = parts[shard.path]
            done[job.realisation] = labelled
            if len(done) == len(shard.realisations):
                whole = concatenate([done[number] for number in shard.realisations])
                write_shard(shard.path, whole, definition, shard.split, shard.realisations)
                del parts[shard.path]
            bar.done(kinds[job.split, job.realisation], seconds, len(labelled))


def _run(job: Job) -> tuple[LabelledConfigurations, float]:
    start = time.perf_counter()
    return label_realisation(job.definition, job.split, job.realisation), time.perf_counter() - start


def _kind(definition: DatasetDefinition, split: str, realisation: int) -> tuple[bool, tuple[str, ...]]:
    """Realisations of one kind cost about the same: their size, and the samplers that apply."""
    samplers = _sources(definition.to_json(), split).samplers
    return split == "size", tuple(name for name in samplers if _applies(samplers[name], realisation))


def _ordered(kinds: dict[tuple[str, int], tuple[bool, tuple[str, ...]]]) -> list[tuple[str, int]]:
    """The large systems first, so that all processes end together; then shard by shard.

    One job of every kind leads, which gives the estimate of the time left early.
    """
    first = {kind: key for key, kind in reversed(kinds.items())}
    keys = sorted(kinds, key=lambda key: (first[kinds[key]] != key, not kinds[key][0]))
    return keys


def _applies(sampler: object, realisation: int) -> bool:
    return realisation % getattr(sampler, "every", 1) == 0


@lru_cache(maxsize=8)
def _sources(definition_json: str, split: str) -> Sources:
    """Objects are built once a process: a worker labels many realisations of the same dataset."""
    return build_sources(DatasetDefinition.from_json(definition_json), split)
