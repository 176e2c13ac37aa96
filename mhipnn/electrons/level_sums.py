"""Sums over the occupied levels: densities on sites, and bond orders where a bond is.

On a CPU one pass over the orbitals makes all densities, and pairs of sites are met only where they are bonded; a GPU
prefers products of whole matrices. ``orbitals`` are real, (..., 2N, N, 4): level, site, Re up, Im up, Re down, Im down.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..compilation import compiled

LEVELS = 64
"""Levels whose columns are turned at a time, so that they stay in the cache while the bonds are met."""

kernel = compiled(error_model="numpy", boundscheck=False, fastmath={"contract", "reassoc"})


class SiteSums(NamedTuple):
    """Of R replicas with N sites, float64."""

    density: Tensor
    """<c+_i c_i>, (R, N)."""
    grand_potential: Tensor
    """sum_n |psi_n(i)|^2 omega(e_n), energy, (R, N)."""
    spin: Tensor
    """<c+_i sigma c_i>, (R, N, 3)."""


def site_sums(orbitals: Tensor, n_occupied: Tensor, occupation: Tensor, omega: Tensor) -> SiteSums:
    """Everything that is a sum over levels on one site.

    Args:
        orbitals: (R, 2N, N, 4).
        n_occupied: (R,), how many of the lowest levels of each replica count; the others hold next to nothing.
        occupation, omega: (R, 2N) float64, f and the grand potential of each level.
    """
    if orbitals.device.type != "cpu":
        m = int(n_occupied.max())
        return site_sums_of_matrices(orbitals[:, :m], occupation[:, :m], omega[:, :m])
    arrays = (tensor.numpy() for tensor in (orbitals, n_occupied, occupation, omega))
    return SiteSums(*(torch.from_numpy(array) for array in _site_sums(*arrays)))


def site_sums_of_matrices(orbitals: Tensor, occupation: Tensor, omega: Tensor) -> SiteSums:
    """:func:`site_sums` of levels that all count, by products of matrices."""
    a, b, c, d = orbitals.double().unbind(-1)
    up, down = a**2 + b**2, c**2 + d**2
    terms = torch.stack([up + down, 2 * (a * c + b * d), 2 * (a * d - b * c), up - down])
    density, *spin = (occupation[:, None] @ terms).squeeze(2)
    return SiteSums(density, (omega[:, None] @ terms[0]).squeeze(1), torch.stack(spin, -1))


def bond_orders(orbitals: Tensor, n_occupied: Tensor, occupation: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Re sum_s <c+_is c_js> of pairs of sites, (P,) float64.

    Args:
        orbitals: (R, 2N, N, 4).
        n_occupied: (R,), how many of the lowest levels of each replica count; the others hold next to nothing.
        occupation: (R, 2N) float64, f of each level.
        first, second: (P,) sites i and j of one replica, numbered through (r N + n), replicas in order.
    """
    if orbitals.device.type != "cpu":
        m = int(n_occupied.max())
        return bond_orders_of_matrices(orbitals[:, :m], occupation[:, :m], first, second)
    n_replicas, _, n_sites, _ = orbitals.shape
    begin = torch.searchsorted(first // n_sites, torch.arange(n_replicas + 1))
    tensors = (orbitals, n_occupied, occupation, first % n_sites, second % n_sites, begin)
    return torch.from_numpy(_bond_orders(*(tensor.numpy() for tensor in tensors)))


def bond_orders_of_matrices(orbitals: Tensor, occupation: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """:func:`bond_orders` of levels that all count, by the products that give all pairs."""
    columns = orbitals.transpose(2, 3).flatten(1, 2)
    weight = occupation.to(columns.dtype).repeat_interleave(4, 1)[..., None]
    n_sites = columns.shape[2]
    return ((columns * weight).mT @ columns).flatten(0, 1)[first, second % n_sites].double()


@kernel
def _site_sums(orbitals, n_occupied, occupation, omega):  # type: ignore[no-untyped-def]
    n_replicas, _, n_sites, _ = orbitals.shape
    density = np.zeros((n_replicas, n_sites))
    energy = np.zeros((n_replicas, n_sites))
    spin = np.empty((n_replicas, n_sites, 3))
    x, y, z = np.empty(n_sites), np.empty(n_sites), np.empty(n_sites)
    for replica in range(n_replicas):
        x[:], y[:], z[:] = 0.0, 0.0, 0.0
        electrons, local = density[replica], energy[replica]
        for level in range(n_occupied[replica]):
            f, w = occupation[replica, level], omega[replica, level]
            for i in range(n_sites):
                a, b = orbitals[replica, level, i, 0], orbitals[replica, level, i, 1]
                c, d = orbitals[replica, level, i, 2], orbitals[replica, level, i, 3]
                up, down = a * a + b * b, c * c + d * d
                electrons[i] += f * (up + down)
                local[i] += w * (up + down)
                x[i] += f * (a * c + b * d)
                y[i] += f * (a * d - b * c)
                z[i] += f * (up - down)
        for i in range(n_sites):
            spin[replica, i, 0], spin[replica, i, 1], spin[replica, i, 2] = 2 * x[i], 2 * y[i], z[i]
    return density, energy, spin


@kernel
def _bond_orders(orbitals, n_occupied, occupation, first, second, begin):  # type: ignore[no-untyped-def]
    n_replicas, _, n_sites, _ = orbitals.shape
    order = np.zeros(len(first))
    columns = np.empty((n_sites, 4 * LEVELS), orbitals.dtype)
    for replica in range(n_replicas):
        for start in range(0, n_occupied[replica], LEVELS):
            n = min(LEVELS, n_occupied[replica] - start)
            for level in range(n):
                root = np.sqrt(occupation[replica, start + level])
                for i in range(n_sites):
                    for part in range(4):
                        columns[i, 4 * level + part] = root * orbitals[replica, start + level, i, part]
            for bond in range(begin[replica], begin[replica + 1]):
                here, there = columns[first[bond]], columns[second[bond]]
                total = orbitals.dtype.type(0)
                for term in range(4 * n):
                    total += here[term] * there[term]
                order[bond] += total
    return order
