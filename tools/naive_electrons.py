"""The s-d model as one writes it first: numpy, a loop over the sites, the whole density matrix. Free of the package."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
R_ON, R_CUT, XI = 1.5, 2.5, 0.5


class Labels(NamedTuple):
    energy: float
    field: np.ndarray
    forces: np.ndarray


def amplitude(r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The default hopping t(r) and dt/dr."""
    phase = np.pi / 2 * np.clip((r - R_ON) / (R_CUT - R_ON), 0, 1)
    bare = -np.exp(-(r - 1) / XI) * (r < R_CUT)
    window, slope = np.cos(phase) ** 2, -np.sin(2 * phase) * np.pi / 2 / (R_CUT - R_ON)
    return bare * window, bare * (slope - window / XI)


def evaluate(positions: np.ndarray, box: np.ndarray, spins: np.ndarray, J: float, filling: float, kT: float) -> Labels:
    """Free energy, fields and forces in an orthogonal periodic box (3,) wider than two cutoffs."""
    n_sites = len(positions)
    H = np.zeros((2 * n_sites, 2 * n_sites), complex)
    slopes, towards = [], []
    for i in range(n_sites):
        vector = positions - positions[i]
        vector = vector - box * np.round(vector / box)
        r = np.linalg.norm(vector, axis=1)
        r[i] = np.inf
        hopping, slope = amplitude(r)
        H[2 * i, ::2] = H[2 * i + 1, 1::2] = hopping
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= J * np.tensordot(spins[i], PAULI, 1)
        slopes.append(slope)
        towards.append(vector / r[:, None])
    levels, states = np.linalg.eigh(H)
    n_electrons = filling * n_sites
    mu = brentq(lambda m: expit((m - levels) / kT).sum() - n_electrons, levels[0] - 1, levels[-1] + 1, xtol=1e-13)
    energy = -kT * np.logaddexp(0, (mu - levels) / kT).sum() + mu * n_electrons
    rho = (states * expit((mu - levels) / kT)) @ states.conj().T  # <c+_a c_b> = rho[b, a]
    field, forces = np.zeros((n_sites, 3)), np.zeros((n_sites, 3))
    for i in range(n_sites):
        block = rho[2 * i : 2 * i + 2, 2 * i : 2 * i + 2]
        for axis in range(3):
            field[i, axis] = J * np.trace(block @ PAULI[axis]).real
        bond_order = (rho[2 * i, ::2] + rho[2 * i + 1, 1::2]).real
        forces[i] = 2 * (slopes[i] * bond_order) @ towards[i]
    return Labels(float(energy), field, forces)
