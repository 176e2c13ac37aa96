"""The Landau-Lifshitz-Gilbert equation: its right-hand side and its thermal noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch


def llg_rate(spins: torch.Tensor, b: torch.Tensor, damping: float) -> torch.Tensor:
    """dS_i/dt = -1/(1 + alpha^2) [ S_i x b_i + alpha S_i x (S_i x b_i) ],   gamma = 1.

    A free spin in b = B z turns counter-clockwise seen from +z (d phi/dt = B/(1 + alpha^2)) and damps toward +B,
    because the energy of a moment is -mu_i b_i.S_i.

    Args:
        spins: (..., N, 3).
        b: (..., N, 3), the field per moment b_i = B_i/mu_i + B_ext + eta_i, energy units (hbar = 1).
        damping: alpha >= 0.

    Returns:
        (..., N, 3), in units of t0/hbar; perpendicular to the spins.

    Source: Landau and Lifshitz (1935) in the form of Gilbert, IEEE Trans. Magn. 40, 3443 (2004).
    """
    precession = torch.linalg.cross(spins, b)
    if damping == 0:
        return -precession
    return -(precession + damping * torch.linalg.cross(spins, precession)) / (1 + damping**2)


def angular_velocity(spins: torch.Tensor, b: torch.Tensor, damping: float) -> torch.Tensor:
    """omega_i of dS_i/dt = omega_i x S_i:  omega_i = (b_i + alpha S_i x b_i)/(1 + alpha^2),   gamma = 1.

    The equation of :func:`llg_rate`, for integrators that turn spins instead of moving them.

    Args:
        spins: (..., N, 3).
        b: (..., N, 3), the field per moment, energy units (hbar = 1).
        damping: alpha >= 0.

    Returns:
        (..., N, 3), in units of t0/hbar.
    """
    if damping == 0:
        return b
    return (b + damping * torch.linalg.cross(spins, b)) / (1 + damping**2)


def thermal_field(
    seeds: Sequence[int],
    step: int,
    moments: torch.Tensor,
    damping: float,
    temperature: float | torch.Tensor,
    dt: float,
) -> torch.Tensor:
    """eta_i of one step: independent normal numbers of variance 2 alpha kT/(mu_i dt) per component (gamma = 1).

    This is white noise of strength <eta_a(t) eta_b(t')> = 2 alpha kT/mu_i delta_ab delta(t - t'), averaged over one
    step. Held fixed through the stages of a step it converges to the Stratonovich solution, whose stationary density
    for unit spins is exp(-E/kT) at every alpha.

    The numbers are a pure function of (seed of the replica, step): they come from a counter-based generator in
    float64 on the CPU. So a restart goes on with the same noise, a replica sees the same noise in every batch, and two
    potentials of different precision or device can be run with one noise.

    Args:
        seeds: one integer >= 0 a replica.
        step: number of the step, from 0.
        moments: (R, N), mu_i >= 0; the result has its device and dtype, and is zero where mu_i = 0.
        damping: alpha >= 0.
        temperature: kT >= 0, energy units: one for all, or (R,) in float64, one a replica. A replica's noise is bit
            for bit that of the number alone.
        dt: time step, hbar/t0.

    Returns:
        (R, N, 3), energy units.

    Source: Brown, Phys. Rev. 130, 1677 (1963); Garcia-Palacios and Lazaro, Phys. Rev. B 58, 14937 (1998).
    """
    n_sites = moments.shape[1]
    normal = np.stack([_normal(seed, step, n_sites) for seed in seeds])
    noise = torch.from_numpy(normal).to(device=moments.device, dtype=moments.dtype)
    strength = 2 * damping * temperature
    if isinstance(strength, torch.Tensor):
        strength = strength.to(moments).unsqueeze(-1)
    # torch divides a number by a tensor in this way: a number and a tensor of numbers give the same bits.
    variance = torch.where(moments > 0, (moments * dt).reciprocal() * strength, 0.0)
    return noise * torch.sqrt(variance).unsqueeze(-1)


def _normal(seed: int, step: int, n_sites: int) -> np.ndarray:
    # The step sits in the highest word of the counter: the streams of two steps cannot meet.
    bits = np.random.Philox(key=_key(seed), counter=np.array([0, 0, 0, step], np.uint64))
    return np.random.Generator(bits).standard_normal((n_sites, 3))


@lru_cache(maxsize=4096)
def _key(seed: int) -> np.ndarray:
    return np.random.SeedSequence(seed).generate_state(2, np.uint64)
