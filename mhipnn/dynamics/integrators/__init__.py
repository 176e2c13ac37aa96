"""Integrators of the LLG equation for a batch of replicas: pure steps from one state to the next.

| symbol | code | shape |
|---|---|---|
| S_i | ``spins`` | (R, N, 3) |
| B_i = -dE/dS_i | ``field`` | (R, N, 3), energy |
| mu_i | ``moments`` | (R, N); 0: a vacancy, which stays as it is |
| B_ext | ``external_field`` | (3,) or (R, N, 3), energy |
| alpha | ``damping`` | number |
| kT | ``temperature`` | number or (R,), energy |

``force`` is a :class:`mhipnn.potential.FrozenPotential`: spins -> (energies (R,), fields (R, N, 3)). All of them solve
Gilbert's equation (LLG), d(phi)/dt = B/(1 + alpha^2) for a free spin; Landau and Lifshitz's own (LL) is the same
equation in another unit of time, t_LL = t_LLG/(1 + alpha^2). docs/dynamics.md compares them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .adaptive import DormandPrince
from .midpoint import SIB, SphericalMidpoint
from .rotation import DepondtMertens
from .state import Drive, Force, Integrator, LLGState, advanced, llg_rate_of_step, with_length_of

__all__ = [
    "RK4",
    "SIB",
    "DepondtMertens",
    "DormandPrince",
    "Drive",
    "Force",
    "Heun",
    "Integrator",
    "LLGState",
    "SphericalMidpoint",
    "advanced",
    "llg_rate_of_step",
]


@dataclass(frozen=True)
class Heun:
    """Predictor-corrector with projection: order 2, two field evaluations a step.

    S' = |S| (S + dt f(S)),  S(t + dt) = |S| (S + dt/2 [f(S) + f(S')]), where |S| (.) restores the length of every spin.

    With noise it converges to the Stratonovich solution (Garcia-Palacios and Lazaro, Phys. Rev. B 58, 14937 (1998)).
    """

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 2

    def step(self, state: LLGState, force: Force, drive: Drive) -> LLGState:
        rate = llg_rate_of_step(state, drive)
        spins, dt = state.spins, drive.dt
        k1 = rate(spins, state.known_field(force))
        predicted = with_length_of(spins, spins + dt * k1)
        k2 = rate(predicted, force(predicted)[1])
        return advanced(state, spins + dt / 2 * (k1 + k2), dt)


@dataclass(frozen=True)
class RK4:
    """Classical Runge-Kutta with projection at the end of the step: order 4, four field evaluations a step.

    The stages are not projected: that would cost two orders. They leave the sphere by O(dt^2), where any smooth
    continuation of the energy serves.
    """

    order: ClassVar[int] = 4
    evaluations_per_step: ClassVar[int] = 4

    def step(self, state: LLGState, force: Force, drive: Drive) -> LLGState:
        rate = llg_rate_of_step(state, drive)
        spins, dt = state.spins, drive.dt
        k1 = rate(spins, state.known_field(force))
        s2 = spins + dt / 2 * k1
        k2 = rate(s2, force(s2)[1])
        s3 = spins + dt / 2 * k2
        k3 = rate(s3, force(s3)[1])
        s4 = spins + dt * k3
        k4 = rate(s4, force(s4)[1])
        return advanced(state, spins + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4), dt)
