"""The s-d Hamiltonian H = sum_ij T_ij c+_i c_j - sum_i J_i S_i . (c+_i sigma c_i) as dense matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from vesin import NeighborList

from ..configuration import SpinConfiguration
from ..errors import InputError
from ..structures import neighbour_list
from .hopping import Hopping


class Bonds(NamedTuple):
    """Bonds j -> i of one configuration: each once, every periodic image its own."""

    source: Tensor
    """(E,) j."""
    receiver: Tensor
    """(E,) i."""
    distance: Tensor
    """(E,) |R_j - R_i + image|, length, float64."""
    direction: Tensor
    """(E, 3) unit vector from i to j."""


def bonds(config: SpinConfiguration, r_cut: float, device: torch.device) -> Bonds:
    """All bonds shorter than r_cut.

    Raises:
        InputError: two sites at the same place.
    """
    search = NeighborList(cutoff=r_cut, full_list=False)
    receiver, source, shift = search.compute(config.positions, config.cell, config.pbc.tolist(), "ijS")
    receiver, source = receiver.astype(np.int64), source.astype(np.int64)
    x, y, z = (config.positions[source] - config.positions[receiver] + shift @ config.cell).T
    distance = np.sqrt(x * x + y * y + z * z)
    if distance.size and distance.min() == 0:
        neighbour_list(config.positions, config.cell, config.pbc, r_cut)  # says which sites
    direction = np.stack([x, y, z], 1) / distance[:, None]
    return Bonds(*(torch.as_tensor(array, device=device) for array in (source, receiver, distance, direction)))


def hopping_matrix(n_sites: int, bonds: Bonds, hopping: Hopping) -> Tensor:
    """T_ij = sum over images of t(r_ij), (N, N) float64, real symmetric; a site's own images make T_ii.

    Raises:
        InputError: a hopping that does not give one real amplitude per bond.
    """
    amplitudes = along_bonds(hopping, hopping, bonds)
    flat = torch.zeros(n_sites * n_sites, dtype=torch.float64, device=bonds.distance.device)
    flat.index_add_(0, bonds.receiver * n_sites + bonds.source, amplitudes)
    matrix = flat.view(n_sites, n_sites)
    return matrix + matrix.T


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
    H[:, :, 0, :, 0] = hopping
    H[:, :, 1, :, 1] = hopping
    x, y, z = (-J[..., None] * spins if isinstance(J, Tensor) else -J * spins).unbind(-1)
    # S . sigma = [[z, x - i y], [x + i y, -z]]; the blocks of the sites on the diagonal, as views
    blocks = H.diagonal(dim1=1, dim2=3)
    blocks[:, 0, 0] += z
    blocks[:, 1, 1] -= z
    blocks[:, 0, 1] = torch.complex(x, -y)
    blocks[:, 1, 0] = torch.complex(x, y)
    return H.view(n_replicas, 2 * n_sites, 2 * n_sites)
