"""Make the labels of a dataset, or what is missing of them.

Every disorder realisation has random generators of its own, seeded by (seed, split, realisation), so labels do not
depend on where they are made, on their order, on how often the work was interrupted, or on how many of them there are.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from contextlib import closing
from pathlib import Path

from ..atomic import atomic_path, folder_lock
from ..errors import DatasetError
from .definition import DatasetDefinition
from .labelled import LabelledConfigurations, concatenate
from .launchers.base import Launcher
from .launchers.processes import Processes
from .pool import require_main_guard
from .progress import LabellingProgress
from .realisations import Job, Kind, check_sources, label_jobs, label_realisation
from .shards import SHARD_REALISATIONS, Gap, Shard, find_gaps, shards_of, take_over
from .store import read_shard, write_shard

__all__ = [
    "SHARD_REALISATIONS",
    "Shard",
    "check_sources",
    "label_dataset",
    "label_realisation",
    "load_split",
    "shards_of",
]

log = logging.getLogger(__name__)

TOGETHER = 32
"""Short jobs that a worker is given at once: their configurations are solved in batches."""


def label_dataset(
    definition: DatasetDefinition,
    root: str | Path,
    n_workers: int | None = None,
    progress: bool = True,
    launcher: Launcher | None = None,
) -> Path:
    """The folder ``<root>/<name>-<hash>/`` with all shards of a dataset, sound and complete.

    What is already there is verified and kept; damaged shards are named in one warning and made again. Interrupted, it
    goes on at the next call and gives the same labels. Asked for more realisations than there are, it makes the others.

    Args:
        definition: what to label.
        root: folder of all datasets.
        n_workers: processes, each with one BLAS thread; None for one a core, 1 to stay in this process.
        progress: show a bar with the time left (on stderr).
        launcher: where the labels are made; None for ``Processes(n_workers)``.

    Raises:
        UserError: what structure, potential or samplers refuse, a label that is not finite, an unwritable folder.
    """
    folder = definition.folder(root)
    if not find_gaps(definition, folder):
        return folder
    launcher = launcher or Processes(n_workers)
    require_main_guard()
    check_sources(definition)  # complains here, once, before any process starts
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with folder_lock(folder):
            gaps = find_gaps(definition, folder)  # another process may have made them while this one waited
            if gaps and take_over(definition, folder, gaps):
                gaps = find_gaps(definition, folder)
            _say_what_is_damaged(gaps, folder)
            with atomic_path(folder / "definition.json") as path:
                path.write_text(json.dumps(definition.identity(), indent=2, sort_keys=True) + "\n")
            if gaps:
                _fill(gaps, definition, launcher, progress)
    except OSError as error:
        raise DatasetError(
            f"cannot write labels to {folder}: {error.strerror or error}; choose another data.root"
        ) from error
    return folder


def load_split(definition: DatasetDefinition, root: str | Path, split: str) -> LabelledConfigurations:
    """All configurations of one split, in the order of their realisations; shards are verified.

    Of a dataset with more realisations than the definition asks for, these are the first.

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


def jobs_of(definition: DatasetDefinition, gaps: Iterable[Gap]) -> list[Job]:
    """One job for each realisation that is missing."""
    return [Job(definition, gap.shard.split, number) for gap in gaps for number in gap.missing]


def _say_what_is_damaged(gaps: Sequence[Gap], folder: Path) -> None:
    damaged = [f"{gap.shard.path.name} ({gap.damage})" for gap in gaps if gap.damage]
    if damaged:
        log.warning("damaged shards in %s are made again: %s", folder, ", ".join(damaged))


def _fill(gaps: Sequence[Gap], definition: DatasetDefinition, launcher: Launcher, progress: bool) -> None:
    """Label the realisations that are missing; a shard is written as soon as its last one is there."""
    home = {(gap.shard.split, number): gap for gap in gaps for number in gap.missing}
    kinds = {(job.split, job.realisation): job.kind for job in jobs_of(definition, gaps)}
    jobs = [Job(definition, split, realisation) for split, realisation in _ordered(kinds)]
    batches = _batched(jobs, kinds, launcher.n_workers)
    parts: dict[Path, dict[int, LabelledConfigurations]] = {gap.shard.path: {} for gap in gaps}
    title = f"Labelling {definition.name}"
    with (
        LabellingProgress(title, kinds.values(), min(launcher.n_workers, len(batches)), progress) as bar,
        closing(launcher.run(label_jobs, batches)) as results,  # ends the workers, whatever happens here
    ):
        for batch, (labels, seconds) in results:
            for job, labelled in zip(batch, labels, strict=True):
                gap = home[job.split, job.realisation]
                done = parts[gap.shard.path]
                done[job.realisation] = labelled
                if len(done) == len(gap.missing):
                    there = [] if gap.held is None else [gap.held]
                    whole = concatenate([*there, *(done[number] for number in gap.missing)])
                    write_shard(gap.shard.path, whole, definition, gap.shard.split, gap.shard.realisations)
                    del parts[gap.shard.path]
                bar.done(kinds[job.split, job.realisation], seconds / len(batch), len(labelled))


def _batched(jobs: Sequence[Job], kinds: dict[tuple[str, int], Kind], n_workers: int) -> list[tuple[Job, ...]]:
    """Short jobs of one kind together, as many as leave every worker several turns; long ones by themselves.

    The first job of each kind leads alone, for the estimate of the time left.
    """
    size = min(TOGETHER, max(1, len(jobs) // (4 * n_workers)))
    batches: list[list[Job]] = []
    open_batch: dict[Kind, list[Job]] = {}
    led: set[Kind] = set()
    for job in jobs:
        kind = kinds[job.split, job.realisation]
        batch = open_batch.get(kind)
        if kind not in led or not job.is_short:
            batches.append([job])
            led.add(kind)
        elif batch is None or len(batch) == size:
            open_batch[kind] = [job]
            batches.append(open_batch[kind])
        else:
            batch.append(job)
    return [tuple(batch) for batch in batches]


def _ordered(kinds: dict[tuple[str, int], Kind]) -> list[tuple[str, int]]:
    """The large systems first, so that all processes end together; then shard by shard.

    One job of every kind leads, which gives the estimate of the time left early.
    """
    first = {kind: key for key, kind in reversed(kinds.items())}
    return sorted(kinds, key=lambda key: (first[kinds[key]] != key, not kinds[key][0]))
