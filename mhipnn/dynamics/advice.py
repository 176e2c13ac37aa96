"""Is the time step short enough? A look at the first one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..configuration import SpinConfiguration
from ..potential import Potential
from .quench import Quench, moments_for

MOST_ANGLE = 1.0  # rad a step
MOST_ERROR = 0.02  # of a spin, in a unit of time


@dataclass(frozen=True)
class TimeStepAdvice:
    """What one step of a quench does at its start.

    Args:
        time_step: dt, hbar/t0.
        angle: dt max|b_i|/(1 + alpha^2), rad: what the fastest spin can precess in a step.
        error: rms error of a spin that steps at this rate make in a unit of time, without noise.
        order: of the integrator.
    """

    time_step: float
    angle: float
    error: float
    order: int

    @property
    def too_long(self) -> bool:
        return not (self.angle <= MOST_ANGLE and self.error <= MOST_ERROR)

    def __str__(self) -> str:
        text = (
            f"time_step {self.time_step:g}: {self.angle:.2g} rad a step at the largest field, "
            f"error {self.error:.1g} in a unit of time"
        )
        if not self.too_long:
            return text
        shorter = min(MOST_ANGLE / self.angle, (MOST_ERROR / max(self.error, 1e-300)) ** (1 / self.order))
        return f"{text}; this is too long, dynamics.time_step={self.time_step * shorter:.1g} would do"


def time_step_advice(
    quench: Quench, potential: Potential, config: SpinConfiguration, seeds: Sequence[int] = (0,)
) -> TimeStepAdvice:
    r"""One step dt against two of dt/2, from the spins of one replica and without noise.

    The difference is 1 - 2^-p of the error of the long step, p the order of the integrator.

    Raises:
        NonFiniteError, ConvergenceError: the step cannot be made at all.
    """
    force = potential.prepare([config])
    moments = moments_for(force, [config])
    cold = replace(quench, temperature=0.0, duration=2 * quench.time_step)
    halves = replace(cold, time_step=quench.time_step / 2)
    first, long = list(cold.states(force, [config], seeds, steps=[0, 1]))
    *_, short = halves.states(force, [config], seeds, first, steps=[2])
    order = quench.integrator.order
    difference = (long.spins - short.spins).double().norm(dim=-1)
    error = float((difference**2).mean().sqrt()) / (1 - 2.0**-order) / quench.time_step
    return TimeStepAdvice(quench.time_step, quench.time_step * quench.largest_field(first, moments), error, order)
