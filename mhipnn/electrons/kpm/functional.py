"""The KPM energy as one functional of spins and hopping, and its exact gradient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import brentq

from ...configuration import Array
from ...errors import NonFiniteError
from ..exact import Ensemble, FixedMu
from .chebyshev import fermi_expansion, grand_potential_expansion, quadratic_weights
from .cpu import CPURecursion
from .hamiltonian import Hamiltonian, scaled
from .kernels import FIELDS
from .regions import Block
from .spectrum import Band
from .torch_blocks import TorchRecursion

CPU = torch.device("cpu")
CHECK = 0.75  # of the order, for the second estimate of the spins: it sees the error of truncation too
ESCAPE = 1e-3  # |mu_m| may exceed mu_0 by this share in rounding; a level outside the band makes it grow exponentially


@dataclass(frozen=True)
class Gradient:
    """What one solution of the electrons gives, all of it float64.

    ``energy``: Omega, plus mu N_e at fixed number. ``spin`` (N, 3) = -dE/dh_i, the exact gradient. ``spin_again``
    (N, 3) estimates the same less well, from the density matrix itself at ``CHECK`` times the order, of each site in
    its region or as Tr(T_m P_i sigma T_m) of the probes: the difference shows how wrong the first may be. ``density``
    and ``site_energy`` (N,) come with it and sum to N_e and E. ``moments`` (order + 1,): sum_r <r|T_m|r>. ``bonds``:
    dE/dT_ij of each entry of T. What was not asked for is None.
    """

    energy: float
    mu: float
    moments: Array
    spin: Array
    spin_again: Array | None
    density: Array | None
    site_energy: Array | None
    bonds: Array | None


def solve(
    H: Hamiltonian,
    band: Band,
    blocks: Sequence[Block],
    order: int,
    ensemble: Ensemble,
    dtype: torch.dtype = torch.float64,
    device: torch.device = CPU,
    with_bonds: bool = False,
    with_densities: bool = True,
    plain: bool = False,
) -> Gradient:
    """E = sum_r <r|omega(H)|r> (+ mu N_e) over the vectors of all blocks, and its derivatives.

    Compiled code on CPUs (PyTorch's if ``plain``), PyTorch on other devices.

    mu makes sum_r <r|f(H)|r> = N_e with the Chebyshev coefficients of f = -d omega/d mu, so that E is stationary in
    mu to rounding, and its gradient at fixed number is that at fixed mu. Reverse accumulation after Barros and Kato,
    PRB 88, 235101 (2013).

    Raises:
        NonFiniteError: a level lies outside the band.
    """
    half = order // 2
    kT, shape = ensemble.temperature, (band.centre, band.half_width, 2 * half)
    if device.type == "cpu" and not plain:
        recursion: CPURecursion | TorchRecursion = CPURecursion(scaled(H, band), blocks, dtype)
    else:
        recursion = TorchRecursion(scaled(H, band), blocks, dtype, device)
    of_blocks = recursion.moments(half, with_densities)
    moments = np.sum([one[:, :, 0].sum(1) for one in of_blocks], axis=0)
    require_inside(moments)
    mu = _chemical_potential(moments, band, ensemble)
    energy, number = grand_potential_expansion(mu, kT, *shape), fermi_expansion(mu, kT, *shape)
    check = np.where(np.arange(order + 1) <= CHECK * order, number, 0.0)
    weights = np.hstack([quadratic_weights(series) for series in (energy, number, check)])
    fields, bonds = np.zeros((len(H.onsite), FIELDS)), np.zeros(H.hopping.nnz if with_bonds else 0)
    # in the order of the blocks, whatever the number of threads
    for block, (own, by_bond, entries) in zip(
        blocks, recursion.gradients(weights, with_bonds, with_densities), strict=True
    ):
        fields[block.sites] += own
        bonds[entries] += by_bond
    for block, of_block in zip(blocks, of_blocks, strict=True):
        if with_densities and block.local:
            sites, of_sites = block.sites[block.rows], of_block[:, block.pairs]
            fields[sites, 3] = number @ of_sites[:, :, 0]
            fields[sites, 4:7] = np.tensordot(check, of_sites[:, :, 1:], (0, 0))
            fields[sites, 7] = energy @ of_sites[:, :, 0]
    number_energy = 0.0 if isinstance(ensemble, FixedMu) else mu * ensemble.n_electrons
    return Gradient(
        energy=float(energy @ moments) + number_energy,
        mu=mu,
        moments=moments,
        spin=fields[:, :3] / band.half_width,
        spin_again=fields[:, 4:7] if with_densities else None,
        density=fields[:, 3] if with_densities else None,
        site_energy=fields[:, 7] + number_energy / len(fields) if with_densities else None,
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
