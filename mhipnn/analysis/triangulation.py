"""Delaunay triangles of sites in a plane, through the periods of the box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import Delaunay

from ..configuration import Array, SpinConfiguration
from ..errors import InputError

# A uniform strain that no eye sees: it decides, in the same way everywhere, how squares and hexagons, whose corners
# lie on one circle, are cut into triangles. Images of one square would else be cut in different ways.
_STRAIN = np.array([[1.0, 1.1e-4], [0.4e-4, 1.0 + 0.7e-4]])


@dataclass(frozen=True)
class Triangulation:
    """Triangles of the sites that carry a spin, each counted once.

    Args:
        sites: (M, 3), the corners, counter-clockwise seen from +z.
        corners: (M, 3, 2), their x and y, of the image that the triangle has (the three are close together).
        closed: whether the surface has no edge: the plane is periodic in both directions, and M = 2 N.
    """

    sites: NDArray[np.int64]
    corners: Array
    closed: bool

    def bonds(self) -> tuple[NDArray[np.int64], Array]:
        """The sides i -> j, each once: sites (B, 2) and vectors (B, 2) from i to j."""
        i = self.sites.ravel()
        j = np.roll(self.sites, -1, axis=1).ravel()
        vector = (np.roll(self.corners, -1, axis=1) - self.corners).reshape(-1, 2)
        turned = (i > j) | ((i == j) & ((vector[:, 0] < 0) | ((vector[:, 0] == 0) & (vector[:, 1] < 0))))
        i, j = np.where(turned, j, i), np.where(turned, i, j)
        vector = np.where(turned[:, None], -vector, vector)
        key = np.column_stack([i, j, np.round(vector, 6)])
        _, first = np.unique(key, axis=0, return_index=True)
        return np.stack([i, j], 1)[first], vector[first]


def triangulate(config: SpinConfiguration) -> Triangulation:
    """The Delaunay triangulation of the sites with a spin (|S_i| > 0), which must lie in a plane z = const.

    Images of the sites within a margin around the box are triangulated with them, and of the triangles that are images
    of one another one is kept. The margin grows until the triangles close.

    Raises:
        InputError: a system that is not in a plane, fewer than 3 sites, a box so small that no margin closes it.
    """
    spin = np.flatnonzero(np.linalg.norm(config.spins, axis=1) > 0)
    positions, cell = config.positions[spin], config.cell
    if len(spin) < 3:
        raise InputError(f"Delaunay triangles: needs three sites with a spin, got {len(spin)}")
    if config.pbc[2] or np.ptp(positions[:, 2]) > 1e-6 or np.abs(cell[:2, 2][config.pbc[:2]]).any():
        raise InputError("Delaunay triangles: the sites must lie in a plane z = const, with periods in it at most")
    plane, periods = cell[:2, :2], np.asarray(config.pbc[:2])
    closed = bool(periods.all())
    fractions = positions[:, :2] @ np.linalg.inv(plane)
    fractions = np.where(periods, fractions - np.floor(fractions), fractions)
    spacing = np.sqrt(abs(np.linalg.det(plane)) / len(spin))
    heights = 1 / np.linalg.norm(np.linalg.inv(plane), axis=0)
    for margin in (5 * spacing, 10 * spacing, 20 * spacing):
        sites, images = _with_images(fractions, periods, margin / heights)
        points = (fractions[sites] + images) @ plane
        chosen = _of_the_box(sites, images, Delaunay(points @ _STRAIN).simplices)
        if not closed or len(chosen) == 2 * len(spin):
            return Triangulation(spin[sites[chosen]], points[chosen], closed)
    raise InputError(
        f"Delaunay triangles: {len(chosen)} in place of {2 * len(spin)} close the surface; the box is too small"
    )


def _with_images(fractions: Array, periods: NDArray[np.bool_], margin: Array) -> tuple[NDArray[np.int64], Array]:
    """Sites and integer shifts of all images within the margin (in fractions of the box) around the box."""
    reach = np.where(periods, np.ceil(margin), 0).astype(int)
    shifts = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in reach), indexing="ij"), -1).reshape(-1, 2)
    moved = fractions[None] + shifts[:, None]
    inside = ~periods | ((moved >= -margin) & (moved <= 1 + margin))
    image, site = np.nonzero(inside.all(-1))
    return site, shifts[image]


def _of_the_box(sites: NDArray[np.int64], images: Array, simplices: NDArray[np.int32]) -> NDArray[np.int64]:
    """Of all images of a triangle the one whose first corner, by site and then by shift, is in the box.

    That corner stands first, the others follow counter-clockwise, as Delaunay has them.
    """
    x, y, site = images[simplices, 0], images[simplices, 1], sites[simplices]
    first = np.lexsort((y, x, site), axis=-1)[:, :1]
    turned = np.take_along_axis(simplices, (first + np.arange(3)) % 3, axis=1)
    return turned[(images[turned[:, 0]] == 0).all(1)].astype(np.int64)
