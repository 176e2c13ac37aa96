"""Trajectories on disk: one HDF5 file, read here, also while the run goes on and after it was killed.

Layout: ``times`` (T,), ``steps`` (T,), ``spins`` (T, R, N, 3), ``energies`` (T, R); in the group ``sites`` the arrays
``positions`` (R, N, 3), ``cell`` (R, 3, 3), ``pbc`` (R, 3), ``spins`` (R, N, 3; those of the start), ``species``
(R, N), ``moments`` (R, N); in the group ``streams`` what observers recorded, (T, R, ...). Replicas run in groups, one
after the other: ``groups`` (G + 1,) are their bounds, ``recorded`` (G,) the number of complete frames of each.
Attributes of the file: ``format``, ``units`` and the caller's metadata as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import DatasetError
from .frames import Trajectory

FORMAT = "mhipnn trajectory 2"
FORMATS = ("mhipnn trajectory 1", FORMAT)
UNITS = "energies in t0, lengths in the mean spacing, time in hbar/t0, hbar = k_B = 1"
SITE_ARRAYS = ("positions", "cell", "pbc", "spins", "species", "moments")


class TrajectoryReader:
    """Context manager that reads a trajectory instant by instant, in bounded memory.

    While replicas still run in groups, those of the finished groups are seen; before that, those of the first.

    Args:
        path: the file; a run may be writing it.

    Raises:
        DatasetError: no such file, or not a trajectory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self.file = _opened(self.path)
        except OSError as error:
            raise DatasetError(f"trajectory {path} cannot be read: {error}") from None
        try:
            if self.file.attrs.get("format") not in FORMATS:
                raise DatasetError(
                    f"{path} is not a trajectory: format {self.file.attrs.get('format')!r}, need {FORMAT!r}"
                )
            self.metadata: dict[str, Any] = json.loads(self.file.attrs["metadata"])
            self.n_frames, self.n_replicas = self._complete()
        except (OSError, KeyError) as error:
            self.file.close()
            raise DatasetError(f"trajectory {path} cannot be read: {error}") from None
        except DatasetError:
            self.file.close()
            raise

    def _complete(self) -> tuple[int, int]:
        """Frames that are complete, and the replicas that have them."""
        length = min(len(self.file[name]) for name in ("times", "spins", "energies"))
        if "recorded" not in self.file:
            return length, self.file["spins"].shape[1]
        recorded, bounds = self.file["recorded"][...], self.file["groups"][...]
        n_groups = max(1, int((recorded == recorded[0]).cumprod().sum())) if recorded[0] else 1
        return min(length, int(recorded[0])), int(bounds[n_groups])

    @property
    def recorded(self) -> list[int]:
        """Complete frames of every group."""
        return [int(n) for n in self.file["recorded"][...]] if "recorded" in self.file else [self.n_frames]

    @property
    def n_groups(self) -> int:
        return len(self.recorded)

    @property
    def n_sites(self) -> int:
        return int(self.file["spins"].shape[2])

    @cached_property
    def times(self) -> Array:
        """(T,), hbar/t0."""
        return np.asarray(self.file["times"][: self.n_frames], np.float64)

    @cached_property
    def energies(self) -> Array:
        """(T, R)."""
        return np.asarray(self.file["energies"][: self.n_frames, : self.n_replicas], np.float64)

    @cached_property
    def configs(self) -> list[SpinConfiguration]:
        """The R configurations, with the spins of the start."""
        sites = {name: self.file["sites"][name][: self.n_replicas] for name in SITE_ARRAYS}
        return [SpinConfiguration(**{name: sites[name][row] for name in SITE_ARRAYS}) for row in range(self.n_replicas)]

    def spins(self, frame: int) -> Array:
        """(R, N, 3) at one instant; negative numbers count from the end."""
        return np.asarray(self.file["spins"][range(self.n_frames)[frame], : self.n_replicas], np.float64)

    def frames(self) -> Iterator[tuple[float, Array]]:
        """(time, spins (R, N, 3)), one instant after the other."""
        for frame, time in enumerate(self.times.tolist()):
            yield time, self.spins(frame)

    def streams(self) -> dict[str, Array]:
        """What observers recorded: name -> (T, R, ...)."""
        found: dict[str, Array] = {}

        def visit(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                found[name] = np.asarray(item[: self.n_frames, : self.n_replicas])

        if "streams" in self.file:
            self.file["streams"].visititems(visit)
        return found

    def trajectory(self) -> Trajectory:
        """All of it, in memory."""
        spins = np.asarray(self.file["spins"][: self.n_frames, : self.n_replicas], np.float64)
        return Trajectory(self.times, spins, self.energies, self.configs)

    def __enter__(self) -> TrajectoryReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.file.close()


def read_trajectory(path: str | Path) -> tuple[Trajectory, dict[str, Any]]:
    """The trajectory in the file and its metadata.

    Complete frames are read: the last one of a killed run may be in some arrays only.

    Raises:
        DatasetError: no such file, or not a trajectory.
    """
    with TrajectoryReader(path) as reader:
        return reader.trajectory(), reader.metadata


def _opened(path: Path) -> h5py.File:
    """Another process may be writing, or have been killed while it did: only a reader that says so is let in then."""
    try:
        return h5py.File(path, "r", swmr=True, locking=False)
    except OSError:
        return h5py.File(path, "r", locking=False)  # a file of an older library
