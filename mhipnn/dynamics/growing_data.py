"""HDF5 datasets that grow by instants: frame after frame, the replicas of one group at a time."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from h5py import h5s

COMPRESSION = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_INSTANTS = 256  # in a chunk of times and energies


def create(file: h5py.File, name: str, shape: tuple[int, ...], dtype: str, rows: int | None = None) -> None:
    """A new one, (0, *shape); ``rows``: replicas of a group, in compressed chunks.

    What is rewritten in place is not compressed: it would leave holes.
    """
    empty = {"shape": (0, *shape), "maxshape": (None, *shape), "dtype": dtype}
    if rows is None:
        file.create_dataset(name, **empty, chunks=(_INSTANTS, *shape))
    else:  # a chunk is one instant of one group
        file.create_dataset(name, **empty, chunks=(1, rows, *(max(n, 1) for n in shape[1:])), **COMPRESSION)


def grown(file: h5py.File) -> list[str]:
    """Names of all of them in a trajectory file."""
    names = ["times", "steps", "energies", "spins"]
    if "streams" in file:
        file["streams"].visititems(
            lambda name, item: names.append(f"streams/{name}") if isinstance(item, h5py.Dataset) else None
        )
    return names


class Growing:
    """``data[frame, rows] = value`` of one that grows by instants, (T,) or (T, R, ...), without h5py's detours."""

    def __init__(self, data: h5py.Dataset) -> None:
        self._id, self._dtype, self._shape = data.id, data.dtype, list(data.shape)

    @property
    def frame_bytes(self) -> int:
        return self._dtype.itemsize * int(np.prod(self._shape[1:]))

    def put(self, frame: int, rows: slice, value: Any) -> None:
        """Write the replicas ``rows`` of an instant, or the instant's one number."""
        if self._shape[0] <= frame:
            self._shape[0] = frame + 1
            self._id.set_extent(tuple(self._shape))
        block, start = [1, *self._shape[1:]], [frame] + [0] * len(self._shape[1:])
        if len(block) > 1:
            block[1], start[1] = rows.stop - rows.start, rows.start
        given = np.ascontiguousarray(np.broadcast_to(value, block[1:]), self._dtype)
        if not given.size:
            return
        there = self._id.get_space()
        there.select_hyperslab(tuple(start), tuple(block))
        self._id.write(h5s.create_simple(tuple(block)), there, given.reshape(block))
