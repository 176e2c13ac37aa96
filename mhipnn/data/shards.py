"""The files of a dataset: which there must be, which realisations each holds, and which are still to be labelled."""

from __future__ import annotations

import glob
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import DatasetError
from .definition import SPLITS, DatasetDefinition
from .labelled import LabelledConfigurations
from .store import read_held, write_shard

log = logging.getLogger(__name__)

# Realisations in one shard: small enough that an interruption costs little. Fixed, because files are found by name.
SHARD_REALISATIONS = {"train": 8, "val": 8, "test": 8, "size": 1}


@dataclass(frozen=True)
class Shard:
    """Consecutive realisations of one split and the file that holds them, and perhaps more after them."""

    split: str
    realisations: range
    path: Path


@dataclass(frozen=True)
class Gap:
    """A shard that lacks realisations.

    Args:
        shard: what is wanted of it.
        held: the first ``n_held`` of its realisations, which are there; None if there are none.
        damage: why its file cannot be used, if there is one.
    """

    shard: Shard
    held: LabelledConfigurations | None = None
    n_held: int = 0
    damage: str | None = None

    @property
    def missing(self) -> range:
        """The realisations that are to be labelled."""
        return self.shard.realisations[self.n_held :]


def shards_of(definition: DatasetDefinition, folder: Path) -> list[Shard]:
    """Every shard that makes up a dataset, whether it is there or not.

    Only the last one of a split may be wanted in part. It has the name of the whole one, so that a dataset that grows
    completes it.
    """
    shards = []
    for split in SPLITS:
        n, step = definition.realisations(split), SHARD_REALISATIONS[split]
        for first in range(0, n, step):
            realisations = range(first, min(first + step, n))
            shards.append(Shard(split, realisations, folder / f"{split}-{first:05d}.h5"))
    return shards


def find_gaps(definition: DatasetDefinition, folder: Path) -> list[Gap]:
    """What a folder lacks of a dataset; every file that is wanted is verified."""
    gaps = []
    for shard in shards_of(definition, folder):
        if not shard.path.exists():
            gaps.append(Gap(shard))
            continue
        try:
            n_held, held = _held(shard, shard.path, definition)
        except DatasetError as error:
            gaps.append(Gap(shard, damage=str(error).removeprefix(f"{shard.path} ").split(":")[0]))
            continue
        if n_held < len(shard.realisations):
            gaps.append(Gap(shard, held, n_held))
    return gaps


def take_over(definition: DatasetDefinition, folder: Path, gaps: Sequence[Gap]) -> bool:
    """Copy what gaps lack from folders of an earlier format, which had one folder for every number of realisations.

    Returns:
        Whether anything was found.
    """
    found: dict[Path, int] = {}
    earlier = list(_earlier(definition, folder))
    for gap in gaps:
        best, source = gap, None
        for other in earlier:
            try:
                n_held, held = _held(gap.shard, other / gap.shard.path.name, definition)
            except DatasetError:
                continue
            if n_held > best.n_held:
                best, source = Gap(gap.shard, held, n_held), other
        if source is not None and best.held is not None:
            realisations = range(gap.shard.realisations.start, gap.shard.realisations.start + best.n_held)
            write_shard(gap.shard.path, best.held, definition, gap.shard.split, realisations)
            found[source] = found.get(source, 0) + best.n_held - gap.n_held
    for source, n in found.items():
        log.info("%d realisations are taken over from %s, which is not needed any more", n, source)
    return bool(found)


def _held(shard: Shard, path: Path, definition: DatasetDefinition) -> tuple[int, LabelledConfigurations]:
    """How many of a shard's realisations, from its first on, a file holds."""
    held, labelled = read_held(path, definition, shard.split)
    if held.start != shard.realisations.start or held.step != 1:
        raise DatasetError(f"{path} does not hold what its name says: its first realisation is {held.start}")
    return len(held), labelled


def _earlier(definition: DatasetDefinition, folder: Path) -> Iterator[Path]:
    for path in sorted(folder.parent.glob(f"{glob.escape(definition.name)}-*/definition.json")):
        try:
            if path.parent != folder and definition.is_of(path.read_text(encoding="utf-8")):
                yield path.parent
        except (OSError, UnicodeDecodeError):
            continue
