"""Replicas brought to their minima group by group, with start and minimum in a trajectory file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..atomic import atomic_path
from ..configuration import Array, SpinConfiguration
from ..errors import ConvergenceError, InputError, NonFiniteError
from ..potential import Potential, as_array, torque
from .driver import FAILED, gone_on_with, identity_of, precision_of, remove_leftovers, streams_of
from .interrupts import StopRequest, stop_request
from .lockstep import of_the_run
from .minimise import Descent, check_settings, minimise
from .observers import Observer, Watch
from .quench import Frame
from .saved_state import SavedState
from .trajectory_writer import TrajectoryWriter

Report = Callable[[int, int, float, float], None]
N_FRAMES = 2  # start and minimum, at "times" 0 and 1
STREAMS: Mapping[str, tuple[int, ...]] = {"descent/torque": (), "descent/iterations": ()}


@dataclass(frozen=True)
class Minimise:
    """What ``dynamics=minimise`` is: :func:`.minimise.minimise` with these settings.

    Args:
        tolerance: largest torque |S_i x B_i| at rest, energy > 0; None: 1e-6, and 1e-4 in single precision.
        max_iterations: field evaluations, the same for all replicas.

    Raises:
        ConfigError: a tolerance that is not > 0, fewer than one iteration.
    """

    tolerance: float | None = None
    max_iterations: int = 10_000

    def __post_init__(self) -> None:
        check_settings(self.tolerance, self.max_iterations)


@dataclass(frozen=True)
class Minimisation:
    """:func:`.minimise.minimise` of R replicas, written to ``path``: the start as frame 0, the minimum as frame 1.

    Replicas go side by side in groups, one group after the other. The streams ``descent/torque`` and
    ``descent/iterations`` hold the largest torque of every replica and its field evaluations; ``descent_G.npz`` beside
    the file holds ``energies`` and ``torques``, (I + 1, R), of group G against the iterations. A group that was
    interrupted begins again.

    Args:
        settings: tolerance and most iterations.
        potential: whose minima; at time 0, if it changes in time.
        configs: R configurations with N sites each; the descent starts from their spins.
        path: of the trajectory, an HDF5 file.
        metadata: kept in the file; what JSON can hold.
        groups: sizes of the groups (default: one of all).
        observers: what looks at both frames, by name.
        identity: digests of whatever else makes it this run, by name; compared when it goes on.
        deterministic: every replica in tensors of its own, one after the other.
    """

    settings: Minimise
    potential: Potential
    configs: Sequence[SpinConfiguration]
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: Sequence[int] | None = None
    observers: Mapping[str, Observer] = field(default_factory=dict)
    identity: Mapping[str, str] = field(default_factory=dict)
    deterministic: bool = False

    def run(self, progress: Report | None = None, resume: bool = False) -> None:
        """Find all minima.

        Args:
            progress: called with the number of the first replica of those that descend, the iteration, the largest
                torque among them, and the tolerance.
            resume: go on with the file where there is one.

        Raises:
            InputError: a file that cannot be written, or (with ``resume``) that holds another run.
            NonFiniteError, ConvergenceError: with replica and site; where it stood is in ``failed_state.npz``.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, with a message.
        """
        with stop_request() as stop, self._writer(resume) as writer:
            for group, recorded in enumerate(writer.recorded):
                if recorded < N_FRAMES:
                    self._run_group(writer, group, progress, stop)

    def _writer(self, resume: bool) -> TrajectoryWriter:
        remove_leftovers(self.path)
        identity = identity_of(self.configs, [], self.settings) | dict(self.identity)
        if resume and self.path.exists():
            return gone_on_with(self.path, identity)
        metadata = {**self.metadata, "identity": identity}
        streams = {**streams_of(self.observers, self.configs), **STREAMS}
        return TrajectoryWriter(self.path, self.configs, metadata, precision_of(self.potential), self.groups, streams)

    def _run_group(self, writer: TrajectoryWriter, group: int, progress: Report | None, stop: StopRequest) -> None:
        rows = writer.rows(group)
        configs = self.configs[rows]
        watch = Watch(self.observers, self.configs, rows)
        if not writer.recorded[group]:
            self._append(writer, group, watch, configs, 0, np.zeros(len(configs)))
        parts = [slice(k, k + 1) for k in range(len(configs))] if self.deterministic else [slice(0, len(configs))]
        spins, iterations, tracks = [], [], []
        for part in parts:
            track = _Track(rows.start + part.start, progress, stop)
            tracks.append(track)
            try:
                found = minimise(
                    self.potential, configs[part], self.settings.tolerance, self.settings.max_iterations, track
                )
            except (NonFiniteError, ConvergenceError) as error:
                told = of_the_run(error, track.first)
                if track.last is None:
                    raise told from error
                _write_tracks(descent_path(self.path, group), tracks)
                kept = self.path.parent / FAILED
                SavedState(as_array(track.last.spins), track.last.iteration, 0.0, (), group).save(kept)
                raise type(error)(f"{told}; where it stood: {kept}") from error
            spins.append(found.spins)
            iterations.append(found.iterations)
        _write_tracks(descent_path(self.path, group), tracks)
        rest = [config.with_spins(each) for config, each in zip(configs, np.concatenate(spins), strict=True)]
        self._append(writer, group, watch, rest, 1, np.concatenate(iterations))

    def _append(
        self,
        writer: TrajectoryWriter,
        group: int,
        watch: Watch,
        configs: Sequence[SpinConfiguration],
        number: int,
        iterations: Array,
    ) -> None:
        frame = self._frame(configs, number)
        finite = np.isfinite(frame.energies) & np.isfinite(frame.fields).all((1, 2))
        if not finite.all():
            replica = writer.rows(group).start + int(np.argmin(finite))
            raise NonFiniteError(f"minimise: the energy or a field of replica {replica} is not finite")
        largest = np.linalg.norm(torque(frame.spins, frame.fields), axis=-1)
        moving = np.stack([config.moments > 0 for config in configs])
        streams = {"descent/torque": np.where(moving, largest, 0.0).max(1), "descent/iterations": iterations}
        writer.append(frame.time, frame.spins, frame.energies, number, group, {**watch(frame), **streams})

    def _frame(self, configs: Sequence[SpinConfiguration], number: int) -> Frame:
        parts = [[config] for config in configs] if self.deterministic else [configs]
        energies, fields = [], []
        for part in parts:
            force = self.potential.prepare(part)
            spins = torch.from_numpy(np.stack([config.spins for config in part])).to(force.device, force.dtype)
            energy, field_ = force(spins)
            energies.append(as_array(energy))
            fields.append(as_array(field_))
        spins_ = np.stack([config.spins for config in configs])
        return Frame(float(number), spins_, np.concatenate(energies), np.concatenate(fields), number, number)


class _Track:
    """Energies and torques of replicas against iterations; it also stops the descent at a request."""

    def __init__(self, first: int, progress: Report | None, stop: StopRequest) -> None:
        self.first, self._progress, self._stop = first, progress, stop
        self.energies: list[Array] = []
        self.torques: list[Array] = []
        self.last: Descent | None = None

    def __call__(self, descent: Descent) -> None:
        self.last = descent
        self.energies.append(as_array(descent.energies))
        self.torques.append(as_array(descent.torques))
        if self._progress is not None:
            self._progress(self.first, descent.iteration, float(self.torques[-1].max()), descent.tolerance)
        if self._stop.requested:
            raise KeyboardInterrupt(
                f"interrupted at iteration {descent.iteration}: the same command begins with these replicas again; "
                "the minima of the groups before them are kept"
            )


def descent_path(trajectory: Path, group: int) -> Path:
    """Where a group keeps its energies and torques against iterations."""
    return trajectory.parent / f"descent_{group}.npz"


class Descents(NamedTuple):
    """Energies and largest torques of replicas against iterations, (I + 1, R) each; those at rest stay where they are.

    ``tolerance`` is the torque below which they are at rest.
    """

    energies: Array
    torques: Array
    tolerance: float


def read_descents(trajectory: Path, n_groups: int) -> Descents:
    """Those of all replicas of a run.

    Raises:
        InputError: a file that is missing or damaged.
    """
    energies, torques, tolerance = [], [], 0.0
    for group in range(n_groups):
        path = descent_path(trajectory, group)
        try:
            with np.load(path, allow_pickle=False) as kept:
                energies.append(kept["energies"])
                torques.append(kept["torques"])
                tolerance = float(kept["tolerance"])
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from None
    return Descents(_side_by_side(energies), _side_by_side(torques), tolerance)


def _write_tracks(path: Path, tracks: Sequence[_Track]) -> None:
    tolerance = max((track.last.tolerance for track in tracks if track.last is not None), default=0.0)
    values = {
        name: _side_by_side([np.stack(getattr(track, name)) for track in tracks]) for name in ("energies", "torques")
    }
    try:
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **values, tolerance=tolerance)  # type: ignore[arg-type]
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def _side_by_side(each: Sequence[Array]) -> Array:
    """Tracks (I, R) of several lengths as one; the last values of the short ones are repeated."""
    longest = max(map(len, each))
    return np.concatenate([np.pad(one, ((0, longest - len(one)), (0, 0)), mode="edge") for one in each], axis=1)
