"""Steps that choose their own length: an embedded pair of Runge-Kutta methods, for motion without noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import ConfigError, ConvergenceError
from .state import Drive, Force, LLGState, Rate, advanced, llg_rate_of_step, with_length_of

# Dormand and Prince's coefficients: a stage is S + h sum_j A_j k_j, the last one the solution of order 5; the estimate
# of its error is h sum_j ERROR_j k_j.
A: tuple[tuple[float, ...], ...] = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
    (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84),
)
ERROR = (71 / 57600, 0.0, -71 / 16695, 71 / 1920, -17253 / 339200, 22 / 525, -1 / 40)

LARGEST_TURN = 1.0  # rad, of any spin in a part


@dataclass(frozen=True)
class DormandPrince:
    """Embedded Runge-Kutta 5(4) with projection: order 5, each ``dt`` in as many parts as the tolerance asks for.

    The first part tried is all of dt, or a turn of 1 rad, which no part exceeds: the stages would leave the sphere too
    far. A part whose estimated error is above the tolerance is tried again, shorter. Six field evaluations a part, and
    one at the start of dt. A replica's parts follow from its own error, so that it does not depend on its batch; a step
    depends on the state alone, so that a restart is exact. Without noise only: a rough force has no error of fifth
    order.

    Args:
        tolerance: largest estimated error of a spin in a part, over |S|; never below 8 roundoffs.
        max_parts: tried in one dt.

    Raises:
        ConfigError: a tolerance that is not > 0, fewer than one part.

    Source: Dormand and Prince, J. Comput. Appl. Math. 6, 19 (1980); step control as in Hairer, Norsett and Wanner,
    Solving Ordinary Differential Equations I, sec. II.4.
    """

    tolerance: float = 1e-6
    max_parts: int = 1000

    order: ClassVar[int] = 5
    evaluations_per_step: ClassVar[int | None] = None  # 7 if dt is one part, 6 for every other one
    noise: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not self.tolerance > 0:
            raise ConfigError(f"dormand prince: tolerance is {self.tolerance}; it must be a number > 0")
        if int(self.max_parts) != self.max_parts or self.max_parts < 1:
            raise ConfigError(f"dormand prince: max_parts is {self.max_parts}; give a whole number >= 1")

    def step(self, state: LLGState, force: Force, drive: Drive) -> LLGState:
        """The state at time + dt. Raises NonFiniteError, ConvergenceError, and ConfigError if there is noise."""
        if drive.noisy:
            raise ConfigError(
                f"dormand prince: the temperature is {drive.temperature}; it has no noise: set temperature 0, or take "
                "heun, depondt_mertens, sib or spherical_midpoint"
            )
        rate, dt = llg_rate_of_step(state, drive), drive.dt
        spins, first = state.spins, rate(state.spins, state.known_field(force))
        if not bool(torch.isfinite(first).all()):
            return advanced(state, spins + dt * first, dt)  # names the site
        done = torch.zeros(len(spins), dtype=torch.float64, device=spins.device)
        part = torch.full_like(done, dt)
        allowed = max(self.tolerance, 8 * torch.finfo(spins.dtype).eps)
        for _ in range(self.max_parts):
            part, left = torch.minimum(part, LARGEST_TURN / _fastest(spins, first)), dt - done
            last = part >= left
            part = torch.where(last, left, part)
            moved, slope, error = _part(spins, first, part.to(spins.dtype)[:, None, None], rate, force)
            accepted = (done < dt) & (error <= allowed)
            mine = accepted[:, None, None]
            spins, first = torch.where(mine, moved, spins), torch.where(mine, slope, first)
            done = torch.where(accepted, torch.where(last, dt, done + part), done)
            if bool((done >= dt).all()):
                return advanced(state, spins, dt)
            growth = 0.9 * (allowed / error.double().nan_to_num(torch.inf).clamp_min(1e-300)) ** 0.2
            part = torch.where(done < dt, part * growth.clamp(0.2, 5.0), part)
        replica = int(torch.argmin(done))
        raise ConvergenceError(
            f"LLG step {state.step + 1} (time {state.time + dt:.6g} hbar/t0): replica {replica} got through "
            f"{float(done[replica]):.3g} of dt = {dt:g} in {self.max_parts} parts; lower the time step, or raise "
            f"tolerance={self.tolerance:g} or max_parts"
        )


def _fastest(spins: Tensor, slope: Tensor) -> Tensor:
    """The largest |dS/dt|/|S|, (R,) float64, > 0."""
    length = torch.linalg.vector_norm(spins, dim=-1).clamp_min(torch.finfo(spins.dtype).tiny)
    return (torch.linalg.vector_norm(slope, dim=-1) / length).amax(1).double().clamp_min(1e-300)


def _part(spins: Tensor, first: Tensor, h: Tensor, rate: Rate, force: Force) -> tuple[Tensor, Tensor, Tensor]:
    """Spins after h (R, 1, 1), dS/dt there, and the largest estimated error of a spin over its length, (R,)."""
    slopes, moved = [first], spins
    for row in A:
        moved = spins + h * _combined(row, slopes)
        if len(row) == len(A):
            moved = with_length_of(spins, moved)
        slopes.append(rate(moved, force(moved)[1]))
    error = torch.linalg.vector_norm(h * _combined(ERROR, slopes), dim=-1)
    length = torch.linalg.vector_norm(spins, dim=-1).clamp_min(torch.finfo(spins.dtype).tiny)
    return moved, slopes[-1], (error / length).amax(1)


def _combined(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    total = weights[0] * slopes[0]
    for weight, slope in zip(weights[1:], slopes[1:], strict=True):
        if weight:
            total = total + weight * slope
    return total
