"""Labelled configurations of one split as flat arrays with offsets: what is stored and what statistics read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Array, SpinConfiguration
from ..errors import DatasetError
from ..keys import KEYS
from ..potential import Evaluation

_DTYPES = {"species": np.int64, "realisation": np.int64, "pbc": np.bool_}
OPTIONAL = ("forces",)
"""Labels that a dataset may lack as a whole; None then."""


@dataclass(frozen=True)
class LabelledConfigurations:
    """C configurations with M sites in all; sites of configuration c are rows ``offsets[c]:offsets[c + 1]``.

    Args:
        offsets: (C + 1,) integers, first 0, last M.
        positions, spins, field, forces: (M, 3). species, moments: (M,). Forces are None where the data have none.
        cell: (C, 3, 3). pbc: (C, 3).
        energy: (C,) float64. realisation: (C,) number within the split. time: (C,), -1 for uncorrelated spins.

    Raises:
        DatasetError: arrays whose lengths do not fit together.
    """

    offsets: NDArray[np.int64]
    positions: Array
    spins: Array
    species: NDArray[np.int64]
    moments: Array
    cell: Array
    pbc: NDArray[np.bool_]
    energy: Array
    field: Array
    forces: Array | None
    realisation: NDArray[np.int64]
    time: Array

    def __post_init__(self) -> None:
        offsets = self.offsets
        if offsets.ndim != 1 or len(offsets) < 1 or offsets[0] != 0 or (np.diff(offsets) < 1).any():
            raise DatasetError("offsets must start at 0 and increase")
        for name in array_names():
            if name in OPTIONAL and getattr(self, name) is None:
                continue
            want = (int(offsets[-1]) if KEYS[name].level == "site" else len(self), *_row_shape(name))
            have = getattr(self, name).shape
            if have != want:
                raise DatasetError(f"{name}: expected shape {want}, got {have}")

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def n_sites(self) -> NDArray[np.int64]:
        """Sites of each configuration, (C,)."""
        return np.diff(self.offsets)

    @property
    def energy_per_site(self) -> Array:
        """E/N of each configuration, (C,), energy units."""
        return self.energy / self.n_sites

    @property
    def magnetic(self) -> NDArray[np.bool_]:
        """Where there is a spin, |S_i| > 0, (M,)."""
        return np.linalg.norm(self.spins, axis=-1) > 0

    def sites(self, index: int) -> slice:
        """Rows of the site arrays that belong to one configuration."""
        return slice(int(self.offsets[index]), int(self.offsets[index + 1]))

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> LabelledConfigurations:
        """The configurations of these numbers, in this order."""
        chosen = np.asarray(indices, np.int64)
        rows = np.concatenate([np.arange(0), *(np.arange(self.offsets[i], self.offsets[i + 1]) for i in chosen)])
        taken: dict[str, Any] = {}
        for name in array_names():
            value = getattr(self, name)
            taken[name] = None if value is None else value[rows if KEYS[name].level == "site" else chosen]
        return replace(self, offsets=np.concatenate([[0], np.cumsum(self.n_sites[chosen])]).astype(np.int64), **taken)

    def configuration(self, index: int) -> SpinConfiguration:
        rows = self.sites(index)
        return SpinConfiguration(
            positions=self.positions[rows],
            cell=self.cell[index],
            pbc=self.pbc[index],
            spins=self.spins[rows],
            species=self.species[rows],
            moments=self.moments[rows],
        )


def array_names() -> tuple[str, ...]:
    """Names of all arrays but the offsets; each is a key of ``mhipnn.keys.KEYS``, which knows its level."""
    return tuple(f.name for f in fields(LabelledConfigurations) if f.name != "offsets")


def collect(records: Sequence[tuple[SpinConfiguration, Evaluation, int, float]]) -> LabelledConfigurations:
    """Join (configuration, labels, realisation, time) records; no record gives empty arrays.

    Raises:
        DatasetError: some records have forces and others none.
    """
    rows: dict[str, list[Any]] = {name: [] for name in array_names()}
    for config, labels, realisation, time in records:
        record = {name: getattr(config, name) for name in ("positions", "spins", "species", "moments", "cell", "pbc")}
        record |= {name: getattr(labels, name) for name in ("energy", "field", "forces")}
        record |= {"realisation": realisation, "time": time}
        for name, value in record.items():
            if value is not None:
                rows[name].append(np.asarray(value) if KEYS[name].level == "site" else np.asarray(value)[None])
    for name in OPTIONAL:
        if rows[name] and len(rows[name]) < len(records):
            raise DatasetError(f"{name}: {len(rows[name])} of {len(records)} labels have them and the others lack them")
    counts = [config.n_sites for config, *_ in records]
    arrays: dict[str, Any] = {name: _join(name, parts) for name, parts in rows.items() if parts or not records}
    missing: dict[str, Any] = dict.fromkeys(rows.keys() - arrays.keys())
    offsets = np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    return LabelledConfigurations(offsets=offsets, **arrays, **missing)


def concatenate(parts: Sequence[LabelledConfigurations]) -> LabelledConfigurations:
    """The configurations of all parts, in order.

    Raises:
        DatasetError: a label that some parts have and others lack.
    """
    parts = [part for part in parts if len(part)] or list(parts[:1])
    counts = np.concatenate([np.zeros(0, np.int64), *(part.n_sites for part in parts)])
    return LabelledConfigurations(
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        **{name: _join_all(name, [getattr(part, name) for part in parts]) for name in array_names()},
    )


def _row_shape(name: str) -> tuple[int, ...]:
    return tuple(n for n in KEYS[name].shape[1:] if isinstance(n, int))


def _join_all(name: str, parts: Sequence[NDArray[Any] | None]) -> Any:
    """The array of all parts, None if they all lack it."""
    present = [part for part in parts if part is not None]
    if len(present) == len(parts):
        return _join(name, present)
    if present:
        raise DatasetError(f"{name}: {len(present)} of {len(parts)} parts have them and the others lack them")
    return None


def _join(name: str, parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    dtype = _DTYPES.get(name, np.float64)
    return np.concatenate([np.empty((0, *_row_shape(name)), dtype), *parts]).astype(dtype)
