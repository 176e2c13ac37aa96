"""Exact diagonalization: from H to energies, fields, densities, currents and forces, batched over replicas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ..errors import InputError
from .hamiltonian import Bonds, along_bonds
from .hopping import Hopping
from .level_sums import SiteSums, bond_orders, site_sums
from .occupation import (
    NEGLIGIBLE,
    chemical_potential,
    fermi,
    fermi_level,
    grand_potential,
    level_resolution,
    step_filling,
    warn_of_degeneracy,
)


@dataclass(frozen=True)
class FixedNumber:
    """Canonical: k_B T >= 0 and the electron number N_e, whole at k_B T = 0; the energy is F = Omega + mu N_e."""

    temperature: float
    n_electrons: float


@dataclass(frozen=True)
class FixedMu:
    """Grand canonical: k_B T >= 0 and the chemical potential; the energy is Omega."""

    temperature: float
    mu: float


Ensemble = FixedNumber | FixedMu


@dataclass(frozen=True)
class ElectronicState:
    """Levels, orbitals and occupations of R replicas with N sites.

    ``orbitals`` (R, N, 2, 2N) complex: site, spin, level; ``levels``, ``occupation``, ``omega`` (R, 2N) float64, the
    last one the grand potential of each level; ``mu`` (R,) float64; ``number_energy`` (R,) is mu N_e at fixed N_e and
    0 at fixed mu.
    """

    levels: Tensor
    orbitals: Tensor
    occupation: Tensor
    omega: Tensor
    mu: Tensor
    number_energy: Tensor

    def energy(self) -> Tensor:
        """F = Omega + mu N_e at fixed N_e, Omega at fixed mu; (R,) float64."""
        return self.omega.sum(1) + self.number_energy

    @cached_property
    def n_occupied(self) -> Tensor:
        """How many of the lowest levels of each replica hold electrons, (R,); above, f < 1e-20 is nothing in a sum."""
        return (self.occupation > NEGLIGIBLE).sum(1)

    @cached_property
    def levels_first(self) -> Tensor:
        """Real and imaginary parts of the orbitals as the eigensolver leaves them, (R, 2N, N, 4): level, site, part."""
        return torch.view_as_real(self.orbitals.permute(0, 3, 1, 2)).flatten(3).contiguous()

    @cached_property
    def site_sums(self) -> SiteSums:
        """Density, local grand potential and spin density, in one pass over the orbitals."""
        return site_sums(self.levels_first, self.n_occupied, self.occupation, self.omega)

    def site_energy(self) -> Tensor:
        """Local grand potential sum_n |psi_n(i)|^2 omega(e_n), plus mu N_e / N at fixed N_e; (R, N), sums to E."""
        return self.site_sums.grand_potential + (self.number_energy / self.orbitals.shape[1])[:, None]

    def density(self) -> Tensor:
        """Electrons on each site, <c+_i c_i>, (R, N)."""
        return self.site_sums.density

    def spin_density(self) -> Tensor:
        """<c+_i sigma c_i>, (R, N, 3)."""
        return self.site_sums.spin

    def bond_order(self, bonds: Bonds) -> Tensor:
        """Re sum_s <c+_is c_js> on each bond, (E,) float64."""
        arrays = (self.levels_first, self.n_occupied, self.occupation)
        return bond_orders(*arrays, bonds.receiver, bonds.source)

    def bond_currents(self, bonds: Bonds, hopping: Hopping) -> Tensor:
        """I = 2 t(r_ij) Im sum_s <c+_is c_js>, electrons per time that flow along each bond from j to i (less than 0:
        from i to j), (E,) float64.

        From dn_i/dt = i [H, n_i] = sum_j I_(j -> i); in equilibrium the currents into every site add up to zero.
        """
        # <c+_i c_j> = sum_n f_n psi*_n(i) psi_n(j), spins side by side
        flat = self.orbitals.flatten(2)
        weight = self.occupation.to(flat.real.dtype).repeat(1, 2)[:, None]
        overlap = ((flat * weight).conj() @ flat.mT).imag.flatten(0, 1)
        n_sites = flat.shape[1]
        return 2 * along_bonds(hopping, hopping, bonds) * overlap.double()[bonds.receiver, bonds.source % n_sites]

    def density_of_states(
        self, energies: Tensor, width: float, broadening: Literal["gaussian", "lorentzian"] = "gaussian"
    ) -> Tensor:
        """g(E) = sum_n delta_width(E - e_n), both spins together, 1/energy; its integral is 2N.

        Args:
            energies: (M,), energy.
            width: standard deviation of a Gaussian, half width at half maximum of a Lorentzian, energy, > 0.
            broadening: which of the two.

        Returns:
            (R, M) float64.

        Raises:
            InputError: a width that is not positive, an unknown broadening.
        """
        if not (math.isfinite(width) and width > 0):
            raise InputError(f"width of the density of states: expected an energy > 0, got {width!r}")
        grid = torch.as_tensor(energies, dtype=torch.float64, device=self.levels.device)
        x = (grid[None, :, None] - self.levels[:, None, :]) / width
        if broadening == "gaussian":
            return torch.exp(-(x**2) / 2).sum(-1) / (width * math.sqrt(2 * math.pi))
        if broadening == "lorentzian":
            return (1 / (1 + x**2)).sum(-1) / (math.pi * width)
        raise InputError(f"broadening: expected gaussian or lorentzian, got {broadening!r}")


def solve(H: Tensor, ensemble: Ensemble) -> ElectronicState:
    """Diagonalize H (R, 2N, 2N) and fill its levels; occupations are float64 whatever the precision of H.

    Raises:
        torch.linalg.LinAlgError: H is not finite or the eigensolver did not converge.
    """
    n_replicas, n_levels, _ = H.shape
    eigenvalues, vectors = torch.linalg.eigh(H)
    orbitals = vectors.view(n_replicas, n_levels // 2, 2, n_levels)
    return fill(eigenvalues.double(), orbitals, ensemble)


def fill(levels: Tensor, orbitals: Tensor, ensemble: Ensemble) -> ElectronicState:
    """Occupy levels (R, 2N) ascending, float64, with their orbitals (R, N, 2, 2N); warns of degeneracy at k_B T = 0."""
    kT = ensemble.temperature
    if isinstance(ensemble, FixedMu):
        mu = torch.full_like(levels[:, 0], ensemble.mu)
        number_energy = torch.zeros_like(mu)
    else:
        if kT > 0:
            mu = chemical_potential(levels, ensemble.n_electrons, kT)
        else:
            mu = fermi_level(levels, round(ensemble.n_electrons))
        number_energy = mu * ensemble.n_electrons
    if kT > 0:
        return ElectronicState(
            levels, orbitals, fermi(levels, mu, kT), grand_potential(levels, mu, kT), mu, number_energy
        )
    number = round(ensemble.n_electrons) if isinstance(ensemble, FixedNumber) else None
    occupation, shared = step_filling(levels, mu, level_resolution(levels, orbitals.dtype), number)
    warn_of_degeneracy(shared)
    # min(e - mu, 0) adds up to the lowest levels exactly, however a shell at mu is shared out
    omega = (levels - mu[:, None]).clamp(max=0)
    return ElectronicState(levels, orbitals, occupation, omega, mu, number_energy)


def forces(shape: tuple[int, int], bond_order: Tensor, bonds: Bonds, slopes: Tensor) -> Tensor:
    """F_i = -dE/dR_i = 2 sum_j sum_images t'(r_ij) Re<c+_i c_j> (unit vector i -> j), (R, N, 3).

    Hellmann-Feynman; the 2 is the Hermitian conjugate.

    Args:
        shape: replicas R and sites N.
        bond_order: (E,), Re sum_s <c+_is c_js> on each bond.
        bonds: all bonds.
        slopes: (E,), dt/dr on each bond, energy/length.
    """
    pull = (2 * slopes * bond_order)[:, None] * bonds.direction
    result = torch.zeros(shape[0] * shape[1], 3, dtype=torch.float64, device=bond_order.device)
    return result.index_add_(0, bonds.receiver, pull).index_add_(0, bonds.source, -pull).view(*shape, 3)
