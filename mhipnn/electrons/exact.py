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
from .occupation import (
    chemical_potential,
    fermi,
    fermi_level,
    grand_potential,
    level_resolution,
    step_filling,
    warn_of_degeneracy,
)

NEGLIGIBLE = 1e-20
"""Occupation, below the last bit of every density that it adds to."""


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
    def n_occupied(self) -> int:
        """M: how many of the lowest levels hold electrons in any replica; above them f < 1e-20, nothing in a sum."""
        return int((self.occupation > NEGLIGIBLE).any(0).sum())

    @cached_property
    def planes(self) -> Tensor:
        """Re up, Im up, Re down, Im down of the occupied orbitals, (R, 4, M, N): sums over levels run along memory."""
        parts = torch.view_as_real(self.orbitals[..., : self.n_occupied].permute(0, 3, 1, 2))
        return parts.permute(0, 3, 4, 1, 2).flatten(1, 2).contiguous()

    def site_energy(self) -> Tensor:
        """Local grand potential sum_n |psi_n(i)|^2 omega(e_n), plus mu N_e / N at fixed N_e; (R, N), sums to E."""
        n_sites = self.orbitals.shape[1]
        return self._site_sum(self.omega) + (self.number_energy / n_sites)[:, None]

    def density(self) -> Tensor:
        """Electrons on each site, <c+_i c_i>, (R, N)."""
        return self._site_sum(self.occupation)

    def spin_density(self) -> Tensor:
        """<c+_i sigma c_i>, (R, N, 3)."""
        up_re, up_im, down_re, down_im = self.planes.unbind(1)
        weight = self.occupation[:, : self.n_occupied, None].to(up_re.dtype)
        x = 2 * ((up_re * down_re + up_im * down_im) * weight).sum(1)
        y = 2 * ((up_re * down_im - up_im * down_re) * weight).sum(1)
        z = ((up_re**2 + up_im**2 - down_re**2 - down_im**2) * weight).sum(1)
        return torch.stack([x, y, z], -1)

    def bond_order(self) -> Tensor:
        """Re sum_s <c+_is c_js>, (R, N, N)."""
        # real and imaginary parts one after another: Re(a* b) is one real matrix product
        parts = self.planes.flatten(1, 2)
        weight = self.occupation[:, : self.n_occupied].to(parts.dtype).repeat(1, 4)[:, :, None]
        return (parts * weight).mT @ parts

    def bond_currents(self, bonds: Bonds, hopping: Hopping, replica: int = 0) -> Tensor:
        """I = 2 t(r_ij) Im sum_s <c+_is c_js>, electrons per time that flow along each bond from j to i, (E,) float64.

        From dn_i/dt = i [H, n_i] = sum_j I_(j -> i); in equilibrium the currents into every site add up to zero.
        """
        # <c+_i c_j> = sum_n f_n psi*_n(i) psi_n(j), spins side by side
        flat = self.orbitals[replica].flatten(1)
        weight = self.occupation[replica].to(flat.real.dtype)
        overlap = ((flat * weight.repeat(2)).conj() @ flat.mT).imag
        return 2 * along_bonds(hopping, hopping, bonds) * overlap.double()[bonds.receiver, bonds.source]

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

    @cached_property
    def _weight(self) -> Tensor:
        """|psi_n(i)|^2 of the occupied levels, (R, M, N)."""
        return self.planes.square().sum(1)

    def _site_sum(self, per_level: Tensor) -> Tensor:
        """sum_n |psi_n(i)|^2 a_n, (R, N), where a_n vanishes as the occupation does."""
        weight = self._weight
        return (per_level[:, None, : self.n_occupied].to(weight.dtype) @ weight).squeeze(1)


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


def forces(bond_order: Tensor, bonds: Bonds, slopes: Tensor) -> Tensor:
    """F_i = -dE/dR_i = 2 sum_j sum_images t'(r_ij) Re<c+_i c_j> (unit vector i -> j), (N, 3).

    Hellmann-Feynman; the 2 is that each bond is met from both its ends, which pull alike.

    Args:
        bond_order: (N, N), Re sum_s <c+_is c_js>.
        bonds: all directed bonds.
        slopes: (E,), dt/dr on each bond, energy/length.
    """
    pull = 2 * slopes * bond_order.double()[bonds.receiver, bonds.source]
    result = torch.zeros(len(bond_order), 3, dtype=torch.float64, device=bond_order.device)
    return result.index_add_(0, bonds.receiver, pull[:, None] * bonds.direction)
