"""The s-d Hamiltonian H = sum_ij T_ij c+_i c_j - sum_i J_i S_i . (c+_i sigma c_i) as dense matrices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from vesin import NeighborList

from ..compilation import compiled
from ..configuration import SpinConfiguration
from ..errors import InputError
from ..structures import neighbour_list
from .hopping import Hopping


class Bonds(NamedTuple):
    """Bonds j -> i of R configurations with N sites each: every bond once, every periodic image its own.

    Sites are numbered through: site n of replica r is r N + n.
    """

    source: Tensor
    """(E,) j."""
    receiver: Tensor
    """(E,) i."""
    distance: Tensor
    """(E,) |R_j - R_i + image|, length, float64."""
    direction: Tensor
    """(E, 3) unit vector from i to j."""


def bonds(configs: Sequence[SpinConfiguration], r_cut: float, device: torch.device) -> Bonds:
    """All bonds shorter than r_cut, one configuration after the other.

    Raises:
        InputError: two sites at the same place.
    """
    search = NeighborList(cutoff=r_cut, full_list=False)
    found = [search.compute(config.positions, config.cell, config.pbc.tolist(), "ijdD") for config in configs]
    first = np.cumsum([0, *(config.n_sites for config in configs)])
    receiver, source = (
        np.concatenate([pairs[end] + start for pairs, start in zip(found, first, strict=False)]).astype(np.int64)
        for end in (0, 1)
    )
    distance = np.concatenate([pairs[2] for pairs in found])
    if distance.size and distance.min() == 0:
        for config in configs:
            neighbour_list(config.positions, config.cell, config.pbc, r_cut)  # says which sites
    direction = np.concatenate([pairs[3] for pairs in found]) / distance[:, None]
    return Bonds(*(torch.as_tensor(array, device=device) for array in (source, receiver, distance, direction)))


def hopping_matrices(n_replicas: int, n_sites: int, bonds: Bonds, hopping: Hopping) -> Tensor:
    """T_ij = sum over images of t(r_ij), (R, N, N) float64, real symmetric; a site's own images make T_ii.

    Raises:
        InputError: a hopping that does not give one real amplitude per bond.
    """
    amplitudes = along_bonds(hopping, hopping, bonds)
    flat = torch.zeros(n_replicas * n_sites * n_sites, dtype=torch.float64, device=bonds.distance.device)
    flat.index_add_(0, bonds.receiver * n_sites + bonds.source % n_sites, amplitudes)
    matrices = flat.view(n_replicas, n_sites, n_sites)
    return matrices + matrices.mT


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
    exchange = (J[..., None] if isinstance(J, Tensor) else J) * spins
    n_replicas, n_sites, _ = spins.shape
    shape = (n_replicas, n_sites, 2, n_sites, 2)
    if spins.device.type == "cpu":
        entries = np.zeros(shape, np.complex128 if spins.dtype == torch.float64 else np.complex64)
        _fill(entries, hopping.numpy(), exchange.numpy())
        H = torch.from_numpy(entries)  # numpy asks the system for huge pages, torch does not
    else:
        H = torch.zeros(shape, dtype=spins.dtype.to_complex(), device=spins.device)
        fill_blocks(H, hopping, exchange)
    return H.view(n_replicas, 2 * n_sites, 2 * n_sites)


def fill_blocks(H: Tensor, hopping: Tensor, exchange: Tensor) -> None:
    """Write T_ij and -J_i S_i . sigma into zeros (R, N, 2, N, 2), whole planes at a time, as a GPU likes it."""
    H[:, :, 0, :, 0] = hopping
    H[:, :, 1, :, 1] = hopping
    x, y, z = (-exchange).unbind(-1)
    # S . sigma = [[z, x - i y], [x + i y, -z]]; the blocks of the sites on the diagonal, as views
    blocks = H.diagonal(dim1=1, dim2=3)
    blocks[:, 0, 0] += z
    blocks[:, 1, 1] -= z
    blocks[:, 0, 1] = torch.complex(x, -y)
    blocks[:, 1, 0] = torch.complex(x, y)


@compiled(boundscheck=False)
def _fill(H, hopping, exchange):  # type: ignore[no-untyped-def]
    """The same on a CPU, where most of T is zero and stays untouched."""
    n_replicas, n_sites, _ = hopping.shape
    for replica in range(n_replicas):
        for i in range(n_sites):
            for j in range(n_sites):
                amplitude = hopping[replica, i, j]
                if amplitude != 0:
                    H[replica, i, 0, j, 0] = amplitude
                    H[replica, i, 1, j, 1] = amplitude
            x, y, z = exchange[replica, i]
            H[replica, i, 0, i, 0] -= z
            H[replica, i, 1, i, 1] += z
            H[replica, i, 0, i, 1] = complex(-x, y)
            H[replica, i, 1, i, 0] = complex(-x, -y)
