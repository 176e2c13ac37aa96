"""One Monte Carlo sweep of classical Heisenberg spins, compiled; imported where it is first needed."""

from __future__ import annotations

import math

from ..compilation import compiled


@compiled()
def _field(spins, first, source, coupling, i):
    """b_i = sum_j J_ij S_j."""
    x = y = z = 0.0
    for edge in range(first[i], first[i + 1]):
        j, J = source[edge], coupling[edge]
        x += J * spins[j, 0]
        y += J * spins[j, 1]
        z += J * spins[j, 2]
    return x, y, z


@compiled()
def _cosine(x, u):
    """cos(theta) with the density exp(x cos(theta)) on [-1, 1]: the inverse of its distribution at 0 < u <= 1."""
    if x < 1e-8:
        return 2 * u - 1
    return min(1.0, max(-1.0, 1 + math.log(u + (1 - u) * math.exp(-2 * x)) / x))


@compiled()
def _around(x, y, z, cosine, phi):
    """The unit vector at polar angle acos(cosine) and azimuth phi around the unit vector (x, y, z).

    The two axes across are those of Duff et al., J. Comput. Graph. Tech. 6, 1 (2017), which has no singular direction.
    """
    sign = 1.0 if z >= 0 else -1.0
    a = -1 / (sign + z)
    b = x * y * a
    sine = math.sqrt(1 - cosine * cosine)
    p, q = sine * math.cos(phi), sine * math.sin(phi)
    return (
        cosine * x + p * (1 + sign * x * x * a) + q * b,
        cosine * y + p * sign * b + q * (sign + y * y * a),
        cosine * z - p * sign * x - q * y,
    )


@compiled()
def sweep(spins, first, source, coupling, inverse_temperature, uniforms):
    """Heat bath of every spin in turn, then over-relaxation of every spin in turn; ``spins`` (N, 3) change in place.

    Neighbours of site i are ``source[first[i] : first[i + 1]]``; ``uniforms`` (N, 2) in [0, 1).
    """
    for i in range(len(spins)):
        x, y, z = _field(spins, first, source, coupling, i)
        size = math.sqrt(x * x + y * y + z * z)
        cosine = _cosine(inverse_temperature * size, 1 - uniforms[i, 0])
        phi = 2 * math.pi * uniforms[i, 1]
        if size < 1e-150:
            spins[i, 0], spins[i, 1], spins[i, 2] = _around(0.0, 0.0, 1.0, cosine, phi)
        else:
            spins[i, 0], spins[i, 1], spins[i, 2] = _around(x / size, y / size, z / size, cosine, phi)
    for i in range(len(spins)):
        x, y, z = _field(spins, first, source, coupling, i)
        square = x * x + y * y + z * z
        if square > 1e-300:
            twice = 2 * (spins[i, 0] * x + spins[i, 1] * y + spins[i, 2] * z) / square
            spins[i, 0] = twice * x - spins[i, 0]
            spins[i, 1] = twice * y - spins[i, 1]
            spins[i, 2] = twice * z - spins[i, 2]
