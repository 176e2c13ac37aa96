"""What a dataset is: the configuration that determines its labels, and the hash by which they are found again."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf

from ..errors import DatasetError, suggest

LABEL_FORMAT = 2
"""Part of every hash: raise it when the same definition would give other labels or other files."""

READABLE_FORMATS = (1, 2)
"""Formats whose shards hold the labels of the present one. Format 1 hashed the number of realisations as well."""

SPLITS = ("train", "val", "test", "size")
"""The order numbers the splits in the random seeds: append, never reorder."""


@dataclass(frozen=True)
class DatasetDefinition:
    """Everything that determines the labels of a dataset, and how many of them are wanted, as plain data.

    The number of realisations does not identify a dataset: its folder holds any number, and asking for more adds them.

    Args:
        name: first part of the folder's name; not part of the hash.
        structure: node (``_target_`` and arguments) of an object with ``sample(rng) -> SpinConfiguration``.
        potential: node of the exact potential that labels.
        samplers: name -> node of a spin sampler; a null node takes a sampler out.
        splits: disorder realisations in each of train, val and test (at least one each).
        size_split: None, or ``factor`` (sites are multiplied by it), ``realisations`` and own ``samplers``.
        seed: of all disorder, spins and noise.

    Raises:
        DatasetError: nothing to label, an unknown or missing entry, a value that JSON cannot hold.
    """

    name: str
    structure: Mapping[str, Any]
    potential: Mapping[str, Any]
    samplers: Mapping[str, Any]
    splits: Mapping[str, int]
    size_split: Mapping[str, Any] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.name or any(c in self.name for c in "/\\\0") or self.name.startswith("."):
            raise DatasetError(f"dataset name {self.name!r}: give a plain word that can start a folder's name")
        for key in ("structure", "potential", "samplers", "splits", "size_split", "seed"):
            object.__setattr__(self, key, canonical(getattr(self, key), key))
        for key in ("structure", "potential"):
            if not isinstance(getattr(self, key), dict):
                raise DatasetError(f"{key}: expected a node with `_target_` and arguments, got {getattr(self, key)!r}")
        object.__setattr__(self, "samplers", _samplers("samplers", self.samplers))
        _check_keys("splits", self.splits, ("train", "val", "test"))
        for split, n in self.splits.items():
            _check_count(f"splits.{split}", n, f"empty dataset: splits.{split} = {n!r} disorder realisations")
        if not self.samplers:
            raise DatasetError("empty dataset: no sampler is left to draw spins; give at least one under `samplers`")
        if self.size_split is not None:
            _check_keys("size_split", self.size_split, ("factor", "realisations", "samplers"))
            size = dict(self.size_split, samplers=_samplers("size_split.samplers", self.size_split["samplers"]))
            _check_count("size_split.factor", size["factor"], f"size_split.factor = {size['factor']!r}")
            _check_count("size_split.realisations", size["realisations"], "empty size split: no disorder realisations")
            if not size["samplers"]:
                raise DatasetError("empty size split: no sampler is left; give one, or size_split: null")
            object.__setattr__(self, "size_split", size)
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise DatasetError(f"seed must be an integer >= 0, got {self.seed!r}")

    def to_dict(self) -> dict[str, Any]:
        """The label format and all fields but the name."""
        return {"label_format": LABEL_FORMAT} | {key: value for key, value in asdict(self).items() if key != "name"}

    def to_json(self) -> str:
        """One spelling for one meaning: sorted keys, no spaces, integral floats as integers."""
        return _spelt(self.to_dict())

    def identity(self) -> dict[str, Any]:
        """What is hashed: :meth:`to_dict` without the numbers of realisations."""
        return identity_of(self.to_dict())

    def identity_json(self) -> str:
        """:meth:`identity`, spelt like :meth:`to_json`."""
        return _spelt(self.identity())

    @property
    def digest(self) -> str:
        """SHA-256 of :meth:`identity_json`; its first 12 digits end the folder's name."""
        return hashlib.sha256(self.identity_json().encode()).hexdigest()

    def is_of(self, text: str) -> bool:
        """Whether labels made by this definition, of any readable format, are labels of this dataset.

        Args:
            text: JSON with a label format, as it stands in shards and in ``definition.json``.
        """
        try:
            values = json.loads(text)
        except ValueError:
            return False
        if not isinstance(values, dict) or values.get("label_format") not in READABLE_FORMATS:
            return False
        return _spelt(identity_of(values | {"label_format": LABEL_FORMAT})) == self.identity_json()

    @classmethod
    def from_json(cls, text: str, name: str = "dataset") -> DatasetDefinition:
        """Inverse of :meth:`to_json`; the name is not in it.

        Raises:
            DatasetError: labels of another format.
        """
        values = json.loads(text)
        if values.pop("label_format", None) != LABEL_FORMAT:
            raise DatasetError(f"the definition is not of label format {LABEL_FORMAT}: {text[:80]}")
        return cls(name=name, **values)

    def folder(self, root: str | Path) -> Path:
        return Path(root) / f"{self.name}-{self.digest[:12]}"

    def realisations(self, split: str) -> int:
        """Number of disorder realisations in a split."""
        if split not in SPLITS:
            raise DatasetError(f"unknown split {split!r}; {suggest(split, SPLITS)}")
        if split != "size":
            return self.splits[split]
        return self.size_split["realisations"] if self.size_split else 0


def identity_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Plain data of a definition without the numbers of realisations in it."""
    kept = {key: value for key, value in values.items() if key != "splits"}
    if isinstance(kept.get("size_split"), Mapping):
        kept["size_split"] = {key: value for key, value in kept["size_split"].items() if key != "realisations"}
    return kept


def canonical(value: Any, where: str) -> Any:
    """Plain JSON data; an integral float becomes an integer, so that J=3 and J=3.0 are one dataset."""
    if isinstance(value, (DictConfig, ListConfig)):
        value = OmegaConf.to_container(value, resolve=True)
    if isinstance(value, Mapping):
        return {str(key): canonical(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [canonical(item, f"{where}[{i}]") for i, item in enumerate(value)]
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DatasetError(f"{where} = {value} is not a finite number")
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, (str, int)):
        return value
    raise DatasetError(
        f"{where}: {type(value).__name__} is not plain data; the definition of a dataset is hashed, "
        "so give its nodes as configuration (with `_recursive_: false`), not as objects"
    )


def _spelt(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _samplers(where: str, nodes: Any) -> dict[str, Any]:
    if not isinstance(nodes, Mapping):
        raise DatasetError(f"{where}: expected named samplers, {{name: node}}, got {type(nodes).__name__}")
    # Sorted, because the order numbers the samplers in the random seeds and the hash does not see it.
    return {name: nodes[name] for name in sorted(nodes) if nodes[name] is not None}


def _check_keys(where: str, given: Any, allowed: tuple[str, ...]) -> None:
    if not isinstance(given, Mapping):
        raise DatasetError(f"{where}: expected the keys {', '.join(allowed)}, got {given!r}")
    for key in given:
        if key not in allowed:
            raise DatasetError(f"{where}: unknown key {key!r}; {suggest(key, allowed)}")
    missing = [key for key in allowed if key not in given]
    if missing:
        raise DatasetError(f"{where}: missing {', '.join(missing)}")


def _check_count(where: str, value: Any, problem: str) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise DatasetError(f"{problem}; {where} must be an integer >= 1")
