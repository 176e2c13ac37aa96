"""The KPM energy as one functional of spins and hopping, and its exact gradient."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from scipy.optimize import brentq
from scipy.sparse import csr_array

from ...configuration import Array
from ...errors import NonFiniteError
from ..exact import Ensemble, FixedMu
from .chebyshev import fermi_expansion, grand_potential_expansion, quadratic_weights
from .kernels import FIELDS, PAIRS, PARTS, ROW, backward, forward, localise
from .regions import Block
from .spectrum import Band

Result = TypeVar("Result")
ESCAPE = 1e-3  # |mu_m| may exceed mu_0 by this share in rounding; a level outside the band makes it grow exponentially


@dataclass(frozen=True)
class Hamiltonian:
    """H = T (x) 1 + sum_i (onsite_i - h_i . sigma): T sparse (N, N), ``onsite`` (N,), ``exchange`` h (N, 3); energy."""

    hopping: csr_array
    onsite: Array
    exchange: Array


@dataclass(frozen=True)
class Gradient:
    """What one solution of the electrons gives, all of it float64.

    ``energy``: Omega, plus mu N_e at fixed number. ``spin`` (N, 3) = -dE/dh_i, the exact gradient. ``spin_again`` (N, 3)
    estimates the same from the density matrix itself, of each site in its region or as Tr(T_m P_i sigma T_m) of the
    probes: by how much the two differ is by how much they err. ``density``, ``site_energy`` (N,) come with it and
    sum to N_e and E. ``moments`` (order + 1,): sum_r <r|T_m|r>. ``bonds``: dE/dT_ij for each entry of T, or None.
    """

    energy: float
    mu: float
    moments: Array
    spin: Array
    spin_again: Array
    density: Array
    site_energy: Array
    bonds: Array | None


def solve(
    H: Hamiltonian,
    band: Band,
    blocks: Sequence[Block],
    order: int,
    ensemble: Ensemble,
    dtype: type = np.float64,
    with_bonds: bool = False,
) -> Gradient:
    """E = sum_r <r|omega(H)|r> (+ mu N_e) over the vectors of all blocks, and its derivatives.

    mu makes sum_r <r|f(H)|r> = N_e with the Chebyshev coefficients of f = -d omega/d mu, so that E is stationary in
    mu to rounding, and its gradient at fixed number is that at fixed mu. Reverse accumulation after Barros and Kato,
    PRB 88, 235101 (2013).

    Raises:
        NonFiniteError: a level lies outside the band.
    """
    scaled = _Scaled(H, band, dtype)
    half = order // 2

    def up(block: Block) -> tuple[Array, Array]:
        moments, ends = np.empty((2 * half + 1, PAIRS, PARTS)), np.empty((2, len(block.sites), ROW), dtype)
        pointer, index, value, _ = scaled.cut(block)
        amplitudes = block.amplitudes.astype(dtype)
        forward(pointer, index, value, scaled.local[block.sites], block.rows, block.pairs, amplitudes, moments, ends)
        return moments, ends

    ahead = _map(up, blocks)
    moments = np.sum([one[:, :, 0].sum(1) for one, _ in ahead], axis=0)
    require_inside(moments)
    mu = _chemical_potential(moments, band, ensemble)
    energy = grand_potential_expansion(mu, ensemble.temperature, band.centre, band.half_width, 2 * half)
    number = fermi_expansion(mu, ensemble.temperature, band.centre, band.half_width, 2 * half)
    weights = quadratic_weights(energy).astype(dtype), quadratic_weights(number).astype(dtype)

    def down(item: tuple[Block, tuple[Array, Array]]) -> tuple[Array, Array, Array]:
        block, (_, ends) = item
        pointer, index, value, entries = scaled.cut(block)
        fields = np.empty((len(block.sites), FIELDS), dtype)
        bonds = np.empty(len(entries) if with_bonds else 0, dtype)
        backward(pointer, index, value, scaled.local[block.sites], ends, *weights, not block.local, fields, bonds)
        return fields, bonds, entries

    fields, bonds = np.zeros((len(H.onsite), FIELDS)), np.zeros(H.hopping.nnz if with_bonds else 0)
    for block, (own, own_bonds, entries) in zip(blocks, _map(down, list(zip(blocks, ahead, strict=True))), strict=True):
        fields[block.sites] += own  # in the order of the blocks, whatever the number of threads
        if with_bonds:
            bonds[entries] += own_bonds
    for block, (own_moments, _) in zip(blocks, ahead, strict=True):
        if block.local:
            own_moments = own_moments[:, block.pairs]
            fields[block.sites[block.rows], 3:7] = np.tensordot(number, own_moments, (0, 0))
            fields[block.sites[block.rows], 7] = energy @ own_moments[:, :, 0]
    number_energy = 0.0 if isinstance(ensemble, FixedMu) else mu * ensemble.n_electrons
    return Gradient(
        energy=float(energy @ moments) + number_energy,
        mu=mu,
        moments=moments,
        spin=fields[:, :3] / band.half_width,
        spin_again=fields[:, 4:7],
        density=fields[:, 3],
        site_energy=fields[:, 7] + number_energy / len(fields),
        bonds=bonds / band.half_width if with_bonds else None,
    )


def require_inside(moments: Array) -> None:
    """Raises where the moments show that the recursion has left [-1, 1]."""
    worst = np.abs(moments).max() if np.isfinite(moments).all() else np.inf
    if not worst <= (1 + ESCAPE) * moments[0]:
        raise NonFiniteError(
            "the Chebyshev moments grow: the s-d Hamiltonian has levels outside the bounds of its spectrum; "
            "look at the lengths of the spins, and at J and the hopping"
        )


def _chemical_potential(moments: Array, band: Band, ensemble: Ensemble) -> float:
    """mu with sum_m d_m(mu) mu_m = N_e."""
    if isinstance(ensemble, FixedMu):
        return ensemble.mu
    kT, order = ensemble.temperature, len(moments) - 1

    def excess(mu: float) -> float:
        return float(fermi_expansion(mu, kT, band.centre, band.half_width, order) @ moments) - ensemble.n_electrons

    # where the whole band sat at one edge, this far from it N_e electrons would still not fill (or leave) it
    filled = ensemble.n_electrons / moments[0]
    low = band.centre - band.half_width - kT * (2 + max(0.0, -np.log(filled)))
    high = band.centre + band.half_width + kT * (2 + max(0.0, -np.log1p(-filled)))
    return float(brentq(excess, low, high, xtol=1e-14, rtol=1e-14, maxiter=200))


class _Scaled:
    """2 H~ = 2 (H - centre)/half_width in one precision, cut down to regions on request."""

    def __init__(self, H: Hamiltonian, band: Band, dtype: type) -> None:
        factor = 2 / band.half_width
        self.pointer, self.index = H.hopping.indptr.astype(np.int64), H.hopping.indices.astype(np.int64)
        self.value = (factor * H.hopping.data).astype(dtype)
        self.local = (factor * np.column_stack([H.onsite - band.centre, -H.exchange])).astype(dtype)

    def cut(self, block: Block) -> tuple[Array, Array, Array, Array]:
        where = np.full(len(self.local), -1)
        return localise(block.sites, self.pointer, self.index, self.value, where)


def _map(function: Callable[..., Result], items: Sequence[object]) -> list[Result]:
    """Over torch's number of threads; what numba compiled lets go of the interpreter's lock."""
    n_threads = min(torch.get_num_threads(), len(items))
    if n_threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, items))
