"""Trajectories at temperature 0 from scipy and Gilbert's implicit form: no code of the package but the field."""

from __future__ import annotations

import numpy as np
import torch
from scipy.integrate import solve_ivp


def reference(spins, force, duration, damping, moments, external):
    """Spins (N, 3) after ``duration``: (1 - alpha S x) dS/dt = -S x b by DOP853."""
    shape = spins.shape

    def rate(_, flat):
        s = flat.reshape(shape)
        b = force(torch.from_numpy(s)[None])[1][0].numpy() / moments[:, None] + external
        cross = np.zeros((*shape, 3))
        for a, c, d in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            cross[:, a, c], cross[:, a, d] = -s[:, d], s[:, c]
        return np.linalg.solve(np.eye(3) - damping * cross, -np.cross(s, b)[..., None]).ravel()

    run = solve_ivp(rate, (0.0, duration), spins.ravel(), "DOP853", rtol=1e-12, atol=1e-12)
    return run.y[:, -1].reshape(shape)
