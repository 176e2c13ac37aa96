"""Exact diagonalization: from H to energies, fields, densities and forces, batched over replicas."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .hamiltonian import Bonds
from .hopping import Hopping
from .occupation import chemical_potential, fermi, grand_potential


@dataclass(frozen=True)
class FixedNumber:
    """Canonical: k_B T and the electron number N_e; the energy is F = Omega + mu N_e."""

    temperature: float
    n_electrons: float


@dataclass(frozen=True)
class FixedMu:
    """Grand canonical: k_B T and the chemical potential; the energy is Omega."""

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

    def site_energy(self) -> Tensor:
        """Local grand potential sum_n |psi_n(i)|^2 omega(e_n), plus mu N_e / N at fixed N_e; (R, N), sums to E."""
        n_sites = self.orbitals.shape[1]
        return self._site_sum(self.omega) + (self.number_energy / n_sites)[:, None]

    def density(self) -> Tensor:
        """Electrons on each site, <c+_i c_i>, (R, N)."""
        return self._site_sum(self.occupation)

    def spin_density(self) -> Tensor:
        """<c+_i sigma c_i>, (R, N, 3)."""
        up, down = self.orbitals.unbind(2)
        weight = self.occupation.to(up.real.dtype)[:, None, :]
        x = 2 * ((up.real * down.real + up.imag * down.imag) * weight).sum(-1)
        y = 2 * ((up.real * down.imag - up.imag * down.real) * weight).sum(-1)
        z = ((up.real**2 + up.imag**2 - down.real**2 - down.imag**2) * weight).sum(-1)
        return torch.stack([x, y, z], -1)

    def bond_order(self) -> Tensor:
        """Re sum_s <c+_is c_js>, (R, N, N)."""
        n_replicas, n_sites, _, n_levels = self.orbitals.shape
        # real and imaginary parts side by side: Re(a* b) is one real matrix product
        parts = torch.view_as_real(self.orbitals).permute(0, 1, 2, 4, 3).reshape(n_replicas, n_sites, 4 * n_levels)
        weight = self.occupation.to(parts.dtype).repeat(1, 4)[:, None, :]
        return (parts * weight) @ parts.mT

    def _site_sum(self, per_level: Tensor) -> Tensor:
        """sum_n |psi_n(i)|^2 a_n, (R, N)."""
        weight = (self.orbitals.real**2 + self.orbitals.imag**2).sum(2)
        return (weight @ per_level.to(weight.dtype)[:, :, None]).squeeze(-1)


def solve(H: Tensor, ensemble: Ensemble) -> ElectronicState:
    """Diagonalize H (R, 2N, 2N) and fill its levels; occupations are float64 whatever the precision of H.

    Raises:
        torch.linalg.LinAlgError: H is not finite or the eigensolver did not converge.
    """
    n_replicas, n_levels, _ = H.shape
    eigenvalues, vectors = torch.linalg.eigh(H)
    levels = eigenvalues.double()
    kT = ensemble.temperature
    if isinstance(ensemble, FixedMu):
        mu = torch.full((n_replicas,), ensemble.mu, dtype=levels.dtype, device=levels.device)
        number_energy = torch.zeros_like(mu)
    else:
        mu = chemical_potential(levels, ensemble.n_electrons, kT)
        number_energy = mu * ensemble.n_electrons
    orbitals = vectors.view(n_replicas, n_levels // 2, 2, n_levels)
    return ElectronicState(levels, orbitals, fermi(levels, mu, kT), grand_potential(levels, mu, kT), mu, number_energy)


def forces(bond_order: Tensor, bonds: Bonds, hopping: Hopping) -> Tensor:
    """F_i = -dE/dR_i = 2 sum_j sum_images t'(r_ij) Re<c+_i c_j> (unit vector i -> j), (N, 3); bond_order (N, N).

    Hellmann-Feynman; the 2 is that each bond is met from both its ends, which pull alike.
    """
    pull = 2 * hopping.derivative(bonds.distance) * bond_order.double()[bonds.receiver, bonds.source]
    result = torch.zeros(len(bond_order), 3, dtype=torch.float64, device=bond_order.device)
    return result.index_add_(0, bonds.receiver, pull[:, None] * bonds.direction)
