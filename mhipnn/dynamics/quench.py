"""A quench: spins that start where the configurations put them relax by LLG at the final temperature."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from ..configuration import SpinConfiguration, moments_of
from ..errors import ConfigError, InputError, NonFiniteError
from ..potential import FrozenPotential, Potential, as_array, frozen_at
from .frames import Frame, Trajectory
from .integrators import Drive, Heun, Integrator, LLGState
from .schedules import Schedule, as_schedule, largest, value_at

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Quench:
    """LLG at a fixed time step, recorded every ``record_every`` steps (and at the last one).

    Temperature, damping and external field may be schedules, and a potential may change in time
    (:func:`mhipnn.potential.frozen_at`). A step takes their values at its middle, which keeps the
    second order of an integrator (RK4 becomes one of second order while they change); a frame's energy takes the field
    at its own time.

    Args:
        duration: hbar/t0; rounded to a whole number of steps.
        time_step: hbar/t0.
        damping: Gilbert's alpha >= 0, or a schedule of it.
        temperature: kT >= 0 of the spin bath, energy units, or a schedule of it, or a list of R of those.
        record_every: steps between two recorded frames.
        integrator: a :class:`mhipnn.dynamics.integrators.Integrator`.
        external_field: B_ext, three numbers (energy units; energy -mu_i B_ext.S_i), a schedule of them, or None.

    A schedule is one of :mod:`mhipnn.dynamics.schedules` or a mapping ``{schedule: NAME, ...}`` with its arguments.

    Raises:
        ConfigError: a number out of its range.
    """

    duration: float
    time_step: float
    damping: float | Schedule = 0.1
    temperature: float | Schedule | Sequence[float | Schedule] = 0.0
    record_every: int = 1
    integrator: Integrator = field(default_factory=Heun)
    external_field: tuple[float, float, float] | Schedule | None = None

    def __post_init__(self) -> None:
        for name in ("duration", "time_step"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"quench: {name} is {getattr(self, name)}; it must be a positive time in hbar/t0")
        if self.time_step > self.duration:
            raise ConfigError(f"quench: time_step {self.time_step} is longer than the duration {self.duration}")
        object.__setattr__(self, "damping", as_schedule("quench: damping", self.damping))
        object.__setattr__(self, "temperature", _temperatures(self.temperature))
        if int(self.record_every) != self.record_every or self.record_every < 1:
            raise ConfigError(f"quench: record_every is {self.record_every}; it must be a whole number of steps >= 1")
        if self.external_field is not None:
            field = as_schedule("quench: external_field", self.external_field, vector=True)
            object.__setattr__(self, "external_field", field)
        warm = largest(self.damping) > 0 and max(largest(kT) for kT in self.temperatures) > 0
        if warm and not getattr(self.integrator, "noise", True):
            name = type(self.integrator).__name__
            raise ConfigError(f"quench: {name} has no noise: set temperature 0, or take another integrator")

    @property
    def temperatures(self) -> tuple[float | Schedule, ...]:
        """Those of the list, or the one of all replicas."""
        return self.temperature if isinstance(self.temperature, tuple) else (self.temperature,)  # type: ignore[return-value]

    def of_replicas(self, rows: slice) -> Quench:
        """The quench of some of the replicas."""
        return replace(self, temperature=self.temperature[rows]) if isinstance(self.temperature, tuple) else self

    @property
    def n_steps(self) -> int:
        return max(1, round(self.duration / self.time_step))

    @property
    def recorded_steps(self) -> list[int]:
        return sorted({*range(0, self.n_steps + 1, self.record_every), self.n_steps})

    def run(
        self,
        potential: Potential,
        configs: Sequence[SpinConfiguration],
        seeds: Sequence[int],
        progress: Progress | None = None,
    ) -> Trajectory:
        """Integrate R configurations side by side and return what was recorded.

        The noise of replica r depends on ``seeds[r]`` and the step alone: two potentials that run with the same seeds
        feel the same noise.

        Args:
            potential: anything with ``prepare``.
            configs: R configurations with N sites each; the quench starts from their spins.
            seeds: R integers >= 0.
            progress: called after every step with (steps made, steps in all).

        Raises:
            InputError: the configurations differ in size, or their number is not that of the seeds.
            NonFiniteError: NaN or infinity, with replica, site and step.
        """
        return Trajectory.of(list(self.frames(potential, configs, seeds, progress)), configs)

    def frames(
        self,
        potential: Potential,
        configs: Sequence[SpinConfiguration],
        seeds: Sequence[int],
        progress: Progress | None = None,
        steps: Sequence[int] | None = None,
    ) -> Iterator[Frame]:
        """The frames of :meth:`run`, one by one as they come; ``steps`` asks for other steps and stops at the last."""
        self._check(configs, seeds)
        force = potential.prepare(configs)
        wanted = set(self.recorded_steps if steps is None else steps)
        last = max(wanted)
        moments = moments_for(force, configs)
        for state in self.states(force, configs, seeds, steps=wanted):
            if progress is not None and state.step > 0:
                progress(state.step, last)
            if state.step in wanted:
                yield self.frame(state, moments)

    def states(
        self,
        force: FrozenPotential,
        configs: Sequence[SpinConfiguration],
        seeds: Sequence[int],
        state: LLGState | None = None,
        steps: Collection[int] | None = None,
    ) -> Iterator[LLGState]:
        """Every state, one a step, from the spins of the configurations or from ``state``, which is the first.

        The states at ``steps`` (default: those recorded) come with energy and field, which the step that follows uses:
        recording costs no evaluation. The last of them ends it.
        """
        self._check(configs, seeds)
        moments = moments_for(force, configs)
        if state is None:
            spins = torch.from_numpy(np.stack([config.spins for config in configs])).to(moments)
            state = LLGState(spins=spins, seeds=tuple(int(seed) for seed in seeds))
        wanted = set(self.recorded_steps if steps is None else steps)
        last = max(wanted)
        while True:
            if state.step in wanted:
                now = frozen_at(force, state.step * self.time_step)
                state = state.evaluated(now)
                yield state
                if now is not force:  # the field of this instant is not that of the step
                    state = replace(state, energy=None, field=None)
            else:
                yield state
            if state.step >= last:
                return
            middle = (state.step + 0.5) * self.time_step
            damping, temperature = value_at(self.damping, middle), self._temperature(middle, moments.device)
            drive = Drive(self.time_step, damping, temperature, moments, self._external(middle, moments))
            state = self.integrator.step(state, frozen_at(force, middle), drive)

    def _check(self, configs: Sequence[SpinConfiguration], seeds: Sequence[int]) -> None:
        if not configs:
            raise InputError("quench: at least one configuration is needed, got none")
        if len(configs) != len(seeds):
            raise InputError(f"quench: {len(configs)} configurations but {len(seeds)} seeds; give one seed a replica")
        if any(int(seed) != seed or seed < 0 for seed in seeds):
            raise InputError(f"quench: seeds must be integers >= 0, got {list(seeds)}")
        if isinstance(self.temperature, tuple) and len(self.temperature) != len(configs):
            raise InputError(
                f"quench: {len(self.temperature)} temperatures for {len(configs)} replicas; give one for each"
            )
        sizes = sorted({config.n_sites for config in configs})
        if len(sizes) > 1:
            raise InputError(f"quench: replicas run side by side and need equal sizes, got {sizes} sites")
        if max(map(largest, self.temperatures)) > 0 and largest(self.damping) > 0:
            length = np.linalg.norm([config.spins for config in configs], axis=-1)
            moves = (length > 0) & (moments_of(configs) > 0)
            deviation = np.where(moves, np.abs(length - 1), 0.0)
            if deviation.max() > 1e-5:
                replica, site = np.unravel_index(deviation.argmax(), length.shape)
                raise InputError(
                    f"quench: |S| = {length[replica, site]:.6g} at site {site} of replica {replica}; the noise at a "
                    "temperature > 0 is Boltzmann's for unit spins only: put the lengths into the moments, or set "
                    "temperature 0"
                )

    def frame(self, state: LLGState, moments: torch.Tensor) -> Frame:
        """What is recorded of an evaluated state; ``moments`` (R, N).

        Raises:
            NonFiniteError: an energy that is not finite.
        """
        if state.energy is None or state.field is None:
            raise RuntimeError("a frame needs an evaluated state")
        energies, spins, fields = as_array(state.energy), as_array(state.spins), as_array(state.field)
        external = self._external(state.step * self.time_step, moments)
        if external is not None:
            energies -= np.einsum("rn,rna,a->r", as_array(moments), spins, as_array(external))
        time = round(state.step * self.time_step, 12)
        if not np.isfinite(energies).all():
            replica = int(np.argmin(np.isfinite(energies)))
            bad = ~np.isfinite(fields[replica]).all(-1)
            where = f"; its field is not finite at site {int(bad.argmax())}" if bad.any() else ""
            raise NonFiniteError(
                f"LLG step {state.step} (time {time:g} hbar/t0): the energy of replica {replica} is "
                f"{energies[replica]}{where}"
            )
        return Frame(time, spins, energies, fields, state.step, -(-state.step // self.record_every))

    def largest_field(self, state: LLGState, moments: torch.Tensor) -> float:
        """The largest |b_i|/(1 + alpha^2) of an evaluated state without noise, rad per unit of time."""
        if state.field is None:
            raise RuntimeError("the largest field needs an evaluated state")
        time = state.step * self.time_step
        external, mu = self._external(time, moments), moments.unsqueeze(-1)
        b = torch.where(mu > 0, state.field / mu + (0.0 if external is None else external), 0.0)
        return float(torch.linalg.vector_norm(b, dim=-1).max()) / (1 + value_at(self.damping, time) ** 2)

    def _temperature(self, time: float, device: torch.device) -> float | torch.Tensor:
        """One number, or one a replica: (R,) in float64."""
        if not isinstance(self.temperature, tuple):
            return float(value_at(self.temperature, time))  # type: ignore[arg-type]
        values = [value_at(one, time) for one in self.temperature]
        return torch.tensor(values, dtype=torch.float64, device=device)

    def _external(self, time: float, like: torch.Tensor) -> torch.Tensor | None:
        """B_ext (3,) at a time, with the device and dtype of ``like``."""
        if self.external_field is None:
            return None
        return torch.tensor(value_at(self.external_field, time), device=like.device, dtype=like.dtype)


def _temperatures(given: Any) -> Any:
    """A number or schedule, or a tuple of those, checked."""
    if isinstance(given, str) or not isinstance(given, Sequence):
        return as_schedule("quench: temperature", given)
    if not given:
        raise ConfigError("quench: temperature is an empty list; give a number >= 0, a schedule, or a list of those")
    return tuple(as_schedule(f"quench: temperature {number}", one) for number, one in enumerate(given))


def moments_for(force: FrozenPotential, configs: Sequence[SpinConfiguration]) -> torch.Tensor:
    """mu_i, (R, N), as a potential wants its spins."""
    return torch.from_numpy(moments_of(configs)).to(force.device, force.dtype)
