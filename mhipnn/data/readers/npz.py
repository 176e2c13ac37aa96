"""Arrays in one npz file, as `numpy.savez` writes it; layouts in `table`. Never unpickles."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...errors import DatasetError
from ..units import Units
from .contents import FileContents, readable_as
from .table import table_contents


def read_npz(path: Path, keys: Mapping[str, str], units: Units | None) -> FileContents:
    """Checked contents of an npz file.

    Args:
        path: the file.
        keys: {our name: theirs}.
        units: None if the file states them (key ``units``, such as "energy=eV, length=Angstrom").

    Raises:
        DatasetError: not an npz file, pickled objects, missing keys, wrong shapes, not finite, no units.
    """
    # Opened here, because numpy leaves a file that is no archive open.
    with readable_as(path, "npz"), path.open("rb") as opened:
        file = np.load(opened, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise DatasetError(f"{path}: cannot be read as npz: it holds one array without a name (npy)")
        with file:
            return table_contents(path, file.files, file.__getitem__, keys, units)
