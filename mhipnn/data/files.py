"""Training data that others made: read from files, divided into splits, and from there on like any other dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError
from ..potential import Potential
from .base_module import LabelledDataModule
from .definition import canonical
from .files_split import SplitRule, split_contents
from .labelled import LabelledConfigurations, array_names
from .readers import read_files
from .readers.formats import expand
from .sources import build
from .units import Units


class FileDataModule(LabelledDataModule):
    """Labelled configurations from files: extended XYZ, DeepSPIN folders, npz, HDF5, or what a plugin reads.

    Files are read once a process and are not copied. Fields are -dE/dS_i, forces -dE/dR_i; forces may be absent.

    Args:
        path: a file, a folder, a pattern, several of them, or {split: path}; see :func:`readers.read_files`.
        name: of the dataset.
        format: name of a reader; None to tell by the files' ending.
        units: {energy, length, moment}; None (or null entries) if the files state them.
        keys: {our name: what the files call it}.
        split: {by, val, test, seed}; see :class:`SplitRule`.
        independent: no two configurations share disorder or a trajectory, so each may stand alone in a split.
        unit_spins: divide spins by their lengths |S_i|, which become the moments, and multiply fields by them; the
            torque stays what it is. Sites without a spin keep none.
        potential: node of the exact potential behind the labels, if it is known.
        rollout: whether rollouts are compared with exact ones of that potential.
        digest: SHA-256 that the arrays must have; None to take whatever the files hold.
        cutoff, batch_size, dtype, shuffle_seed: see :class:`LabelledDataModule`.

    Raises:
        UserError: no such file, or a setting out of range, at once; what readers and splits refuse, when it is read.
    """

    def __init__(
        self,
        path: str | Path | Sequence[str] | Mapping[str, str],
        name: str = "files",
        format: str | None = None,
        units: Mapping[str, str | None] | None = None,
        keys: Mapping[str, str | None] | None = None,
        split: Mapping[str, Any] | None = None,
        independent: bool = False,
        unit_spins: bool = False,
        potential: Mapping[str, Any] | None = None,
        rollout: bool = True,
        digest: str | None = None,
        cutoff: float | None = None,
        batch_size: int = 4,
        dtype: str = "float32",
        shuffle_seed: int = 0,
    ) -> None:
        super().__init__(name, cutoff, batch_size, dtype, shuffle_seed)
        self.path = canonical(_plain_path(path), "data.path")
        self.format = format
        self.keys = canonical(keys or {}, "data.keys")
        self.given_units = _units(units)
        self.split_rule = SplitRule.of(split)
        self.independent = independent
        self.unit_spins = unit_spins
        self.potential_node = None if potential is None else canonical(potential, "data.potential")
        self.potential()  # complains at once
        self.rollout = rollout
        self.digest = digest
        self._content: tuple[Units, dict[str, LabelledConfigurations]] | None = None
        for where in self.path.values() if isinstance(self.path, dict) else [self.path]:
            expand(where)

    @property
    def location(self) -> str:
        return ", ".join(map(str, self.path.values())) if isinstance(self.path, dict) else str(self.path)

    @property
    def split_names(self) -> tuple[str, ...]:
        return ("train", "val", "test", "size") if "size" in self._read()[1] else ("train", "val", "test")

    @property
    def units(self) -> Units:
        """Stated by the files, or given."""
        return self._read()[0]

    @property
    def no_rollout(self) -> str | None:
        if self.potential_node is None:
            return f"{self.name} names no exact potential to compare with (data.potential)"
        return None if self.rollout else f"data.rollout=false for {self.name}"

    def prepare_data(self) -> None:
        """Read and check the files."""
        self._read()

    def read_split(self, split: str) -> LabelledConfigurations:
        splits = self._read()[1]
        if split not in splits:
            raise DatasetError(f"{self.location}: no {split} split; there are {', '.join(splits)}")
        return splits[split]

    def potential(self) -> Potential | None:
        """The exact potential behind the labels, None where nobody knows it."""
        return None if self.potential_node is None else build(self.potential_node, "data.potential")

    def record(self) -> dict[str, Any]:
        paths = self.path if isinstance(self.path, dict) else {"": self.path}
        absolute = {split: [str(file.resolve()) for file in expand(where)] for split, where in paths.items()}
        return {
            "name": self.name,
            "path": absolute if isinstance(self.path, dict) else absolute[""],
            "format": self.format,
            "units": {name: getattr(self.units, name) for name in ("energy", "length", "moment")},
            "keys": self.keys,
            "split": {name: getattr(self.split_rule, name) for name in SplitRule.__dataclass_fields__},
            "independent": self.independent,
            "unit_spins": self.unit_spins,
            "potential": self.potential_node,
            "rollout": self.rollout,
            "digest": _digest(self._read()[1]),
        }

    def _read(self) -> tuple[Units, dict[str, LabelledConfigurations]]:
        """Units and splits, read at the first call."""
        if self._content is None:
            files = read_files(self.path, self.format, self.keys, self.given_units)
            if self.unit_spins:
                files = replace(files, labelled=with_unit_spins(files.labelled))
            splits = split_contents(files, self.split_rule, self.independent)
            if self.digest is not None and self.digest != _digest(splits):
                raise DatasetError(
                    f"{self.location}: the files hold other configurations than those that the digest "
                    f"{self.digest[:12]}... was made of"
                )
            self._content = files.units, splits
        return self._content


def _digest(splits: Mapping[str, LabelledConfigurations]) -> str:
    """SHA-256 of all arrays of all splits."""
    digest = hashlib.sha256()
    for split, labelled in splits.items():
        for name in ("offsets", *array_names()):
            array = getattr(labelled, name)
            digest.update(f"{split}.{name}".encode())
            if array is not None:
                digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def with_unit_spins(labelled: LabelledConfigurations) -> LabelledConfigurations:
    """S -> S/|S|, mu -> |S|, B -> |S| B, so that S x B is unchanged; sites with |S| = 0 stay as they are."""
    length = np.linalg.norm(labelled.spins, axis=-1)
    scale = np.where(length > 0, length, 1.0)
    return replace(
        labelled,
        spins=labelled.spins / scale[:, None],
        field=labelled.field * np.where(length > 0, length, 0.0)[:, None],
        moments=scale,
    )


def _plain_path(path: Any) -> Any:
    return str(path) if isinstance(path, Path) else path


def _units(values: Mapping[str, str | None] | None) -> Units | None:
    given = {name: value for name, value in (values or {}).items() if value is not None}
    return Units.of(given) if set(given) - {"moment"} else None
