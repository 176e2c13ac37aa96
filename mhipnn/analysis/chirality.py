"""Handedness of spin textures in a plane: solid angles, topological charge, scalar and vector chirality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..configuration import Array
from .triangulation import Triangulation


def solid_angles(triangles: NDArray[np.int64], spins: Array) -> Array:
    """The signed area on the unit sphere that the three spins of each triangle span, in (-2 pi, 2 pi).

    tan(Omega/2) = S_1.(S_2 x S_3) / (1 + S_1.S_2 + S_2.S_3 + S_3.S_1) for unit vectors; positive if the spins turn
    counter-clockwise, seen from outside of the sphere, where the corners do. B. Berg and M. Luescher, Nucl. Phys. B
    190, 412 (1981).

    Args:
        triangles: (M, 3), sites, counter-clockwise.
        spins: (..., N, 3), of any length > 0.

    Returns:
        (..., M).
    """
    unit = spins / np.maximum(np.linalg.norm(spins, axis=-1, keepdims=True), np.finfo(float).tiny)
    a, b, c = (unit[..., triangles[:, corner], :] for corner in range(3))
    volume = (a * np.cross(b, c)).sum(-1)
    dots = 1 + (a * b).sum(-1) + (b * c).sum(-1) + (c * a).sum(-1)
    return 2 * np.arctan2(volume, dots)


def topological_charge(triangulation: Triangulation, spins: Array) -> Array:
    r"""Q = (1/4 pi) \int S.(dS/dx x dS/dy) dx dy = (1/4 pi) sum_triangles Omega.

    A whole number on a closed surface (both directions periodic) for any spins, but for those with a triangle at
    exactly the other side of the sphere. A skyrmion whose core points down in a background that points up, with
    in-plane spins that turn with the azimuth (vorticity +1: Bloch and Neel type alike), has Q = -1; core up in a
    background that points down +1; an antiskyrmion (vorticity -1) has the opposite sign. Q changes sign under
    S -> -S and under reflections of space.

    Args:
        spins: (..., N, 3).

    Returns:
        (...).
    """
    return solid_angles(triangulation.sites, spins).sum(-1) / (4 * np.pi)


def scalar_chirality(triangulation: Triangulation, spins: Array) -> Array:
    """S_1.(S_2 x S_3) of every triangle, corners counter-clockwise: (..., N, 3) -> (..., M).

    0 for coplanar spins; in a smooth texture it is twice the solid angle, and has its sign. Random unit spins have
    mean 0 and variance 2/9.
    """
    a, b, c = (spins[..., triangulation.sites[:, corner], :] for corner in range(3))
    return (a * np.cross(b, c)).sum(-1)


def vector_chirality(bonds: NDArray[np.int64], spins: Array) -> Array:
    """S_i x S_j of every bond i -> j, (..., N, 3) -> (..., B, 3): the sense of a spiral along the bond.

    A spiral that turns counter-clockwise about n by the angle phi along the bond has n sin(phi). Random unit spins
    have mean 0 and <|S_i x S_j|^2> = 2/3.
    """
    return np.cross(spins[..., bonds[:, 0], :], spins[..., bonds[:, 1], :])


def triangle_chirality(triangulation: Triangulation, spins: Array) -> Array:
    """kappa = (2/(3 sqrt 3)) (S_1 x S_2 + S_2 x S_3 + S_3 x S_1) of every triangle, (..., N, 3) -> (..., M, 3).

    Spins at 120 degrees that turn counter-clockwise about n, as the corners do, have kappa = n, the other way -n.
    """
    a, b, c = (spins[..., triangulation.sites[:, corner], :] for corner in range(3))
    return 2 / (3 * np.sqrt(3)) * (np.cross(a, b) + np.cross(b, c) + np.cross(c, a))
