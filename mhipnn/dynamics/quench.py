"""A quench: spins that start where the configurations put them relax by LLG at the final temperature."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from ..configuration import Array, SpinConfiguration
from ..errors import ConfigError, InputError, NonFiniteError
from ..potential import FrozenPotential, Potential
from .integrators import Heun, Integrator, LLGState

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Frame:
    """One recorded instant of R replicas.

    Args:
        time: hbar/t0.
        spins: (R, N, 3).
        energies: (R,), the energy of the potential plus -sum_i mu_i B_ext.S_i.
        fields: (R, N, 3), B_i of the potential alone.
        step: number of steps made.
    """

    time: float
    spins: Array
    energies: Array
    fields: Array
    step: int = 0


@dataclass(frozen=True)
class Trajectory:
    """R replicas at T recorded times.

    Args:
        times: (T,), hbar/t0.
        spins: (T, R, N, 3).
        energies: (T, R), the energy of the potential plus -sum_i mu_i B_ext.S_i.
        configs: R configurations with N sites each; their spins are those of the start.
    """

    times: Array
    spins: Array
    energies: Array
    configs: list[SpinConfiguration]

    @classmethod
    def of(cls, frames: Sequence[Frame], configs: Sequence[SpinConfiguration]) -> Trajectory:
        """The frames of one run, put together."""
        return cls(
            times=np.array([frame.time for frame in frames]),
            spins=np.stack([frame.spins for frame in frames]),
            energies=np.stack([frame.energies for frame in frames]),
            configs=list(configs),
        )

    @property
    def n_replicas(self) -> int:
        return self.spins.shape[1]

    @property
    def n_sites(self) -> int:
        return self.spins.shape[2]


@dataclass(frozen=True)
class Quench:
    """LLG at fixed temperature, damping and time step, recorded every ``record_every`` steps (and at the last one).

    Args:
        duration: hbar/t0; rounded to a whole number of steps.
        time_step: hbar/t0.
        damping: Gilbert's alpha >= 0.
        temperature: kT >= 0 of the spin bath, energy units.
        record_every: steps between two recorded frames.
        integrator: a :class:`mhipnn.dynamics.integrators.Integrator`.
        external_field: B_ext, three numbers (energy units; energy -mu_i B_ext.S_i), or None.

    Raises:
        ConfigError: a number out of its range.
    """

    duration: float
    time_step: float
    damping: float = 0.1
    temperature: float = 0.0
    record_every: int = 1
    integrator: Integrator = field(default_factory=Heun)
    external_field: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("duration", "time_step"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) > 0):
                raise ConfigError(f"quench: {name} is {getattr(self, name)}; it must be a positive time in hbar/t0")
        if self.time_step > self.duration:
            raise ConfigError(f"quench: time_step {self.time_step} is longer than the duration {self.duration}")
        for name in ("damping", "temperature"):
            if not (np.isfinite(getattr(self, name)) and getattr(self, name) >= 0):
                raise ConfigError(f"quench: {name} is {getattr(self, name)}; it must be a number >= 0")
        if int(self.record_every) != self.record_every or self.record_every < 1:
            raise ConfigError(f"quench: record_every is {self.record_every}; it must be a whole number of steps >= 1")
        if self.external_field is not None:
            vector = np.asarray(self.external_field, float)
            if vector.shape != (3,) or not np.isfinite(vector).all():
                raise ConfigError(f"quench: external_field is {self.external_field}; give three finite numbers or null")
            object.__setattr__(self, "external_field", tuple(vector.tolist()))

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
        moments = moments_of(configs, force)
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
        moments = moments_of(configs, force)
        external = self._external(moments)
        if state is None:
            spins = torch.from_numpy(np.stack([config.spins for config in configs])).to(moments)
            state = LLGState(spins=spins, seeds=tuple(int(seed) for seed in seeds))
        wanted = set(self.recorded_steps if steps is None else steps)
        last = max(wanted)
        while True:
            if state.step in wanted:
                state = state.evaluated(force)
            yield state
            if state.step >= last:
                return
            state = self.integrator.step(
                state, force, self.time_step, self.damping, self.temperature, moments, external
            )

    def _check(self, configs: Sequence[SpinConfiguration], seeds: Sequence[int]) -> None:
        if not configs:
            raise InputError("quench: at least one configuration is needed, got none")
        if len(configs) != len(seeds):
            raise InputError(f"quench: {len(configs)} configurations but {len(seeds)} seeds; give one seed a replica")
        if any(int(seed) != seed or seed < 0 for seed in seeds):
            raise InputError(f"quench: seeds must be integers >= 0, got {list(seeds)}")
        sizes = sorted({config.n_sites for config in configs})
        if len(sizes) > 1:
            raise InputError(f"quench: replicas run side by side and need equal sizes, got {sizes} sites")
        if self.temperature > 0 and self.damping > 0:
            length = np.linalg.norm([config.spins for config in configs], axis=-1)
            deviation = np.where(length > 0, np.abs(length - 1), 0.0)  # where there is no spin, nothing moves
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
        energies, spins, fields = _numpy(state.energy), _numpy(state.spins), _numpy(state.field)
        external = self._external(moments)
        if external is not None:
            energies -= np.einsum("rn,rna,a->r", _numpy(moments), spins, _numpy(external))
        time = round(state.step * self.time_step, 12)
        if not np.isfinite(energies).all():
            replica = int(np.argmin(np.isfinite(energies)))
            bad = ~np.isfinite(fields[replica]).all(-1)
            where = f"; its field is not finite at site {int(bad.argmax())}" if bad.any() else ""
            raise NonFiniteError(
                f"LLG step {state.step} (time {time:g} hbar/t0): the energy of replica {replica} is "
                f"{energies[replica]}{where}"
            )
        return Frame(time, spins, energies, fields, state.step)

    def _external(self, like: torch.Tensor) -> torch.Tensor | None:
        if self.external_field is None:
            return None
        return torch.tensor(self.external_field, device=like.device, dtype=like.dtype)


def moments_of(configs: Sequence[SpinConfiguration], force: FrozenPotential) -> torch.Tensor:
    """mu_i, (R, N), as a potential wants its spins."""
    return torch.from_numpy(np.stack([config.moments for config in configs])).to(force.device, force.dtype)


def _numpy(values: torch.Tensor) -> Array:
    """A float64 copy that no later step can change."""
    return np.array(values.detach().cpu().numpy(), np.float64)
