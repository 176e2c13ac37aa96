"""From what a user names (a file, a folder, a pattern, several of them) to one table of labelled configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from glob import glob
from pathlib import Path

import numpy as np

from ... import registry
from ...errors import DatasetError, suggest
from ..definition import SPLITS
from ..units import Units
from .contents import FileContents, check_keys, join
from .deepspin import systems_of

Where = str | Path | Sequence[str] | Mapping[str, str]

ENDINGS = {
    ".xyz": "extxyz",
    ".extxyz": "extxyz",
    ".npz": "npz",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
}
"""Format by the ending of a file's name; a folder with a ``type.raw`` is ``deepspin``."""


def read_files(
    path: Where,
    format: str | None = None,
    keys: Mapping[str, str | None] | None = None,
    units: Units | None = None,
) -> FileContents:
    """Read labelled configurations that others made.

    Args:
        path: a file, a folder, a pattern (``run*/out.xyz``), several of them, or {split: path}.
        format: name of a registered reader; None to tell by the ending.
        keys: {our name: what the files call it}, see ``readers.contents.ALIASES``.
        units: None if the files state them.

    Returns:
        Their contents; where files name elements, species 0, 1, ... are the elements by atomic number.

    Raises:
        DatasetError: no such file, a format that nobody reads, or what the reader refuses.
        ConfigError: an unknown reader or key.
    """
    names = check_keys(keys)
    named = {key: path[key] for key in path} if isinstance(path, Mapping) else {"": path}
    parts, paths = [], []
    for split, where in named.items():
        if split and split not in SPLITS:
            raise DatasetError(f"data.path: unknown split {split!r}; {suggest(split, SPLITS)}")
        for file in expand(where):
            part = registry.get("reader", format or format_of(file))(file, names, units)
            if split:
                part = replace(part, split=np.full(len(part.labelled), split))
            parts.append(part)
            paths.append(file)
    whole = join(parts, paths)
    if not whole.elements:
        return whole
    species = np.unique(whole.labelled.species, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return replace(whole, labelled=replace(whole.labelled, species=species))


def expand(where: str | Path | Sequence[str]) -> list[Path]:
    """The files and folders that a path, a pattern or several of them name, in order.

    Raises:
        DatasetError: nothing there.
    """
    found: list[Path] = []
    for item in [where] if isinstance(where, (str, Path)) else where:
        text = str(Path(item).expanduser())
        matches = [text] if Path(text).exists() else sorted(glob(text, recursive=True))
        if not matches:
            raise DatasetError(f"data.path: {text}: no such file or folder, and no file matches it as a pattern")
        for match in map(Path, matches):
            found += _inside(match) if match.is_dir() else [match]
    if not found:
        raise DatasetError("data.path: no file is named; give data.path=<file, folder or pattern>")
    return found


def _inside(folder: Path) -> list[Path]:
    """A folder is read by DeepSPIN's reader, or stands for the files in it that have a known ending."""
    if systems_of(folder):
        return [folder]
    files = sorted(path for path in folder.iterdir() if path.suffix in ENDINGS and not path.name.startswith("."))
    if not files:
        known = ", ".join(sorted(ENDINGS))
        raise DatasetError(f"{folder}: no labels in it: neither a type.raw (deepspin) nor a file ending in {known}")
    return files


def format_of(path: Path) -> str:
    """Name of the reader for a file or folder; raises DatasetError if its ending says nothing."""
    if path.is_dir():
        return "deepspin"
    if path.suffix.lower() not in ENDINGS:
        known = ", ".join(registry.names("reader"))
        raise DatasetError(f"{path}: its ending does not tell the format; give data.format, one of {known}")
    return ENDINGS[path.suffix.lower()]
