"""What every integrator is made of: the state that a step starts from and returns, its effective field, its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from ...errors import NonFiniteError
from ..llg import llg_rate, thermal_field

Force = Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]]
Rate = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class LLGState:
    """Everything that the next step depends on: what is saved here restarts the trajectory exactly.

    Args:
        spins: (R, N, 3).
        seeds: one integer >= 0 a replica; with ``step`` they determine the thermal noise.
        time: hbar/t0.
        step: number of steps made so far.
        energy: (R,) and
        field: (R, N, 3), those of ``spins`` if they are known, so that no evaluation is made twice.
    """

    spins: torch.Tensor
    seeds: tuple[int, ...]
    time: float = 0.0
    step: int = 0
    energy: torch.Tensor | None = None
    field: torch.Tensor | None = None

    def evaluated(self, force: Force) -> LLGState:
        """The same state with its energy and field."""
        if self.field is not None and self.energy is not None:
            return self
        energy, field = force(self.spins)
        return replace(self, energy=energy, field=field)

    def known_field(self, force: Force) -> torch.Tensor:
        """B of these spins, (R, N, 3), evaluated only if it is not known yet."""
        return force(self.spins)[1] if self.field is None else self.field


@dataclass(frozen=True)
class Drive:
    """What moves the spins of one step beside the energy.

    Args:
        dt: time step, hbar/t0.
        damping: alpha >= 0.
        temperature: kT >= 0 of all replicas or of each, (R,), energy.
        moments: (R, N), mu_i; 0: a vacancy.
        external_field: B_ext, (3,) or (R, N, 3), energy, or None.
    """

    dt: float
    damping: float
    temperature: float | torch.Tensor
    moments: torch.Tensor
    external_field: torch.Tensor | None = None

    @property
    def noisy(self) -> bool:
        """Whether any replica feels noise: alpha > 0 and kT > 0."""
        hot = self.temperature > 0
        return self.damping > 0 and bool(hot.any() if isinstance(hot, torch.Tensor) else hot)


class Integrator(Protocol):
    """One step of the LLG equation; |S_i| is kept. One without noise has an attribute ``noise`` that is False."""

    @property
    def order(self) -> int:
        """The error of a trajectory at temperature 0 shrinks as dt to this power."""
        ...

    @property
    def evaluations_per_step(self) -> int | None:
        """Fields that a step evaluates, that of its start included; None: until it converges."""
        ...

    def step(self, state: LLGState, force: Force, drive: Drive) -> LLGState:
        """The state at time + dt; ``state`` itself is left as it is. Raises NonFiniteError."""
        ...


def effective_field(state: LLGState, drive: Drive) -> Callable[[torch.Tensor], torch.Tensor]:
    """B -> b of this step, both (R, N, 3): b_i = B_i/mu_i + B_ext + eta_i with one eta_i for all stages of the step.

    A site with mu_i = 0 is a vacancy: b_i = 0 there, whatever B_i is.
    """
    added = drive.external_field
    if drive.noisy:
        noise = thermal_field(state.seeds, state.step, drive.moments, drive.damping, drive.temperature, drive.dt)
        added = noise if added is None else noise + added
    mu = drive.moments.unsqueeze(-1)

    def effective(field: torch.Tensor) -> torch.Tensor:
        b = field / mu
        return torch.where(mu > 0, b if added is None else b + added, 0.0)

    return effective


def llg_rate_of_step(state: LLGState, drive: Drive) -> Rate:
    """(S, B) -> dS/dt of this step, all (R, N, 3)."""
    effective = effective_field(state, drive)
    return lambda spins, field: llg_rate(spins, effective(field), drive.damping)


def with_length_of(spins: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """``moved`` scaled to the lengths of ``spins``; a spin of length zero stays zero."""
    tiny = torch.finfo(moved.dtype).tiny
    length = torch.linalg.vector_norm(spins, dim=-1, keepdim=True)
    return moved * (length / torch.linalg.vector_norm(moved, dim=-1, keepdim=True).clamp_min(tiny))


def advanced(state: LLGState, moved: torch.Tensor, dt: float) -> LLGState:
    """The state after a step to ``moved`` (R, N, 3), every |S_i| restored. Raises NonFiniteError."""
    spins = with_length_of(state.spins, moved)
    step = state.step + 1
    finite = torch.isfinite(spins).all(-1)
    if not bool(finite.all()):
        replica, site = (int(n) for n in torch.nonzero(~finite)[0])
        raise NonFiniteError(
            f"LLG step {step} (time {state.time + dt:.6g} hbar/t0): the spin at site {site} of replica {replica} is "
            f"{spins[replica, site].tolist()}; its field or the time step {dt:g} is too large or not finite"
        )
    return replace(state, spins=spins, time=state.time + dt, step=step, energy=None, field=None)
