"""Named arrays in one file (npz, HDF5) as labelled configurations.

Two layouts, told apart by the key ``offsets``:

* flat, as the writers and the shards of `mhipnn.generate` have it: ``offsets`` (C + 1,), site arrays of all
  configurations one after another (M, 3), ``cell`` (C, 3, 3), ``pbc`` (C, 3), ``energy`` (C,);
* rectangular, all configurations with N sites: ``spins``, ``field``, ``forces`` (C, N, 3), ``energy`` (C,), and
  ``positions`` (N, 3), ``cell`` (3, 3), ``pbc`` (3,), ``species``, ``moments`` (N,), each of them also with C in front.

Names may end in ``_train``, ``_val``, ``_test``, ``_size``; the configurations then belong to that split.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetError
from ...keys import KEYS
from ..definition import SPLITS
from ..labelled import array_names
from ..units import Units
from .contents import FileContents, agreed_units, contents, find, join

_REQUIRED = ("positions", "cell", "pbc", "spins", "energy", "field")
Get = Callable[[str], NDArray[Any]]


def table_contents(
    path: Path, available: Collection[str], get: Get, keys: Mapping[str, str], units: Units | None
) -> FileContents:
    """Checked contents of a table of arrays.

    Args:
        path: named in messages.
        available: names of the arrays; ``get`` reads one.
        keys: {our name: theirs}.
        units: as given by the user, None if the file must state them.

    Raises:
        DatasetError: a missing key, a wrong shape, a number that is not finite, no units.
    """
    name = find(path, "units", keys, available, required=False)
    units = agreed_units(path, None if name is None else _text(path, get(name)), units)
    if "offsets" in available:
        return _flat(path, available, get, keys, units)
    spins = keys.get("spins", "spins")
    parts = [split for split in SPLITS if f"{spins}_{split}" in available]
    if not parts:
        return _rectangular(path, available, get, keys, units)
    tables = [_rectangular(path, available, get, keys, units, split) for split in parts]
    return join(tables, [path] * len(tables))


def _flat(path: Path, available: Collection[str], get: Get, keys: Mapping[str, str], units: Units) -> FileContents:
    offsets = np.asarray(get("offsets"))
    sound = offsets.ndim == 1 and len(offsets) > 0 and offsets.dtype.kind in "iu" and offsets[0] == 0
    if not sound or (np.diff(offsets.astype(np.int64)) < 1).any():
        raise DatasetError(f"{path}: offsets: expected integers that start at 0 and increase")
    arrays = {}
    for name in array_names():
        theirs = find(path, name, keys, available, required=name in _REQUIRED)
        if theirs is not None:
            arrays[name] = get(theirs)
    theirs = find(path, "split", keys, available, required=False)
    split = None if theirs is None else _words(path, get(theirs))
    return contents(path, offsets.astype(np.int64), arrays, units, split)


def _rectangular(
    path: Path, available: Collection[str], get: Get, keys: Mapping[str, str], units: Units, split: str = ""
) -> FileContents:
    suffix = f"_{split}" if split else ""
    found = {}
    for name in array_names():
        theirs = find(path, name, keys, available, required=name in _REQUIRED, suffix=suffix)
        if theirs is not None:
            found[name] = np.asarray(get(theirs))
    spins = found["spins"]
    if spins.ndim != 3 or spins.shape[-1] != 3 or 0 in spins.shape:
        raise DatasetError(
            f"{path}: spins: expected shape (configurations, sites, 3), got {spins.shape}; "
            "configurations of different sizes need an array `offsets`"
        )
    n, n_sites = spins.shape[:2]
    arrays = {name: _rows(path, name, value, n, n_sites) for name, value in found.items()}
    words = None
    theirs = find(path, "split", keys, available, required=False)
    if split:
        words = np.full(n, split)
    elif theirs is not None:
        words = _words(path, get(theirs))
    return contents(path, np.arange(n + 1) * n_sites, arrays, units, words)


def _rows(path: Path, name: str, value: NDArray[Any], n: int, n_sites: int) -> NDArray[Any]:
    """One array with an axis of configurations, flat over the sites; what all configurations share is repeated."""
    tail = tuple(size for size in KEYS[name].shape[1:] if isinstance(size, int))
    one = (n_sites, *tail) if KEYS[name].level == "site" else tail
    shared = name in ("positions", "cell", "pbc", "species", "moments")
    if shared and value.shape == one:
        value = np.broadcast_to(value, (n, *one))
    if value.shape != (n, *one):
        also = f" or {one}" if shared else ""
        raise DatasetError(f"{path}: {name}: expected shape {(n, *one)}{also}, got {value.shape}")
    return value.reshape(n * n_sites, *tail) if KEYS[name].level == "site" else value


def _text(path: Path, value: Any) -> str:
    item = np.asarray(value).reshape(-1)
    if item.size != 1:
        raise DatasetError(f"{path}: units: expected one line of text, got {item.size} values")
    word = item[0]
    return word.decode() if isinstance(word, bytes) else str(word)


def _words(path: Path, value: Any) -> NDArray[np.str_]:
    words = [word.decode() if isinstance(word, bytes) else str(word) for word in np.asarray(value).reshape(-1)]
    return np.asarray(words, str)
