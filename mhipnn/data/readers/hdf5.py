"""Arrays in one HDF5 file: datasets at its root, with the names and layouts of `table`.

``units`` may be an attribute of the file in place of a dataset, and so may ``split`` if it is one word for all. A
shard of `mhipnn.generate` is such a file; its checksum is verified first. Other files have none: the HDF5 library finds
what is truncated, but not every damage.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .. import store
from ..units import MODEL_UNITS, Units
from .contents import FileContents, readable_as
from .table import table_contents


def read_hdf5(path: Path, keys: Mapping[str, str], units: Units | None) -> FileContents:
    """Checked contents of an HDF5 file.

    Args:
        path: the file.
        keys: {our name: theirs}.
        units: None if the file states them.

    Raises:
        DatasetError: not HDF5, damaged, missing keys, wrong shapes, not finite, no units.
    """
    with readable_as(path, "HDF5"):
        with path.open("rb") as opened:
            ours = opened.read(len(store.FORMAT)) == store.FORMAT.encode()
        if ours:
            store.read_shard(path)  # HDF5 itself must not see a damaged file; ours can be told before
        with h5py.File(path, "r") as file:
            return _table(path, file, keys, units)


def _table(path: Path, file: h5py.File, keys: Mapping[str, str], units: Units | None) -> FileContents:
    arrays = {name: item for name, item in file.items() if isinstance(item, h5py.Dataset)}
    attributes: dict[str, NDArray[Any]] = {}
    for name in (keys.get("units", "units"), keys.get("split", "split")):
        if name in file.attrs and name not in arrays:
            value = file.attrs[name]
            attributes[name] = np.asarray(value.decode() if isinstance(value, bytes) else str(value))
    prose = attributes.get("units")
    if prose is not None and str(prose) == store.UNITS:
        attributes["units"] = np.asarray(str(MODEL_UNITS))
    word = attributes.get(keys.get("split", "split"))
    if word is not None and "energy" in arrays:
        attributes[keys.get("split", "split")] = np.full(len(arrays["energy"]), str(word))

    def get(name: str) -> NDArray[Any]:
        return attributes[name] if name in attributes else np.asarray(arrays[name][()])

    return table_contents(path, [*arrays, *attributes], get, keys, units)
