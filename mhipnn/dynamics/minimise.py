"""The nearest minimum of the energy: steepest descent on the spheres with Barzilai and Borwein's steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from ..configuration import Array, SpinConfiguration, moments_of
from ..errors import ConfigError, ConvergenceError, InputError, NonFiniteError
from ..potential import FrozenPotential, Potential, as_array
from .integrators.midpoint import halfway

MEMORY = 10  # energies that a step may not all exceed
SUFFICIENT = 1e-4  # of the decrease that the slope promises
LARGEST_TURN = 1.0  # rad, of any spin in a step


@dataclass(frozen=True)
class Descent:
    """Where R replicas are on their way: after ``iteration`` evaluations of the field beyond the first.

    ``spins`` (R, N, 3), ``energies`` (R,), ``torques`` (R,), the largest |S_i x B_i| of each, which shall come below
    ``tolerance``. With ``steps`` (R,), the next step lengths, ``memory`` (R, 10), the energies that count, and
    ``iterations`` (R,), those made by each, it is all that the rest of the way depends on.
    """

    iteration: int
    spins: Tensor
    energies: Tensor
    torques: Tensor
    tolerance: float
    steps: Tensor
    memory: Tensor
    iterations: np.ndarray


@dataclass(frozen=True)
class Minimum:
    """Where R replicas came to rest.

    Args:
        spins: (R, N, 3).
        energies: (R,).
        torques: (R,), the largest |S_i x B_i| of each.
        iterations: (R,), the field evaluations that each of them needed after the first.
        tolerance: the torque below which they are at rest.
    """

    spins: Array
    energies: Array
    torques: Array
    iterations: np.ndarray
    tolerance: float


def minimise(
    potential: Potential,
    configs: Sequence[SpinConfiguration],
    tolerance: float | None = None,
    max_iterations: int = 10_000,
    progress: Callable[[Descent], None] | None = None,
    begin: Descent | None = None,
) -> Minimum:
    """Lower E on the product of spheres, |S_i| kept, until max_i |S_i x B_i| < tolerance.

    Every spin turns along its torque, S' - S = t (S x B) x (S + S')/2 (Cayley), by one step length t for a replica:
    |s|^2/(s.y) and (s.y)/|y|^2 in turn, s the last turn and y the change of the torques against it. The energy may rise
    above the last one but not above the largest of the last 10: else the step is halved. A replica has its own steps,
    and stops at its own convergence. A site with mu_i = 0 or S_i = 0 stays as it is.

    What it finds is stationary: a start with no torque at all is returned as it is, also on top of a barrier.

    Args:
        potential: at time 0, if it changes in time.
        configs: R configurations with N sites each; the descent starts from their spins.
        tolerance: energy > 0; None: 1e-6, and 1e-4 in single precision.
        max_iterations: field evaluations, the same for all replicas.
        progress: called with the start and after every iteration.
        begin: go on from here, as if there had been no interruption.

    Raises:
        ConfigError: a tolerance that is not > 0, fewer than one iteration.
        InputError: no configurations.
        NonFiniteError: an energy or a field that is not finite.
        ConvergenceError: not converged, with replica, site and torque.

    Source: Barzilai and Borwein, IMA J. Numer. Anal. 8, 141 (1988), on spins: Exl et al., J. Appl. Phys. 115, 17D118
    (2014); the non-monotone safeguard: Raydan, SIAM J. Optim. 7, 26 (1997).
    """
    check_settings(tolerance, max_iterations)
    if not configs:
        raise InputError("minimise: at least one configuration is needed, got none")
    force = potential.prepare(configs)
    if tolerance is None:
        tolerance = 1e-6 if force.dtype == torch.float64 else 1e-4
    free = torch.from_numpy(moments_of(configs) > 0).to(force.device)[..., None]
    spins = torch.from_numpy(np.stack([config.spins for config in configs])) if begin is None else begin.spins
    spins = spins.to(force.device, force.dtype)
    energy, torque, scale = _evaluate(force, spins, free)
    number, iterations, step, memory = _beginning(begin, energy, scale)

    def tell() -> None:
        if progress is not None:
            progress(Descent(number, spins, energy, _largest(torque), tolerance, step, memory, iterations))

    tell()
    while number < max_iterations:
        number += 1
        moving = _largest(torque) >= tolerance
        if not bool(moving.any()):
            break
        iterations[moving.cpu().numpy()] = number
        step = _limited(step, torque)
        turn = torch.where(moving, step, 0.0)[:, None, None] * torque
        tried = 2 * halfway(spins, turn) - spins
        new_energy, new_torque, scale = _evaluate(force, tried, free)
        # What the energy is known to: a step at the bottom must not fail by rounding.
        blur = 64 * torch.finfo(force.dtype).eps * scale * spins.shape[1]
        good = new_energy <= memory.amax(1) - SUFFICIENT * _dot(turn, torque) + blur
        accepted = good & moving
        mine = accepted[:, None, None]
        next_step = _barzilai_borwein(turn, torque - new_torque, number)
        usable = torch.isfinite(next_step) & (next_step > 0)
        next_step = torch.where(usable, next_step, 1 / scale.clamp_min(torch.finfo(force.dtype).tiny))
        step = torch.where(accepted, next_step, torch.where(moving, step / 2, step))
        spins, torque = torch.where(mine, tried, spins), torch.where(mine, new_torque, torque)
        energy = torch.where(accepted, new_energy, energy)
        column = number % MEMORY
        memory[:, column] = torch.where(accepted, new_energy, memory[:, column])
        tell()
    worst = _largest(torque)
    if bool((worst >= tolerance).any()):
        replica = int(worst.argmax())
        site = int(torch.linalg.vector_norm(torque[replica], dim=-1).argmax())
        raise ConvergenceError(
            f"minimise: replica {replica} is not at rest after {max_iterations} iterations, its largest torque is "
            f"{float(worst[replica]):.2g} at site {site} (tolerance {tolerance:g}); raise max_iterations, or the "
            f"tolerance if the potential in {str(force.dtype).removeprefix('torch.')} is no more precise"
        )
    return Minimum(as_array(spins), as_array(energy), as_array(worst), iterations, tolerance)


def _beginning(begin: Descent | None, energy: Tensor, scale: Tensor) -> tuple[int, np.ndarray, Tensor, Tensor]:
    """Number of the iteration, that of each replica, step lengths (R,), energies that count (R, MEMORY)."""
    if begin is None:
        step = 1 / scale.clamp_min(torch.finfo(scale.dtype).tiny)
        return 0, np.zeros(len(energy), int), step, energy[:, None].repeat(1, MEMORY)
    return begin.iteration, begin.iterations.copy(), begin.steps.to(scale), begin.memory.clone().to(energy)


def check_settings(tolerance: float | None, max_iterations: int) -> None:
    """Raises ConfigError: a tolerance that is not > 0, fewer than one iteration."""
    if tolerance is not None and not (isinstance(tolerance, Real) and 0 < tolerance < np.inf):
        raise ConfigError(f"minimise: tolerance is {tolerance}; it must be an energy > 0")
    if int(max_iterations) != max_iterations or max_iterations < 1:
        raise ConfigError(f"minimise: max_iterations is {max_iterations}; give a whole number >= 1")


def _evaluate(force: FrozenPotential, spins: Tensor, free: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Energies (R,), torques S x B (R, N, 3), 0 where nothing moves, and the largest |B| |S| (R,)."""
    energy, field = force(spins)
    torque = torch.where(free, torch.linalg.cross(spins, field), 0.0)
    finite = torch.isfinite(torque).all(-1).all(-1) & torch.isfinite(energy)
    if not bool(finite.all()):
        replica = int(torch.argmin(finite.int()))
        raise NonFiniteError(f"minimise: the energy or a field of replica {replica} is not finite")
    strength = torch.linalg.vector_norm(field, dim=-1) * torch.linalg.vector_norm(spins, dim=-1)
    return energy, torque, torch.where(free[..., 0], strength, 0.0).amax(1)


def _largest(torque: Tensor) -> Tensor:
    return torch.linalg.vector_norm(torque, dim=-1).amax(1)


def _limited(step: Tensor, torque: Tensor) -> Tensor:
    """The step (R,), shortened where it would turn a spin further than LARGEST_TURN."""
    return torch.minimum(step, LARGEST_TURN / _largest(torque).clamp_min(torch.finfo(torque.dtype).tiny))


def _dot(one: Tensor, other: Tensor) -> Tensor:
    """Scalar products (R,), replica by replica: a sum over all at once may depend on how many there are."""
    return torch.stack([torch.sum(a * b) for a, b in zip(one, other, strict=True)])


def _barzilai_borwein(s: Tensor, y: Tensor, number: int) -> Tensor:
    """|s|^2/(s.y) and (s.y)/|y|^2 in turn, (R,)."""
    return _dot(s, s) / _dot(s, y) if number % 2 else _dot(s, y) / _dot(y, y)
