"""Midpoint rules: S(t + dt) - S(t) = dt omega x (the mean of both spins), solved by a Cayley rotation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ...errors import ConfigError, ConvergenceError
from ..llg import angular_velocity
from .state import Drive, Force, LLGState, advanced, effective_field, with_length_of


@dataclass(frozen=True)
class SIB:
    """Semi-implicit midpoint, scheme B: order 2, two field evaluations a step.

    S' = S + dt omega(S) x (S + S')/2,  S(t + dt) = S + dt omega((S + S')/2) x (S + S(t + dt))/2,
    where dS/dt = omega x S. Each line is linear in what it looks for and solved exactly for every spin; |S_i| is kept.

    The second evaluation is made inside the sphere, at |(S + S')/2| = 1 - O(dt^2), where any smooth continuation of the
    energy serves. With noise it converges to the Stratonovich solution.

    Source: Mentink, Tretyakov, Fasolino, Katsnelson and Rasing, J. Phys.: Condens. Matter 22, 176001 (2010).
    """

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 2

    def step(self, state: LLGState, force: Force, drive: Drive) -> LLGState:
        effective = effective_field(state, drive)
        spins, dt, damping = state.spins, drive.dt, drive.damping
        start = angular_velocity(spins, effective(state.known_field(force)), damping)
        middle = halfway(spins, dt * start)
        omega = angular_velocity(middle, effective(force(middle)[1]), damping)
        return advanced(state, 2 * halfway(spins, dt * omega) - spins, dt)


@dataclass(frozen=True)
class SphericalMidpoint:
    """Implicit midpoint on the sphere: order 2, one field evaluation an iteration, about 5 to 12 of them a step.

    S(t + dt) - S = dt omega(U) x U,  U = |S| (S + S(t + dt))/|S + S(t + dt)|, where dS/dt = omega x S. Without damping
    the step is symplectic: the energy of a smooth potential oscillates and does not drift, and sum_i mu_i S_i is
    conserved where the energy is invariant under rotations. With noise it converges to the Stratonovich solution.

    The iteration turns S by the angular velocity at the last U; a replica stops at its own convergence, so that it
    does not depend on the batch. The closer the start, the fewer iterations: they grow with dt |b|.

    Args:
        tolerance: largest change of (S + S(t + dt))/2, over |S|, in the last iteration; never below 64 roundoffs.
        max_iterations: of a step.

    Raises:
        ConfigError: a tolerance that is not > 0, fewer than one iteration.

    Source: McLachlan, Modin and Verdier, Phys. Rev. E 89, 061301 (2014).
    """

    tolerance: float = 1e-12
    max_iterations: int = 60

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int | None] = None  # until it converges

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ConfigError(f"spherical midpoint: tolerance is {self.tolerance}; it must be a number > 0")
        if int(self.max_iterations) != self.max_iterations or self.max_iterations < 1:
            raise ConfigError(f"spherical midpoint: max_iterations is {self.max_iterations}; give a whole number >= 1")

    def step(self, state: LLGState, force: Force, drive: Drive) -> LLGState:
        """The state at time + dt. Raises NonFiniteError, and ConvergenceError after ``max_iterations``."""
        effective = effective_field(state, drive)
        spins, dt, length = state.spins, drive.dt, torch.linalg.vector_norm(state.spins, dim=-1)
        tiny = torch.finfo(spins.dtype).tiny
        allowed = max(self.tolerance, 64 * torch.finfo(spins.dtype).eps) * length
        settled = torch.zeros_like(length[:, :1], dtype=torch.bool)
        mean, unit, field = spins, spins, state.known_field(force)
        for _ in range(self.max_iterations):
            omega = angular_velocity(unit, effective(field), drive.damping)
            # omega x U = omega x mean |S|/|mean|: linear in the mean but for its length, which is that of the last one.
            stretch = length / torch.linalg.vector_norm(mean, dim=-1).clamp_min(tiny)
            found = halfway(spins, dt * stretch.unsqueeze(-1) * omega)
            change = torch.linalg.vector_norm(found - mean, dim=-1)
            mean = torch.where(settled.unsqueeze(-1), mean, found)
            settled = settled | ~(change > allowed).any(1, keepdim=True)  # NaN ends it: advanced() names the site
            if bool(settled.all()):
                return advanced(state, 2 * mean - spins, dt)
            unit = with_length_of(spins, mean)
            field = force(unit)[1]
        change = torch.where(settled, 0.0, change / length.clamp_min(tiny))
        replica, site = divmod(int(change.argmax()), change.shape[1])
        raise ConvergenceError(
            f"LLG step {state.step + 1} (time {state.time + dt:.6g} hbar/t0): the spherical midpoint does not converge "
            f"in {self.max_iterations} iterations, site {site} of replica {replica} still moves by "
            f"{float(change.max()):.2g} (tolerance {self.tolerance:g}); lower the time step, now {dt:g}"
        )


def halfway(spins: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """The mean M = (S + S')/2 of S' - S = turn x M:  M = (S + h x S + (h.S) h)/(1 + h^2) with h = turn/2.

    2 M - S = S' is S turned about ``turn`` by 2 arctan|h| (Cayley).

    Args:
        spins: (..., 3).
        turn: (..., 3), rad.
    """
    h = turn / 2
    along = (h * spins).sum(-1, keepdim=True) * h
    return (spins + torch.linalg.cross(h, spins) + along) / (1 + (h * h).sum(-1, keepdim=True))
