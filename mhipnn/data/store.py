"""Shards on disk: one HDF5 file of flat arrays, with all that is needed to know and to trust it.

The root attributes hold the defining configuration (JSON), split, realisations, seeds, units and package version. The
defining configuration does not count realisations, so a shard is the same file in datasets of any size. The
SHA-256 of the whole file stands in front of it, in HDF5's user block, because the HDF5 library must not see a damaged
file: one wrong bit in its own structures can make it loop for ever. Edges are not stored: a neighbour list costs about
a millisecond.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .. import __version__
from ..atomic import atomic_path
from ..errors import DatasetError
from ..keys import KEYS
from .definition import SPLITS, DatasetDefinition
from .labelled import OPTIONAL, LabelledConfigurations, array_names

FORMAT = "mhipnn labels 1"
UNITS = "energies and k_B T: hopping t0; lengths: mean spacing; hbar = k_B = 1; time: hbar/t0; field B = -dE/dS"
# HDF5 looks for its signature at 0, 512, 1024, ...: what comes before is ours.
USER_BLOCK = 512


def write_shard(
    path: Path, labelled: LabelledConfigurations, definition: DatasetDefinition, split: str, realisations: range
) -> None:
    """Write one shard: after this returns it is whole on disk; if interrupted it is not there at all."""
    content = shard_bytes(labelled, definition, split, realisations)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def shard_bytes(
    labelled: LabelledConfigurations, definition: DatasetDefinition, split: str, realisations: range
) -> bytes:
    """The file that holds these realisations: the same labels give the same bytes."""
    seeds = {"seed": definition.seed, "spawn_keys": [[SPLITS.index(split), r] for r in realisations]}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", userblock_size=USER_BLOCK) as file:
        for name in ("offsets", *array_names()):
            values = getattr(labelled, name)
            if values is None:
                continue
            dataset = file.create_dataset(name, data=values)
            if name in KEYS:
                dataset.attrs["unit"] = KEYS[name].unit
                dataset.attrs["meaning"] = KEYS[name].meaning
        file.attrs.update(
            {
                "definition": definition.identity_json(),
                "split": split,
                "realisations": _spelt(realisations),
                "seeds": json.dumps(seeds),
                "units": UNITS,
                "package_version": __version__,
            }
        )
    body = buffer.getvalue()[USER_BLOCK:]
    return _header(body) + body


def read_shard(
    path: Path,
    definition: DatasetDefinition | None = None,
    split: str | None = None,
    realisations: range | None = None,
) -> LabelledConfigurations:
    """Verify and read one shard.

    Args:
        definition, split: what the shard must be of; None to take whatever a sound shard holds.
        realisations: which of them to read; None for all that it holds.

    Raises:
        DatasetError: the file is missing, truncated, altered, not a shard, a shard of something else, or it holds
            fewer realisations.
    """
    held, labelled = read_held(path, definition, split)
    if realisations is None or realisations == held:
        return labelled
    if realisations.start != held.start or realisations.stop > held.stop:
        raise DatasetError(
            f"{path} holds {_words(held)}, and {_words(realisations)} are needed: python -m mhipnn.generate makes them"
        )
    return labelled.select(np.flatnonzero(labelled.realisation < realisations.stop))


def read_held(
    path: Path, definition: DatasetDefinition | None = None, split: str | None = None
) -> tuple[range, LabelledConfigurations]:
    """All realisations of one verified shard, and which they are; a realisation may have no configuration.

    Raises:
        DatasetError: as :func:`read_shard`.
    """
    content = _verified(path)
    with h5py.File(io.BytesIO(content), "r") as file:
        if definition is not None and not definition.is_of(str(file.attrs.get("definition"))):
            raise DatasetError(f"{path} belongs to another dataset: its definition differs")
        if split is not None and file.attrs.get("split") != split:
            raise DatasetError(f"{path} belongs to another dataset: its split differs")
        held = range(*json.loads(str(file.attrs["realisations"])))
        names = ("offsets", *array_names())
        missing: Any = {name: None for name in OPTIONAL if name not in file}
        arrays: Any = {name: file[name][()] for name in names if name not in missing}
    return held, LabelledConfigurations(**arrays, **missing)


def _verified(path: Path) -> bytes:
    """The whole file, if it is what was written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise DatasetError(f"{path} is missing") from None
    except OSError as error:
        raise DatasetError(f"{path} cannot be read: {error.strerror or error}") from error
    if not content.startswith(FORMAT.encode()):
        raise DatasetError(f"{path} is not a shard of format {FORMAT!r}")
    if content[:USER_BLOCK] != _header(content[USER_BLOCK:]):
        raise DatasetError(f"{path} is truncated or altered: its checksum does not fit")
    return content


def _header(body: bytes) -> bytes:
    text = f"{FORMAT}\nsha256 of all bytes from {USER_BLOCK} on: {hashlib.sha256(body).hexdigest()}\n"
    return text.encode().ljust(USER_BLOCK, b"\0")


def _spelt(realisations: range) -> str:
    return json.dumps([realisations.start, realisations.stop])


def _words(realisations: range) -> str:
    return f"realisations {realisations.start} to {realisations.stop - 1}"
