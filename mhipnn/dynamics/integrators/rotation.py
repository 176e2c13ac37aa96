"""Steps that turn every spin about its angular velocity: |S_i| is kept by construction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from ..llg import angular_velocity
from .state import Drive, Force, LLGState, advanced, effective_field


@dataclass(frozen=True)
class DepondtMertens:
    """Predictor-corrector of rotations: order 2, two field evaluations a step.

    S' = R(dt omega(S)) S,  S(t + dt) = R(dt/2 [omega(S) + omega(S')]) S, where R(a) turns by the angle |a| about a and
    dS/dt = omega x S. One spin in a constant field without damping is exact at any time step.

    With noise it converges to the Stratonovich solution, as Heun's scheme does.

    Source: Depondt and Mertens, J. Phys.: Condens. Matter 21, 336005 (2009), here with the angular velocities of both
    ends averaged.
    """

    order: ClassVar[int] = 2
    evaluations_per_step: ClassVar[int] = 2

    def step(self, state: LLGState, force: Force, drive: Drive) -> LLGState:
        effective = effective_field(state, drive)
        spins, dt, damping = state.spins, drive.dt, drive.damping
        start = angular_velocity(spins, effective(state.known_field(force)), damping)
        predicted = rotated(spins, dt * start)
        end = angular_velocity(predicted, effective(force(predicted)[1]), damping)
        return advanced(state, rotated(spins, dt / 2 * (start + end)), dt)


def rotated(spins: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """R(a) S = S + (sin t/t) a x S + ((1 - cos t)/t^2) a x (a x S) with t = |a| (Rodrigues), smooth at a = 0.

    Args:
        spins: (..., 3).
        turn: (..., 3), axis times angle (rad), counter-clockwise.
    """
    turns = torch.linalg.vector_norm(turn, dim=-1, keepdim=True) / torch.pi
    once = torch.linalg.cross(turn, spins)
    twice = torch.linalg.cross(turn, once)
    return spins + torch.sinc(turns) * once + torch.sinc(turns / 2) ** 2 / 2 * twice
