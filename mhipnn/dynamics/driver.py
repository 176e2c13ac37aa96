"""A quench written frame by frame: it can be stopped at any instant and gone on with, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from ..configuration import SpinConfiguration
from ..errors import ConvergenceError, DatasetError, NonFiniteError
from ..potential import Potential
from .integrators import LLGState
from .interrupts import StopRequest, stop_request
from .lockstep import Lockstep, States
from .observers import Watch
from .quench import Progress, Quench
from .recording import FAILED, STATE, Recording
from .saved_state import SavedState, time_after
from .trajectory import TrajectoryReader
from .trajectory_writer import TrajectoryWriter


@dataclass(frozen=True)
class Simulation:
    """A quench of R replicas that streams its frames to a file and holds one of them at a time.

    A state is everything that the future depends on (spins in the precision of the run, number of the step; the noise
    is a function of seed and step), and frames are stored in that precision. So a run goes on from its last frame, or
    from ``state.npz`` beside the trajectory, which is written at an interruption and every ``save_seconds`` without a
    frame.

    Args:
        quench: what is integrated.
        potential: what drives it.
        configs: R configurations with N sites each.
        seeds: of the noise, R integers >= 0.
        recording: where frames go, what is recorded of them, and the groups in which replicas run.
        deterministic: every replica in tensors of its own, so that its trajectory does not depend on the others.
    """

    quench: Quench
    potential: Potential
    configs: Sequence[SpinConfiguration]
    seeds: Sequence[int]
    recording: Recording
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
        with (
            stop_request() as stop,
            self.recording.writer(self.configs, self.seeds, self.quench, self.potential, resume) as writer,
        ):
            n_groups = len(writer.recorded)
            for group in range(n_groups):

                def report(step: int, last: int, group: int = group) -> None:
                    if progress is not None:
                        progress(group * last + step, n_groups * last)

                self._run_group(writer, group, report, stop)
        (self.recording.path.parent / STATE).unlink(missing_ok=True)

    def steps_made(self) -> int:
        """Recorded steps of an earlier session, the mean of all groups; 0 without a file."""
        if not self.recording.path.exists():
            return 0
        with TrajectoryReader(self.recording.path) as reader:
            recorded = reader.recorded
        steps = [0, *self.quench.recorded_steps]
        return sum(steps[min(n, len(steps) - 1)] for n in recorded) // len(recorded)

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
        watch = Watch(self.recording.observers, self.configs, rows)
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
                elif monotonic() - saved > self.recording.save_seconds:
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
            kept = SavedState.load(self.recording.path.parent / STATE)
        except DatasetError:
            return latest
        fits = (kept.group, kept.seeds, kept.spins.shape) == (group, seeds, spins.shape)
        return kept if fits and kept.step > step else latest

    def _save(self, states: States, group: int, name: str) -> Path:
        path = self.recording.path.parent / name
        SavedState.of(states, group).save(path)
        return path


def _interrupted(state: LLGState, last: int) -> str:
    return f"interrupted at step {state.step} of {last} (t = {state.time:g}): the same command goes on from here"
