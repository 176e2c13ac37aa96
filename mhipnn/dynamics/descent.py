"""Replicas brought to their minima group by group, with start and minimum in a trajectory file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from time import monotonic

import numpy as np
import torch

from ..configuration import Array, SpinConfiguration, moments_of
from ..errors import ConvergenceError, NonFiniteError
from ..potential import Potential, as_array, torque
from .descent_track import Track
from .frames import Frame
from .interrupts import StopRequest, stop_request
from .lockstep import of_the_run
from .minimise import Descent, check_settings, minimise
from .observers import Watch
from .recording import FAILED, Recording
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
    """:func:`.minimise.minimise` of R replicas, written to a file: the start as frame 0, the minimum as frame 1.

    The streams ``descent/torque`` and
    ``descent/iterations`` hold the largest torque of every replica and its field evaluations; ``descent_G.npz`` beside
    the file holds ``energies`` and ``torques``, (I + 1, R), of group G against the iterations. A descent that was
    interrupted goes on from ``descent_state.npz``, which is written then and every ``save_seconds``.

    Args:
        settings: tolerance and most iterations.
        potential: whose minima; at time 0, if it changes in time.
        configs: R configurations with N sites each; the descent starts from their spins.
        recording: where frames go, what is recorded of them, and the groups in which replicas descend.
    """

    settings: Minimise
    potential: Potential
    configs: Sequence[SpinConfiguration]
    recording: Recording

    def run(self, progress: Report | None = None, resume: bool = False) -> None:
        """Find all minima.

        Args:
            progress: called with the number of the first replica of those that descend, the iteration, the largest
                torque among them, and the tolerance.
            resume: go on with the file where there is one.

        Raises:
            InputError: a file that cannot be written, or (with ``resume``) that holds another run.
            NonFiniteError, ConvergenceError: with replica and site; where it stood is in ``failed_state.npz``.
            KeyboardInterrupt: after Ctrl-C or SIGTERM, with a message; the state is saved.
        """
        with (
            stop_request() as stop,
            self.recording.writer(self.configs, (), self.settings, self.potential, resume, STREAMS) as writer,
        ):
            for group, recorded in enumerate(writer.recorded):
                if recorded < N_FRAMES:
                    self._run_group(writer, group, progress, stop)

    def _run_group(self, writer: TrajectoryWriter, group: int, progress: Report | None, stop: StopRequest) -> None:
        rows = writer.rows(group)
        configs = self.configs[rows]
        watch = Watch(self.recording.observers, self.configs, rows)
        track, begin = Track(self.recording.path, group), None
        if writer.recorded[group]:
            begin = track.restored(len(configs))
        else:
            self._append(writer, group, watch, configs, np.zeros(len(configs)))
        saved = monotonic()

        def follow(descent: Descent) -> None:
            nonlocal saved
            track.add(descent)
            if progress is not None:
                progress(rows.start, descent.iteration, float(descent.torques.max()), descent.tolerance)
            if stop.requested or monotonic() - saved > self.recording.save_seconds:
                track.save_state()
                saved = monotonic()
            if stop.requested:
                raise KeyboardInterrupt(
                    f"interrupted at iteration {descent.iteration}: the same command goes on from here"
                )

        try:
            found = minimise(
                self.potential, configs, self.settings.tolerance, self.settings.max_iterations, follow, begin
            )
        except (NonFiniteError, ConvergenceError) as error:
            told = of_the_run(error, rows.start)
            if track.last is None:
                raise told from error
            track.save()
            kept = self.recording.path.parent / FAILED
            SavedState(as_array(track.last.spins), track.last.iteration, 0.0, (), group).save(kept)
            raise type(error)(f"{told}; where it stood: {kept}") from error
        track.save()
        rest = [config.with_spins(each) for config, each in zip(configs, found.spins, strict=True)]
        self._append(writer, group, watch, rest, found.iterations)
        track.state_path.unlink(missing_ok=True)

    def _append(
        self,
        writer: TrajectoryWriter,
        group: int,
        watch: Watch,
        configs: Sequence[SpinConfiguration],
        iterations: Array,
    ) -> None:
        """Write the spins of the configurations as the next frame of the group."""
        force = self.potential.prepare(configs)
        spins = np.stack([config.spins for config in configs])
        energies, fields = map(as_array, force(torch.from_numpy(spins).to(force.device, force.dtype)))
        finite = np.isfinite(energies) & np.isfinite(fields).all((1, 2))
        if not finite.all():
            replica = writer.rows(group).start + int(np.argmin(finite))
            raise NonFiniteError(f"minimise: the energy or a field of replica {replica} is not finite")
        largest = np.linalg.norm(torque(spins, fields), axis=-1)
        streams = {
            "descent/torque": np.where(moments_of(configs) > 0, largest, 0.0).max(1),
            "descent/iterations": iterations,
        }
        number = writer.recorded[group]
        frame = Frame(float(number), spins, energies, fields, number, number)
        writer.append(frame.time, spins, energies, number, group, {**watch(frame), **streams})
