"""Push sites apart, compiled; imported where it is first needed."""

from __future__ import annotations

import math

import numpy as np

from ..compilation import compiled


@compiled(error_model="numpy")
def relax(positions, source, receiver, offset, r_min, target, reach, max_sweeps):
    """Sweeps until no pair is closer than ``r_min``, or sites have moved by more than ``reach``, or none are left.

    In a sweep every pair closer than ``target`` moves both its sites by half of what is missing.

    Args:
        positions: (N, 3), length.
        source, receiver, offset: the pairs, in both directions, and the lattice vector of the image (E, 3).
        reach: how far a coordinate may move before the list is out of date, length.

    Returns:
        positions (N, 3), the smallest distance before the last sweep (or of the result, if it is good), sweeps made.
    """
    start = positions
    closest = np.inf
    for made in range(max_sweeps):
        closest = np.inf
        step = np.zeros_like(positions)
        for edge in range(len(source)):
            i, j = receiver[edge], source[edge]
            x = positions[j, 0] - positions[i, 0] + offset[edge, 0]
            y = positions[j, 1] - positions[i, 1] + offset[edge, 1]
            z = positions[j, 2] - positions[i, 2] + offset[edge, 2]
            distance = math.sqrt(x * x + y * y + z * z)
            closest = min(closest, distance)
            if distance < target:
                share = 0.5 * (distance - target) / distance
                step[i, 0] += share * x
                step[i, 1] += share * y
                step[i, 2] += share * z
        if closest >= r_min:
            return positions, closest, made
        positions = positions + step
        if np.abs(positions - start).max() > reach:
            return positions, closest, made + 1
    return positions, closest, max_sweeps
