"""Which configurations of files train and which test: split by realisation wherever files say or show what one is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ConfigError, DatasetError, suggest
from .definition import SPLITS
from .labelled import LabelledConfigurations
from .readers import FileContents

log = logging.getLogger(__name__)

BY = ("auto", "realisation", "positions", "file", "frame")


@dataclass(frozen=True)
class SplitRule:
    """How configurations are divided.

    Args:
        by: "auto" takes the splits that the files state, and forms what is missing from whole groups of training
            configurations: realisations if the files number them, else distinct sites, else single configurations
            (with a warning). "realisation", "positions" (distinct sites), "file" (or set) and "frame" form all splits
            from such groups, whatever the files state.
        val, test: share of the groups, 0 < val + test < 1; at least one group each.
        seed: of the choice.

    Raises:
        ConfigError: a value out of range.
    """

    by: str = "auto"
    val: float = 0.1
    test: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in BY:
            raise ConfigError(f"data.split.by: unknown {self.by!r}; {suggest(str(self.by), BY)}")
        for name in ("val", "test"):
            share = getattr(self, name)
            if not isinstance(share, (int, float)) or isinstance(share, bool) or not 0 < share < 1:
                raise ConfigError(f"data.split.{name}: expected a share between 0 and 1, got {share!r}")
        if self.val + self.test >= 1:
            raise ConfigError(f"data.split: val + test = {self.val + self.test:g} leave nothing to train on")
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise ConfigError(f"data.split.seed: expected an integer >= 0, got {self.seed!r}")

    @classmethod
    def of(cls, values: Mapping[str, Any] | None) -> SplitRule:
        """From a node of the configuration; raises ConfigError for an unknown key."""
        for key in values or {}:
            if key not in cls.__dataclass_fields__:
                raise ConfigError(f"data.split: unknown key {key!r}; {suggest(str(key), cls.__dataclass_fields__)}")
        return cls(**(values or {}))


def site_groups(labelled: LabelledConfigurations) -> NDArray[np.int64]:
    """(C,) numbers that agree where positions, cell and species do, to 1e-8 of a length."""
    seen: dict[bytes, int] = {}
    groups = np.empty(len(labelled), np.int64)
    for index in range(len(labelled)):
        rows = labelled.sites(index)
        sites = np.concatenate([labelled.positions[rows], labelled.cell[index]]).round(8) + 0.0  # no -0
        groups[index] = seen.setdefault(sites.tobytes() + labelled.species[rows].tobytes(), len(seen))
    return groups


def split_contents(files: FileContents, rule: SplitRule, independent: bool) -> dict[str, LabelledConfigurations]:
    """The configurations of each split; where files number no realisations, groups are numbered instead.

    Args:
        files: what was read.
        rule: how to divide.
        independent: the user's word that no two configurations share disorder or a trajectory.

    Raises:
        DatasetError: too few groups for three splits, or realisations are asked for that nobody numbered.
    """
    groups = _groups(files, rule, independent)
    stated = files.split if rule.by == "auto" else np.full_like(files.split, "")
    words = np.where(stated == "", "train", stated).astype("<U5")
    n_groups = len(np.unique(groups[words == "train"]))
    for split, share in (("test", rule.test), ("val", rule.val)):
        if not (words == split).any():
            _set_aside(words, groups, split, round(share * n_groups), rule.seed)
    if not (words == "train").any():
        raise DatasetError("data.split: no configuration is left to train on")
    _warn_of_leaks(words, groups, stated)
    labelled, known = files.labelled, files.labelled.realisation >= 0
    if not known.all():
        labelled = replace(labelled, realisation=groups.astype(np.int64))
    return {split: labelled.select(np.flatnonzero(words == split)) for split in SPLITS if (words == split).any()}


def _groups(files: FileContents, rule: SplitRule, independent: bool) -> NDArray[np.int64]:
    """(C,) what must stay together."""
    labelled = files.labelled
    frames = np.arange(len(labelled))
    known = bool((labelled.realisation >= 0).all())
    if rule.by == "realisation" and not known:
        raise DatasetError(
            "data.split.by=realisation: the files do not number realisations; say what the number is called with "
            "data.keys.realisation=<key>, or split by positions, file or frame"
        )
    if independent:
        return frames if rule.by in ("auto", "frame") else _chosen(files, rule.by)
    if rule.by != "auto":
        if rule.by in ("file", "frame") and not known:
            log.warning("warning: %s", _advice(f"split by {rule.by}"))
        return _chosen(files, rule.by)
    if known:
        return _chosen(files, "realisation")
    sites = site_groups(labelled)
    if 3 <= sites.max() + 1 < len(labelled):
        return sites
    if not {"train", "val", "test"} <= set(files.split.tolist()) or (files.split == "").any():
        log.warning("warning: %s", _advice("single configurations are divided"))
    return frames


def _advice(what: str) -> str:
    return (
        f"{what}, and the files do not number realisations: snapshots of one trajectory or of one disorder may stand "
        "on both sides; number them (data.keys.realisation=<key>), give data.split.by=positions or file, or say "
        "data.independent=true"
    )


def _chosen(files: FileContents, by: str) -> NDArray[np.int64]:
    if by == "positions":
        return site_groups(files.labelled)
    if by == "file":
        return files.source
    if by == "frame":
        return np.arange(len(files.labelled))
    # A number counts within the split that a file states.
    pairs = np.stack([np.unique(files.split, return_inverse=True)[1].reshape(-1), files.labelled.realisation])
    return np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)


def _set_aside(words: NDArray[np.str_], groups: NDArray[np.int64], split: str, wanted: int, seed: int) -> None:
    """Move so many of the training groups (one at least) to another split, in place."""
    available = np.unique(groups[words == "train"])
    missing = sum(not (words == name).any() for name in ("val", "test"))
    if len(available) <= missing:
        raise DatasetError(
            f"data.split: {len(available)} group(s) of configurations for train and {missing} more split(s); "
            "give more data, state the splits in the files, or split by another rule (data.split.by=file or frame)"
        )
    number = min(max(1, wanted), len(available) - missing)
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(SPLITS.index(split),)))
    taken = rng.permutation(available)[:number]
    words[(words == "train") & np.isin(groups, taken)] = split


def _warn_of_leaks(words: NDArray[np.str_], groups: NDArray[np.int64], stated: NDArray[np.str_]) -> None:
    """Splits that a file states are taken as they are, and partly stated ones may cut through a group."""
    if (stated != "").all() or not (stated != "").any():
        return
    inside = {split: set(groups[words == split].tolist()) for split in SPLITS}
    shared = {n for a in SPLITS for b in SPLITS if a < b for n in inside[a] & inside[b]}
    if shared:
        log.warning("warning: %d realisations stand in more than one split, as the files state them", len(shared))
