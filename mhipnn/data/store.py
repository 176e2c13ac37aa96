"""Shards on disk: one HDF5 file of flat arrays, with all that is needed to know and to trust it.

The root attributes hold the defining configuration (JSON), split, realisations, seeds, units, package version and a
SHA-256 over all of these and every array. Edges are not stored: a neighbour list costs about a millisecond.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import DatasetError, UserError
from ..keys import KEYS
from .atomic import atomic_path
from .definition import SPLITS, DatasetDefinition
from .labelled import LabelledConfigurations, array_names

FORMAT = "mhipnn labels 1"
UNITS = "energies and k_B T: hopping t0; lengths: mean spacing; hbar = k_B = 1; time: hbar/t0; field B = -dE/dS"


def write_shard(
    path: Path, labelled: LabelledConfigurations, definition: DatasetDefinition, split: str, realisations: range
) -> None:
    """Write one shard: after this returns it is whole on disk; if interrupted it is not there at all."""
    seeds = {"seed": definition.seed, "spawn_keys": [[SPLITS.index(split), r] for r in realisations]}
    attributes = {
        "format": FORMAT,
        "definition": definition.to_json(),
        "split": split,
        "realisations": json.dumps([realisations.start, realisations.stop]),
        "seeds": json.dumps(seeds),
        "units": UNITS,
        "package_version": __version__,
    }
    arrays = {name: getattr(labelled, name) for name in ("offsets", *array_names())}
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        for name, array in arrays.items():
            dataset = file.create_dataset(name, data=array)
            if name in KEYS:
                dataset.attrs["unit"] = KEYS[name].unit
                dataset.attrs["meaning"] = KEYS[name].meaning
        file.attrs.update(attributes | {"sha256": _checksum(attributes, arrays)})


def read_shard(
    path: Path,
    definition: DatasetDefinition | None = None,
    split: str | None = None,
    realisations: range | None = None,
) -> LabelledConfigurations:
    """Read and verify one shard.

    Args:
        definition, split, realisations: what the shard must hold; None to take whatever a sound shard holds.

    Raises:
        DatasetError: the file is missing, truncated, altered, not a shard, or a shard of something else.
    """
    expected = {
        "definition": definition and definition.to_json(),
        "split": split,
        "realisations": realisations and json.dumps([realisations.start, realisations.stop]),
    }
    try:
        with h5py.File(path, "r") as file:
            attributes = {name: str(value) for name, value in file.attrs.items()}
            if attributes.get("format") != FORMAT:
                raise DatasetError(f"{path} is not a shard of format {FORMAT!r}")
            arrays = {name: _read_array(path, file, name) for name in ("offsets", *array_names())}
        recorded = attributes.pop("sha256", "")
        if recorded != _checksum(attributes, arrays):
            raise DatasetError(f"{path} was altered: its checksum does not fit")
        for name, want in expected.items():
            if want is not None and attributes.get(name) != want:
                raise DatasetError(f"{path} belongs to another dataset: its {name} differs")
        return LabelledConfigurations(**arrays)
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    except UserError:
        raise
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError) as error:
        # What the HDF5 library raises on a file that is cut short or scrambled.
        raise DatasetError(f"{path} cannot be read as HDF5, so it is truncated or damaged: {error}") from error


def _read_array(path: Path, file: h5py.File, name: str) -> NDArray[Any]:
    if not isinstance(file.get(name, getlink=True), h5py.HardLink) or not isinstance(file[name], h5py.Dataset):
        raise DatasetError(f"{path} is damaged: it has no array {name!r}")
    dataset = file[name]
    # Refuses a header that promises more than the file holds, before memory is asked for.
    if dataset.chunks is not None or dataset.external is not None or dataset.nbytes > path.stat().st_size:
        raise DatasetError(f"{path} is damaged: array {name!r} is not stored whole in this file")
    return dataset[()]


def _checksum(attributes: dict[str, str], arrays: dict[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256(json.dumps(attributes, sort_keys=True).encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
