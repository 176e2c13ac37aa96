"""A quench written frame by frame: it can be stopped at any instant and gone on with, bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from ..configuration import SpinConfiguration
from ..errors import ConvergenceError, DatasetError, InputError, NonFiniteError
from ..potential import Potential
from .integrators import LLGState
from .interrupts import StopRequest, stop_request
from .lockstep import Lockstep, States
from .observers import Observer, Watch
from .quench import Progress, Quench
from .saved_state import SavedState, time_after
from .trajectory import SITE_ARRAYS, TrajectoryReader
from .trajectory_writer import TrajectoryWriter

STATE, FAILED = "state.npz", "failed_state.npz"


@dataclass(frozen=True)
class Simulation:
    """A quench of R replicas that streams its frames to ``path`` and holds one of them at a time.

    Replicas run side by side in groups, one group after the other. A state is everything that the future depends on
    (spins in the precision of the run, number of the step; the noise is a function of seed and step), and frames are
    stored in that precision. So a run goes on from its last frame, or from ``state.npz`` beside the trajectory, which
    is written at an interruption and every ``save_seconds`` without a frame.

    Args:
        quench: what is integrated.
        potential: what drives it.
        configs: R configurations with N sites each.
        seeds: of the noise, R integers >= 0.
        path: of the trajectory, an HDF5 file.
        metadata: kept in the file; what JSON can hold.
        groups: sizes of the groups (default: one of all).
        observers: what looks at every frame, by name.
        save_seconds: longest time between two states on disk, s.
        identity: digests of whatever else makes it this run, by name; compared when it goes on.
        deterministic: every replica in tensors of its own, so that its trajectory does not depend on the others.
    """

    quench: Quench
    potential: Potential
    configs: Sequence[SpinConfiguration]
    seeds: Sequence[int]
    path: Path
    metadata: Mapping[str, Any] = field(default_factory=dict)
    groups: Sequence[int] | None = None
    observers: Mapping[str, Observer] = field(default_factory=dict)
    save_seconds: float = 60.0
    identity: Mapping[str, str] = field(default_factory=dict)
    deterministic: bool = False

    def run(self, progress: Progress | None = None, resume: bool = False) -> None:
        """Integrate to the end.

        Args:
            progress: called with (steps made, steps in all), the steps of all groups.
            resume: go on with the file where there is one.

        Raises:
            InputError: a file that cannot be written, or (with ``resume``) that holds another run.
            NonFiniteError, ConvergenceError: with site and step; the state before it is in ``failed_state.npz``.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, with a message; the state is saved.
        """
        with stop_request() as stop, self._writer(resume) as writer:
            n_groups = len(writer.recorded)
            for group in range(n_groups):

                def report(step: int, last: int, group: int = group) -> None:
                    if progress is not None:
                        progress(group * last + step, n_groups * last)

                self._run_group(writer, group, report, stop)
        (self.path.parent / STATE).unlink(missing_ok=True)

    @property
    def n_groups(self) -> int:
        if self.groups is not None:
            return len(self.groups)
        if not self.path.exists():
            return 1
        with TrajectoryReader(self.path) as reader:
            return reader.n_groups

    def steps_made(self) -> int:
        """Recorded steps of an earlier session, the mean of all groups; 0 without a file."""
        if not self.path.exists():
            return 0
        with TrajectoryReader(self.path) as reader:
            recorded = reader.recorded
        steps = [0, *self.quench.recorded_steps]
        return sum(steps[min(n, len(steps) - 1)] for n in recorded) // len(recorded)

    def _writer(self, resume: bool) -> TrajectoryWriter:
        remove_leftovers(self.path)
        identity = identity_of(self.configs, self.seeds, self.quench) | dict(self.identity)
        if resume and self.path.exists():
            return gone_on_with(self.path, identity)
        streams = streams_of(self.observers, self.configs)
        metadata = {**self.metadata, "identity": identity}
        return TrajectoryWriter(self.path, self.configs, metadata, precision_of(self.potential), self.groups, streams)

    def _run_group(self, writer: TrajectoryWriter, group: int, report: Progress, stop: StopRequest) -> None:
        wanted = self.quench.recorded_steps
        done = writer.recorded[group]
        if done == len(wanted):
            return
        rows = writer.rows(group)
        replicas = Lockstep(
            self.quench.of_replicas(rows),
            self.potential,
            self.configs[rows],
            self.seeds[rows],
            self.deterministic,
            rows.start,
        )
        watch = Watch(self.observers, self.configs, rows)
        new_frames = frozenset(wanted[done:])
        states, saved = None, monotonic()
        try:
            for states in replicas.states(self._last(writer, group)):
                step = states[0].step
                report(step, wanted[-1])
                if step in new_frames:
                    frame = replicas.frame(states)
                    writer.append(frame.time, frame.spins, frame.energies, frame.step, group, watch(frame))
                    saved = monotonic()
                elif monotonic() - saved > self.save_seconds:
                    self._save(states, group, STATE)
                    saved = monotonic()
                if stop.requested and step < wanted[-1]:
                    self._save(states, group, STATE)
                    raise KeyboardInterrupt(_interrupted(states[0], wanted[-1]))
        except (NonFiniteError, ConvergenceError) as error:
            if states is None:
                raise
            raise type(error)(f"{error}; the last state before it: {self._save(states, group, FAILED)}") from error

    def _last(self, writer: TrajectoryWriter, group: int) -> SavedState | None:
        """Where a group goes on; None: from its start."""
        done, seeds = writer.recorded[group], tuple(int(seed) for seed in self.seeds[writer.rows(group)])
        if not done:
            return None
        step, spins = writer.spins_at(done - 1, group)
        latest = SavedState(spins, step, time_after(step, self.quench.time_step), seeds, group)
        try:
            kept = SavedState.load(self.path.parent / STATE)
        except DatasetError:
            return latest
        fits = (kept.group, kept.seeds, kept.spins.shape) == (group, seeds, spins.shape)
        return kept if fits and kept.step > step else latest

    def _save(self, states: States, group: int, name: str) -> Path:
        path = self.path.parent / name
        SavedState.of(states, group).save(path)
        return path


def identity_of(configs: Sequence[SpinConfiguration], seeds: Sequence[int], dynamics: Any) -> dict[str, str]:
    """Digests of what makes a run this run and no other."""
    sites = hashlib.sha256()
    for config in configs:
        for name in SITE_ARRAYS:
            sites.update(np.ascontiguousarray(getattr(config, name)).tobytes())
    noise = hashlib.sha256(repr([int(seed) for seed in seeds]).encode())
    motion = hashlib.sha256(repr(dynamics).encode())
    return {"system": sites.hexdigest(), "noise": noise.hexdigest(), "dynamics": motion.hexdigest()}


def remove_leftovers(path: Path) -> None:
    """What a process that was killed left half-written beside its trajectory."""
    for name in (path.name, STATE, FAILED):
        for leftover in path.parent.glob(f".{name}.*.tmp"):
            leftover.unlink(missing_ok=True)


def gone_on_with(path: Path, identity: Mapping[str, str]) -> TrajectoryWriter:
    """The trajectory of an unfinished run, to be gone on with. Raises InputError: it is of another run."""
    with TrajectoryReader(path) as reader:
        stored = reader.metadata.get("identity", {})
    for what, digest in identity.items():
        if stored.get(what) != digest:
            raise InputError(
                f"trajectory {path} is of another run, its {what} differs: give the settings that it was "
                "started with, or another run_dir=..."
            )
    return TrajectoryWriter.reopened(path)


def streams_of(observers: Mapping[str, Observer], configs: Sequence[SpinConfiguration]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of what observers record."""
    return {
        f"{name}/{quantity}": shape
        for name, observer in observers.items()
        for quantity, shape in observer.shapes(configs).items()
    }


def precision_of(potential: Potential) -> str:
    """In which spins are stored: that of the potential."""
    return str(getattr(potential, "dtype", "float64")).removeprefix("torch.")


def _interrupted(state: LLGState, last: int) -> str:
    return f"interrupted at step {state.step} of {last} (t = {state.time:g}): the same command goes on from here"
