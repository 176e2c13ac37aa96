"""The s-d Hamiltonian as a sparse matrix with one 2 x 2 block a site, and scaled into [-1, 1]."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array, csr_array

from ...configuration import Array
from ..hamiltonian import Bonds
from ..hopping import Hopping
from .spectrum import Band


@dataclass(frozen=True)
class Hamiltonian:
    """H = T (x) 1 + sum_i (onsite_i - h_i . sigma): T sparse (N, N), ``onsite`` (N,), ``exchange`` h (N, 3); energy."""

    hopping: csr_array
    onsite: Array
    exchange: Array


@dataclass(frozen=True)
class ScaledHamiltonian:
    """2 H~ = 2 (H - centre)/half_width, twice because every step of the recursion needs it so.

    ``pointer``, ``index``, ``value``: the hopping, rows compressed. ``local`` (N, 4): diagonal and -h.
    """

    pointer: NDArray[np.int64]
    index: NDArray[np.int64]
    value: Array
    local: Array


def scaled(H: Hamiltonian, band: Band) -> ScaledHamiltonian:
    factor = 2 / band.half_width
    T = H.hopping
    local = factor * np.column_stack([H.onsite - band.centre, -H.exchange])
    return ScaledHamiltonian(T.indptr.astype(np.int64), T.indices.astype(np.int64), factor * T.data, local)


def sparse_hopping(n_sites: int, bonds: Bonds, hopping: Hopping) -> csr_array:
    """T_ij = sum over images of t(r_ij), (N, N), rows sorted by column."""
    row, column = bonds.receiver.cpu().numpy(), bonds.source.cpu().numpy()
    amplitude = hopping(bonds.distance).cpu().numpy()
    matrix = csr_array(coo_array((amplitude, (row, column)), shape=(n_sites, n_sites)))
    matrix = csr_array(matrix + matrix.T)
    matrix.sort_indices()
    return matrix


def entries_of(matrix: csr_array, bonds: Bonds) -> NDArray[np.int64]:
    """Where in ``matrix.data`` the elements T_ij and T_ji of each bond stand, (2, E)."""
    n = matrix.shape[0]
    rows = np.repeat(np.arange(n), np.diff(matrix.indptr))
    keys = rows * n + matrix.indices
    i, j = bonds.receiver.cpu().numpy(), bonds.source.cpu().numpy()
    return np.searchsorted(keys, np.stack([i * n + j, j * n + i]))
