"""The s-d model once more, written only with numpy and scipy and sharing no code with the package."""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])


class Reference(NamedTuple):
    energy: float
    field: np.ndarray
    density: np.ndarray
    mu: float


def amplitude(r, t0=1.0, r0=1.0, xi=0.5, r_on=1.5, r_cut=2.5):
    window = np.cos(np.pi / 2 * (r - r_on) / (r_cut - r_on)) ** 2
    return -t0 * np.exp(-(r - r0) / xi) * np.select([r < r_on, r < r_cut], [1.0, window], 0.0)


def hopping_matrix(positions, cell, pbc, r_cut=2.5, **parameters):
    inverse = np.linalg.inv(cell)
    spread = np.ptp(positions @ inverse, axis=0)
    reach = np.ceil(r_cut * np.linalg.norm(inverse, axis=0) + spread).astype(int) + 1
    images = itertools.product(*(range(-k, k + 1) if p else (0,) for k, p in zip(reach, pbc, strict=True)))
    T = np.zeros((len(positions), len(positions)))
    for n in images:
        r = np.linalg.norm(positions[None, :] + np.array(n) @ cell - positions[:, None], axis=-1)
        hop = amplitude(r, r_cut=r_cut, **parameters)
        T += hop if any(n) else hop - np.diag(np.diag(hop))
    return T


def solve(config, J, kT, filling=None, mu=None, onsite=0.0, **hopping) -> Reference:
    """Free energy or (fixed mu) grand potential, B = J <c+ sigma c>, density; J and onsite also by site."""
    n_sites = len(config.positions)
    J = np.broadcast_to(J, n_sites)
    T = hopping_matrix(config.positions, config.cell, config.pbc, **hopping) + np.diag(np.broadcast_to(onsite, n_sites))
    H = np.kron(T, np.eye(2)).astype(complex)
    local = []
    for i in range(n_sites):
        projector = np.diag(np.arange(n_sites) == i).astype(float)
        local.append([np.kron(projector, matrix) for matrix in PAULI])
        H -= J[i] * np.kron(projector, np.tensordot(config.spins[i], PAULI, 1))
    levels, states = np.linalg.eigh(H)
    if mu is None:
        n_electrons = filling * n_sites
        mu = brentq(
            lambda m: expit((m - levels) / kT).sum() - n_electrons,
            levels[0] - 60 * kT,
            levels[-1] + 60 * kT,
            xtol=1e-14,
            rtol=1e-14,
        )
        extra = mu * n_electrons
    else:
        extra = 0.0
    energy = -kT * np.logaddexp(0, (mu - levels) / kT).sum() + extra
    # <c+_a c_b> = rho[b, a]
    rho = (states * expit((mu - levels) / kT)) @ states.conj().T
    field = J[:, None] * np.array([[np.trace(rho @ operator).real for operator in site] for site in local])
    density = np.diag(rho).real.reshape(n_sites, 2).sum(1)
    return Reference(float(energy), field, density, mu)
