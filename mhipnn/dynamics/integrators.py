"""Integrators of the LLG equation for a batch of replicas: pure steps from one state to the next.

| symbol | code | shape |
|---|---|---|
| S_i | ``spins`` | (R, N, 3) |
| B_i = -dE/dS_i | ``field`` | (R, N, 3), energy |
| mu_i | ``moments`` | (R, N) |
| B_ext | ``external_field`` | (3,) or (R, N, 3), energy |
| alpha | ``damping`` | number |
| kT | ``temperature`` | number, energy |

``force`` is a :class:`mhipnn.potential.FrozenPotential`: spins -> (energies (R,), fields (R, N, 3)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar, Protocol

import torch

from ..errors import NonFiniteError
from .llg import llg_rate, thermal_field

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


class Integrator(Protocol):
    """One step of the LLG equation; |S_i| is kept."""

    order: ClassVar[int]
    evaluations_per_step: ClassVar[int]

    def step(
        self,
        state: LLGState,
        force: Force,
        dt: float,
        damping: float,
        temperature: float,
        moments: torch.Tensor,
        external_field: torch.Tensor | None = None,
    ) -> LLGState:
        """The state at time + dt; ``state`` itself is left as it is. Raises NonFiniteError."""
        ...


@dataclass(frozen=True)
class Heun:
    """Predictor-corrector with projection: order 2, two field evaluations a step.

    S' = |S| (S + dt f(S)),  S(t + dt) = |S| (S + dt/2 [f(S) + f(S')]), where |S| (.) restores the length of every spin.

    With noise it converges to the Stratonovich solution (Garcia-Palacios and Lazaro, Phys. Rev. B 58, 14937 (1998)).
    """

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 2

    def step(
        self,
        state: LLGState,
        force: Force,
        dt: float,
        damping: float,
        temperature: float,
        moments: torch.Tensor,
        external_field: torch.Tensor | None = None,
    ) -> LLGState:
        rate = _rate(state, dt, damping, temperature, moments, external_field)
        spins = state.spins
        k1 = rate(spins, state.known_field(force))
        predicted = _with_length_of(spins, spins + dt * k1)
        k2 = rate(predicted, force(predicted)[1])
        return _advanced(state, spins + dt / 2 * (k1 + k2), dt)


@dataclass(frozen=True)
class RK4:
    """Classical Runge-Kutta with projection at the end of the step: order 4, four field evaluations a step.

    The stages are not projected: that would cost two orders. They leave the sphere by O(dt^2), where any smooth
    continuation of the energy serves.
    """

    order: ClassVar[int] = 4
    evaluations_per_step: ClassVar[int] = 4

    def step(
        self,
        state: LLGState,
        force: Force,
        dt: float,
        damping: float,
        temperature: float,
        moments: torch.Tensor,
        external_field: torch.Tensor | None = None,
    ) -> LLGState:
        rate = _rate(state, dt, damping, temperature, moments, external_field)
        spins = state.spins
        k1 = rate(spins, state.known_field(force))
        s2 = spins + dt / 2 * k1
        k2 = rate(s2, force(s2)[1])
        s3 = spins + dt / 2 * k2
        k3 = rate(s3, force(s3)[1])
        s4 = spins + dt * k3
        k4 = rate(s4, force(s4)[1])
        return _advanced(state, spins + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4), dt)


def _rate(
    state: LLGState,
    dt: float,
    damping: float,
    temperature: float,
    moments: torch.Tensor,
    external_field: torch.Tensor | None,
) -> Rate:
    """f(S, B) of this step, with b_i = B_i/mu_i + B_ext + eta_i and one eta for all stages."""
    added: torch.Tensor | None = external_field
    if temperature > 0 and damping > 0:
        noise = thermal_field(state.seeds, state.step, moments, damping, temperature, dt)
        added = noise if added is None else noise + added

    def rate(spins: torch.Tensor, field: torch.Tensor) -> torch.Tensor:
        b = field / moments.unsqueeze(-1)
        return llg_rate(spins, b if added is None else b + added, damping)

    return rate


def _with_length_of(spins: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
    """``moved`` scaled to the lengths of ``spins``; a spin of length zero stays zero."""
    tiny = torch.finfo(moved.dtype).tiny
    length = torch.linalg.vector_norm(spins, dim=-1, keepdim=True)
    return moved * (length / torch.linalg.vector_norm(moved, dim=-1, keepdim=True).clamp_min(tiny))


def _advanced(state: LLGState, moved: torch.Tensor, dt: float) -> LLGState:
    spins = _with_length_of(state.spins, moved)
    step = state.step + 1
    finite = torch.isfinite(spins).all(-1)
    if not bool(finite.all()):
        replica, site = (int(n) for n in torch.nonzero(~finite)[0])
        raise NonFiniteError(
            f"LLG step {step} (time {state.time + dt:.6g} hbar/t0): the spin at site {site} of replica {replica} is "
            f"{spins[replica, site].tolist()}; its field or the time step {dt:g} is too large or not finite"
        )
    return replace(state, spins=spins, time=state.time + dt, step=step, energy=None, field=None)
