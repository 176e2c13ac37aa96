"""The s-d Hamiltonian H = sum_ij T_ij c+_i c_j - sum_i J_i S_i . (c+_i sigma c_i) as dense matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..configuration import SpinConfiguration
from ..errors import InputError
from ..structures import neighbour_list
from .hopping import Hopping


class Bonds(NamedTuple):
    """Directed bonds j -> i of one configuration, every periodic image its own bond."""

    source: Tensor
    """(E,) j."""
    receiver: Tensor
    """(E,) i."""
    distance: Tensor
    """(E,) |R_j - R_i + image|, length, float64."""
    direction: Tensor
    """(E, 3) unit vector from i to j."""


def bonds(config: SpinConfiguration, r_cut: float, device: torch.device) -> Bonds:
    """All bonds shorter than r_cut."""
    edges = neighbour_list(config.positions, config.cell, config.pbc, r_cut)
    vector = config.positions[edges.source] - config.positions[edges.receiver] + edges.offset
    distance = np.linalg.norm(vector, axis=1)
    arrays = (edges.source, edges.receiver, distance, vector / distance[:, None])
    return Bonds(*(torch.as_tensor(array, device=device) for array in arrays))


def hopping_matrix(n_sites: int, bonds: Bonds, hopping: Hopping) -> Tensor:
    """T_ij = sum over images of t(r_ij), (N, N) float64, real symmetric; a site's own images make T_ii.

    Raises:
        InputError: a hopping that does not give one real amplitude per bond.
    """
    amplitudes = along_bonds(hopping, hopping, bonds)
    flat = torch.zeros(n_sites * n_sites, dtype=torch.float64, device=bonds.distance.device)
    flat.index_add_(0, bonds.receiver * n_sites + bonds.source, amplitudes)
    matrix = flat.view(n_sites, n_sites)
    # i -> j and j -> i round differently in the last bit
    return (matrix + matrix.T) / 2


def along_bonds(function: Callable[[Tensor], Tensor], hopping: Hopping, bonds: Bonds) -> Tensor:
    """t(r) or dt/dr on every bond, (E,) float64; the hopping may be anybody's.

    Raises:
        InputError: not one real number per bond.
    """
    values = function(bonds.distance)
    if not isinstance(values, Tensor) or values.shape != bonds.distance.shape or values.is_complex():
        got = f"{values.dtype} {tuple(values.shape)}" if isinstance(values, Tensor) else repr(values)
        wanted = f"a real tensor of shape {tuple(bonds.distance.shape)}"
        raise InputError(f"hopping {type(hopping).__name__}: expected {wanted}, got {got}")
    return values.double()


def assemble(hopping: Tensor, spins: Tensor, J: float | Tensor) -> Tensor:
    """H = T (x) 1 - sum_i J_i S_i . sigma, batched.

    Args:
        hopping: (R, N, N) real, energy; its diagonal holds on-site energies.
        spins: (R, N, 3) real, same dtype.
        J: s-d coupling, energy, of all sites or of each (R, N); it multiplies sigma, not sigma/2.

    Returns:
        (R, 2N, 2N) complex Hermitian; row 2 i + s is site i with spin s (0 up, 1 down).
    """
    n_replicas, n_sites, _ = spins.shape
    H = torch.zeros(n_replicas, n_sites, 2, n_sites, 2, dtype=spins.dtype.to_complex(), device=spins.device)
    H[:, :, 0, :, 0] = hopping.to(H.dtype)
    H[:, :, 1, :, 1] = hopping.to(H.dtype)
    x, y, z = spins.unbind(-1)
    site = torch.arange(n_sites, device=spins.device)
    H[:, site, 0, site, 0] -= J * z
    H[:, site, 1, site, 1] += J * z
    # S . sigma = [[z, x - i y], [x + i y, -z]]
    H[:, site, 0, site, 1] = torch.complex(-J * x, J * y)
    H[:, site, 1, site, 0] = torch.complex(-J * x, -J * y)
    return H.view(n_replicas, 2 * n_sites, 2 * n_sites)
