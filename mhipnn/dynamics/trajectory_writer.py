"""Writing a trajectory frame by frame: readable while it grows, whole after a kill, complete up to a full disk."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
from h5py import h5f, h5p

from ..atomic import atomic_path
from ..configuration import Array, SpinConfiguration
from ..errors import DatasetError, InputError
from .frames import Trajectory
from .growing_data import COMPRESSION, Growing, create, grown
from .trajectory import FORMAT, SITE_ARRAYS, UNITS, TrajectoryReader

# Superblock 3, which single writer, multiple readers needs; and no younger, so that older libraries can read it.
_LIBVER = ("v110", "v110")
_SLACK = 2**18  # bytes of HDF5's own tables that a frame may need beside its data
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

Streams = Mapping[str, tuple[int, ...]]


class TrajectoryWriter:
    """Context manager that appends frames to an HDF5 file, in its mode of a single writer and many readers.

    Every frame is flushed before it is counted in ``recorded``: readers, a kill and a full disk find all frames
    that are counted, and nothing else. Room for a frame is reserved before anything of it is written.

    Args:
        path: the file; refused if it exists (see :meth:`reopened`).
        configs: R configurations with N sites each.
        metadata: anything that JSON can hold (potential, quench, seeds, version).
        precision: dtype of the stored spins, "float64" or "float32" (half the size).
        groups: sizes of the groups of replicas that are written one group after the other (default: one of all).
        streams: further values of every replica at every instant, name -> shape, float64; in the group ``streams``.

    Raises:
        InputError: the file exists already or cannot be written, the configurations differ in size.
    """

    def __init__(
        self,
        path: str | Path,
        configs: Sequence[SpinConfiguration],
        metadata: Mapping[str, Any] | None = None,
        precision: str = "float64",
        groups: Sequence[int] | None = None,
        streams: Streams | None = None,
    ) -> None:
        if precision not in ("float32", "float64"):
            raise InputError(f"trajectory: precision {precision!r}; allowed: float32, float64")
        n_sites = sorted({config.n_sites for config in configs})
        if len(n_sites) != 1:
            raise InputError(f"trajectory: needs one or more configurations of one size, got sizes {n_sites}")
        sizes = [len(configs)] if groups is None else [int(size) for size in groups]
        if sum(sizes) != len(configs) or min(sizes) < 1:
            raise InputError(f"trajectory: groups of {sizes} replicas do not add up to {len(configs)}")
        path = Path(path)
        if path.exists():
            raise InputError(f"trajectory {path} exists already; choose another name or remove it")
        with _writing(path), atomic_path(path) as partial, h5py.File(partial, "x", libver=_LIBVER) as file:
            file.attrs.update(format=FORMAT, units=UNITS, metadata=json.dumps(dict(metadata or {})))
            sites = file.create_group("sites")
            for name in SITE_ARRAYS:
                sites.create_dataset(name, data=np.stack([getattr(config, name) for config in configs]), **COMPRESSION)
            file["groups"] = np.cumsum([0, *sizes])
            file["recorded"] = np.zeros(len(sizes), np.int64)
            create(file, "times", (), "f8")
            create(file, "steps", (), "i8")
            create(file, "energies", (len(configs),), "f8")
            create(file, "spins", (len(configs), n_sites[0], 3), precision, sizes[0])
            for name, shape in (streams or {}).items():
                create(file, f"streams/{name}", (len(configs), *shape), "f8", sizes[0])
        self._open(path)

    @classmethod
    def reopened(cls, path: str | Path) -> TrajectoryWriter:
        """Go on with a file that an ended, interrupted or killed run left.

        Frames that were counted are kept. After a kill they are copied into a new file, which replaces the old one.

        Raises:
            DatasetError: no such file, or not a trajectory.
            InputError: it cannot be written.
        """
        path = Path(path)
        with TrajectoryReader(path):  # complains of what is no trajectory
            pass
        writer = cls.__new__(cls)
        try:
            writer._open(path)
        except InputError:  # it was not closed
            with _writing(path):
                _copied(path)
            writer._open(path)
        return writer

    def _open(self, path: Path) -> None:
        self._path = path
        with _writing(path):
            # Both flags at once: opened first and switched later, a kill in between would leave a file that is locked.
            access = h5p.create(h5p.FILE_ACCESS)
            access.set_libver_bounds(h5f.LIBVER_V110, h5f.LIBVER_V110)
            access.set_fclose_degree(h5f.CLOSE_STRONG)
            access.set_file_locking(False, True)
            self._file = h5py.File(h5f.open(os.fsencode(path), h5f.ACC_RDWR | h5f.ACC_SWMR_WRITE, access))
        self._bounds = self._file["groups"][...].tolist()
        # Looked up once: finding a dataset by name takes h5py longer than writing a small one.
        self._data = {name: Growing(self._file[name]) for name in grown(self._file)}
        self._recorded = self._file["recorded"]
        self._frame_bytes = sum(data.frame_bytes for data in self._data.values())

    @property
    def recorded(self) -> list[int]:
        """Frames that are complete, of every group."""
        return [int(n) for n in self._recorded[...]]

    def rows(self, group: int) -> slice:
        """The replicas of a group."""
        return slice(self._bounds[group], self._bounds[group + 1])

    def spins_at(self, frame: int, group: int = 0) -> tuple[int, Array]:
        """Number of the step, and spins of a group at it as they are stored, to the bit."""
        return int(self._file["steps"][frame]), self._file["spins"][frame, self.rows(group)]

    def append(
        self,
        time: float,
        spins: Array,
        energies: Array,
        step: int | None = None,
        group: int = 0,
        streams: Mapping[str, Array] | None = None,
    ) -> None:
        """Add one instant of the replicas of a group and flush.

        Args:
            time: hbar/t0.
            spins: (R, N, 3), R replicas of the group.
            energies: (R,).
            step: number of the step (default: that of the frame).
            group: its number; a later group has the times of the first.
            streams: name -> (R, ...).

        Raises:
            InputError: no room; all frames so far are kept.
        """
        frame, rows = int(self._recorded[group]), self.rows(group)
        with _writing(self._path, frame):
            self._reserve()
            self._data["times"].put(frame, rows, time)
            self._data["steps"].put(frame, rows, frame if step is None else step)
            self._data["spins"].put(frame, rows, spins)
            self._data["energies"].put(frame, rows, energies)
            for name, value in (streams or {}).items():
                self._data[f"streams/{name}"].put(frame, rows, value)
            self._file.flush()
            # Counted once it is there.
            self._recorded[group] = frame + 1
            self._recorded.flush()

    def _reserve(self) -> None:
        """Ask the file system for the room of a frame: HDF5 does not recover from a disk that is full."""
        with self._path.open("rb+") as file:
            try:
                os.posix_fallocate(file.fileno(), self._file.id.get_filesize(), 2 * self._frame_bytes + _SLACK)
            except OSError as error:
                if error.errno in _FULL:
                    raise
                # Some file systems cannot reserve.

    def close(self) -> None:
        """Close the file, without the room that was reserved and not used."""
        if not self._file:
            return
        size = self._file.id.get_filesize()
        self._file.close()
        if self._path.stat().st_size > size:
            os.truncate(self._path, size)

    def __enter__(self) -> TrajectoryWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with _writing(self._path):
            self.close()


def write_trajectory(path: str | Path, trajectory: Trajectory, metadata: Mapping[str, Any] | None = None) -> None:
    """Write a whole trajectory to a new file (see :class:`TrajectoryWriter`)."""
    with TrajectoryWriter(path, trajectory.configs, metadata) as writer:
        for time, spins, energies in zip(trajectory.times, trajectory.spins, trajectory.energies, strict=True):
            writer.append(float(time), spins, energies)


def _copied(path: Path) -> None:
    """Replace a file that was not closed by one with the frames that are complete."""
    with TrajectoryReader(path) as old, atomic_path(path) as partial, h5py.File(partial, "x", libver=_LIBVER) as new:
        new.attrs.update(dict(old.file.attrs))
        for name in ("sites", "groups", "recorded"):
            old.file.copy(name, new)
        complete, bounds = old.file["recorded"][...], old.file["groups"][...]
        for name in grown(old.file):
            data = old.file[name]
            layout = {"chunks": data.chunks, "maxshape": data.maxshape, "dtype": data.dtype}
            packed = COMPRESSION if data.compression else {}
            copy = new.create_dataset(name, shape=(int(complete.max(initial=0)), *data.shape[1:]), **layout, **packed)
            for group, n_frames in enumerate(complete):
                if data.ndim == 1:
                    copy[:n_frames] = data[:n_frames]
                    continue
                rows = slice(*bounds[group : group + 2])
                for frame in range(n_frames):
                    copy[frame, rows] = data[frame, rows]


@contextmanager
def _writing(path: Path, frames: int | None = None) -> Iterator[None]:
    """One line for whatever goes wrong while the file is written."""
    try:
        yield
    except DatasetError:
        raise
    except (OSError, RuntimeError) as error:  # h5py raises either
        reason = (
            os.strerror(error.errno) if isinstance(error, OSError) and error.errno else " ".join(str(error).split())
        )
        kept = "" if frames is None else f"; its {frames} frames are kept, and the same command goes on from there"
        raise InputError(f"trajectory {path} cannot be written: {reason}{kept}") from error
