"""Trajectories on disk: one HDF5 file, written frame by frame while the run goes on.

Layout: ``times`` (T,), ``spins`` (T, R, N, 3), ``energies`` (T, R), and in the group ``sites`` the arrays
``positions`` (R, N, 3), ``cell`` (R, 3, 3), ``pbc`` (R, 3), ``spins`` (R, N, 3; those of the start), ``species``
(R, N), ``moments`` (R, N). Attributes of the file: ``format``, ``units`` and the caller's metadata as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import DatasetError, InputError
from .quench import Trajectory

FORMAT = "mhipnn trajectory 1"
UNITS = "energies in t0, lengths in the mean spacing, time in hbar/t0, hbar = k_B = 1"
_SITE_ARRAYS = ("positions", "cell", "pbc", "spins", "species", "moments")
_COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}


class TrajectoryWriter:
    """Context manager that appends frames to a new HDF5 file; every frame is flushed, so a killed run keeps its past.

    Args:
        path: the file; refused if it exists.
        configs: R configurations with N sites each.
        metadata: anything that JSON can hold (potential, quench, seeds, version).
        precision: dtype of the stored spins, "float64" or "float32" (half the size).

    Raises:
        InputError: the file exists already, or the configurations differ in size.
    """

    def __init__(
        self,
        path: str | Path,
        configs: Sequence[SpinConfiguration],
        metadata: Mapping[str, Any] | None = None,
        precision: str = "float64",
    ) -> None:
        if precision not in ("float32", "float64"):
            raise InputError(f"trajectory: precision {precision!r}; allowed: float32, float64")
        n_sites = {config.n_sites for config in configs}
        if len(n_sites) != 1:
            raise InputError(f"trajectory: needs one or more configurations of one size, got sizes {sorted(n_sites)}")
        try:
            self._file = h5py.File(path, "x")
        except FileExistsError:
            raise InputError(f"trajectory {path} exists already; choose another name or remove it") from None
        except OSError as error:
            raise InputError(f"trajectory {path} cannot be written: {error}") from None
        self._file.attrs.update(format=FORMAT, units=UNITS, metadata=json.dumps(dict(metadata or {})))
        sites = self._file.create_group("sites")
        for name in _SITE_ARRAYS:
            sites.create_dataset(name, data=np.stack([getattr(config, name) for config in configs]), **_COMPRESSION)
        rows, width = len(configs), n_sites.pop()
        self._create("times", (), "f8")
        self._create("spins", (rows, width, 3), precision)
        self._create("energies", (rows,), "f8")

    def _create(self, name: str, shape: tuple[int, ...], dtype: str) -> None:
        # A chunk is one frame of spins, a few hundred instants of the rest.
        chunk = 1 if len(shape) == 3 else 256
        self._file.create_dataset(
            name, shape=(0, *shape), maxshape=(None, *shape), chunks=(chunk, *shape), dtype=dtype, **_COMPRESSION
        )

    def append(self, time: float, spins: Array, energies: Array) -> None:
        """Add one instant, spins (R, N, 3) and energies (R,), and flush."""
        for name, value in (("spins", spins), ("energies", energies), ("times", time)):
            data = self._file[name]
            data.resize(len(data) + 1, axis=0)
            data[-1] = value
        self._file.flush()

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._file.close()


def write_trajectory(path: str | Path, trajectory: Trajectory, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a whole trajectory to a new file (see :class:`TrajectoryWriter`)."""
    with TrajectoryWriter(path, trajectory.configs, metadata) as writer:
        for time, spins, energies in zip(trajectory.times, trajectory.spins, trajectory.energies, strict=True):
            writer.append(float(time), spins, energies)


def read_trajectory(path: str | Path) -> tuple[Trajectory, dict[str, Any]]:
    """The trajectory in the file and its metadata.

    The instants that every array holds are read: the last frame of a killed run may be in some of them only.

    Raises:
        DatasetError: no such file, or not a trajectory.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise DatasetError(f"{path} is not a trajectory: format {file.attrs.get('format')!r}, need {FORMAT!r}")
            n_frames = min(len(file[name]) for name in ("times", "spins", "energies"))
            times, spins, energies = (
                np.asarray(file[name][:n_frames], np.float64) for name in ("times", "spins", "energies")
            )
            sites = {name: file["sites"][name][...] for name in _SITE_ARRAYS}
            metadata = json.loads(file.attrs["metadata"])
    except (OSError, KeyError) as error:
        raise DatasetError(f"trajectory {path} cannot be read: {error}") from None
    configs = [SpinConfiguration(**{name: sites[name][row] for name in _SITE_ARRAYS}) for row in range(spins.shape[1])]
    return Trajectory(times, spins, energies, configs), metadata
