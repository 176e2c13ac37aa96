"""Where a run is written, what is recorded of it, and how the same run is known again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..configuration import SpinConfiguration
from ..errors import InputError
from ..potential import Potential
from .observers import Observer
from .trajectory import SITE_ARRAYS, TrajectoryReader
from .trajectory_writer import TrajectoryWriter

STATE, FAILED = "state.npz", "failed_state.npz"  # beside the trajectory


@dataclass(frozen=True)
class Recording:
    """The file of a run of R replicas, which go side by side in groups, one group after the other.

    Args:
        path: of the trajectory, an HDF5 file.
        metadata: kept in the file; what JSON can hold.
        groups: sizes of the groups (default: one of all, or those of the file that is gone on with).
        observers: what looks at every frame, by name.
        save_seconds: longest time between two states on disk, s.
        identity: digests of whatever else makes it this run, by name; compared when it goes on.
    """

    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: Sequence[int] | None = None
    observers: Mapping[str, Observer] = field(default_factory=dict)
    save_seconds: float = 60.0
    identity: Mapping[str, str] = field(default_factory=dict)

    @property
    def n_groups(self) -> int:
        if self.groups is not None:
            return len(self.groups)
        if not self.path.exists():
            return 1
        with TrajectoryReader(self.path) as reader:
            return reader.n_groups

    def writer(
        self,
        configs: Sequence[SpinConfiguration],
        seeds: Sequence[int],
        dynamics: Any,
        potential: Potential,
        resume: bool,
        streams: Mapping[str, tuple[int, ...]] | None = None,
    ) -> TrajectoryWriter:
        """A new file, or (with ``resume``, where there is one) the unfinished one.

        Args:
            configs, seeds, dynamics: what makes the run this one, with ``identity``.
            potential: in whose precision spins are stored.
            streams: shapes of what is recorded beside that of the observers, by name.

        Raises:
            InputError: a file that cannot be written, or that holds another run.
        """
        for name in (self.path.name, STATE, FAILED):  # what a process that was killed left half-written
            for leftover in self.path.parent.glob(f".{name}.*.tmp"):
                leftover.unlink(missing_ok=True)
        identity = _digests(configs, seeds, dynamics) | dict(self.identity)
        if resume and self.path.exists():
            return _gone_on_with(self.path, identity)
        shapes = {
            f"{name}/{quantity}": shape
            for name, observer in self.observers.items()
            for quantity, shape in observer.shapes(configs).items()
        }
        metadata, precision = {**self.metadata, "identity": identity}, getattr(potential, "dtype", "float64")
        precision = str(precision).removeprefix("torch.")
        return TrajectoryWriter(self.path, configs, metadata, precision, self.groups, {**shapes, **(streams or {})})


def _digests(configs: Sequence[SpinConfiguration], seeds: Sequence[int], dynamics: Any) -> dict[str, str]:
    """Of what makes a run this run and no other."""
    sites = hashlib.sha256()
    for config in configs:
        for name in SITE_ARRAYS:
            sites.update(np.ascontiguousarray(getattr(config, name)).tobytes())
    noise = hashlib.sha256(repr([int(seed) for seed in seeds]).encode())
    motion = hashlib.sha256(repr(dynamics).encode())
    return {"system": sites.hexdigest(), "noise": noise.hexdigest(), "dynamics": motion.hexdigest()}


def _gone_on_with(path: Path, identity: Mapping[str, str]) -> TrajectoryWriter:
    with TrajectoryReader(path) as reader:
        stored = reader.metadata.get("identity", {})
    for what, digest in identity.items():
        if stored.get(what) != digest:
            raise InputError(
                f"trajectory {path} is of another run, its {what} differs: give the settings that it was "
                "started with, or another run_dir=..."
            )
    return TrajectoryWriter.reopened(path)
