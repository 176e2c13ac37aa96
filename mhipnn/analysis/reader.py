"""A trajectory file read frame by frame."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ..configuration import Array, SpinConfiguration
from ..dynamics.trajectory import FORMAT
from ..errors import DatasetError

_SITE_ARRAYS = ("positions", "cell", "pbc", "spins", "species", "moments")


class TrajectoryReader:
    def __init__(self, path: str | Path) -> None:
        try:
            self.file = h5py.File(path, "r")
            if self.file.attrs.get("format") != FORMAT:
                raise DatasetError(
                    f"{path} is not a trajectory: format {self.file.attrs.get('format')!r}, need {FORMAT!r}"
                )
            self.metadata: dict[str, Any] = json.loads(self.file.attrs["metadata"])
            self.n_frames = min(len(self.file[name]) for name in ("times", "spins", "energies"))
            self.times = np.asarray(self.file["times"][: self.n_frames], np.float64)
            self.energies = np.asarray(self.file["energies"][: self.n_frames], np.float64)
            sites = {name: self.file["sites"][name][...] for name in _SITE_ARRAYS}
        except (OSError, KeyError) as error:
            raise DatasetError(f"trajectory {path} cannot be read: {error}") from None
        rows = range(self.file["spins"].shape[1])
        self.configs = [SpinConfiguration(**{name: sites[name][row] for name in _SITE_ARRAYS}) for row in rows]

    def spins(self, frame: int) -> Array:
        return np.asarray(self.file["spins"][frame], np.float64)

    def __enter__(self) -> TrajectoryReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
