"""The s-d model solved by the kernel polynomial method, behind the same interface as by diagonalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from ...configuration import Array, SpinConfiguration
from ...errors import InputError, NonFiniteError
from ...potential import torque
from ..frozen_sd_model import DTYPES, ensemble_of
from ..hamiltonian import Bonds, along_bonds, bonds
from ..sd_model import ElectronicEvaluation, SDModel
from ..species import per_site
from .functional import Gradient, solve
from .hamiltonian import Hamiltonian, entries_of, sparse_hopping
from .regions import Block, local_regions, probing
from .settings import KPM, solver_of
from .spectra import Spectrum
from .spectrum import Band, band, hopping_bounds, spin_length_bound


@dataclass(frozen=True)
class KPMEvaluation(ElectronicEvaluation):
    """An :class:`ElectronicEvaluation` with what the kernel polynomial method did for it.

    ``torque_error``: estimated rms error of the torques, energy: by how much fields from the gradient and fields from
    the density matrix disagree. ``order`` of the expansion, ``radius`` of regions or colours (length), ``n_vectors``
    probed.
    """

    torque_error: float = field(kw_only=True)
    order: int = field(kw_only=True)
    radius: float = field(kw_only=True)
    n_vectors: int = field(kw_only=True)


@dataclass(frozen=True)
class _Sites:
    """All that does not depend on the spins of one configuration."""

    hopping_bounds: tuple[float, float]
    hopping: csr_array
    onsite: Array
    J: Array
    radius: float
    blocks: Sequence[Block]
    bonds: Bonds


class FrozenKPM:
    """The KPM energy at fixed sites as a function of spins; see :class:`mhipnn.potential.FrozenPotential`.

    Regions, colours and signs are chosen here once, whatever the spins; the expansion depends on the spins only
    through the length of the longest, in steps. So energies and fields belong together to rounding.
    """

    def __init__(self, model: SDModel, settings: KPM, configs: Sequence[SpinConfiguration]) -> None:
        sizes = sorted({config.n_sites for config in configs})
        if len(sizes) != 1:
            raise InputError(f"prepare: expected configurations of one size, got sizes {sizes}")
        self.model, self.settings = model, settings
        self.device = torch.device(model.device)
        self.dtype = DTYPES[str(model.dtype)]
        self.n_sites = sizes[0]
        self.ensemble = ensemble_of(model, self.n_sites)
        onsite = per_site("onsite", 0.0 if model.onsite is None else model.onsite, configs).numpy()
        J = per_site("J", model.J, configs).numpy()
        self.sites = [self._freeze(*one) for one in zip(configs, onsite, J, strict=True)]

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """spins (R, N, 3) -> energies (R,), fields B (R, N, 3)."""
        expected = (len(self.sites), self.n_sites, 3)
        if tuple(spins.shape) != expected:
            raise InputError(f"spins: expected shape {expected}, got {tuple(spins.shape)}")
        states = [
            self.solve(r, one, with_densities=False) for r, one in enumerate(spins.detach().double().cpu().numpy())
        ]
        fields = np.stack([sites.J[:, None] * state.spin for sites, state in zip(self.sites, states, strict=True)])
        energies = np.array([state.energy for state in states])
        return torch.as_tensor(energies).to(self.device, self.dtype), torch.as_tensor(fields).to(
            self.device, self.dtype
        )

    def solve(self, replica: int, spins: Array, with_bonds: bool = False, with_densities: bool = True) -> Gradient:
        """The electrons of one replica at spins (N, 3), as numpy arrays.

        Raises:
            NonFiniteError: spins that are not finite, a level outside the band.
        """
        bad = ~np.isfinite(spins).all(1)
        if bad.any():
            site = int(bad.argmax())
            raise NonFiniteError(
                f"the s-d Hamiltonian is not finite at site {site} of replica {replica}: look at the spin"
            )
        sites, scale = self.sites[replica], self.band(replica, spins)
        H = Hamiltonian(sites.hopping, sites.onsite, sites.J[:, None] * spins)
        order = self.settings.chosen_order(self.ensemble.temperature, scale)
        wanted = with_bonds, with_densities
        return solve(H, scale, sites.blocks, order, self.ensemble, self.dtype, self.device, *wanted)

    def band(self, replica: int, spins: Array) -> Band:
        """The interval that holds all levels at these spins."""
        sites = self.sites[replica]
        exchange = float(np.abs(sites.J).max()) * spin_length_bound(spins)
        return band(sites.hopping_bounds, sites.onsite, exchange, self.ensemble.temperature)

    def forces(self, replica: int, state: Gradient) -> Array:
        """F_i = -dE/dR_i of the same functional at fixed regions, (N, 3); the state was solved with bonds."""
        if state.bonds is None:
            raise InputError("forces: solve with_bonds=True first")
        sites = self.sites[replica]
        slope = along_bonds(self.model.hopping.derivative, self.model.hopping, sites.bonds).numpy()
        by_bond = state.bonds[entries_of(sites.hopping, sites.bonds)].sum(0)
        pull = (by_bond * slope)[:, None] * sites.bonds.direction.numpy()
        result = np.zeros((self.n_sites, 3))
        np.add.at(result, sites.bonds.receiver.numpy(), pull)
        np.subtract.at(result, sites.bonds.source.numpy(), pull)
        return result

    def _freeze(self, config: SpinConfiguration, onsite: Array, J: Array) -> _Sites:
        links = bonds([config], self.model.hopping.r_cut, torch.device("cpu"))
        T = sparse_hopping(self.n_sites, links, self.model.hopping)
        bounds = hopping_bounds(T)
        radius = self.settings.chosen_radius(self.ensemble.temperature, bounds, _hopping_length(links, T))
        if self.settings.method == "regions":
            blocks = local_regions(config, radius)
        else:
            blocks = probing(config, radius, self.settings.seed)
        return _Sites(bounds, T, onsite, J, radius, blocks, links)


def _hopping_length(bonds: Bonds, T: csr_array) -> float:
    """Mean bond length weighted with T_ij^2; 0 without bonds."""
    weight = T.data[entries_of(T, bonds)[0]] ** 2
    return float(weight @ bonds.distance.numpy() / weight.sum()) if weight.sum() > 0 else 0.0


def evaluate(model: SDModel, settings: KPM, config: SpinConfiguration, forces: bool) -> KPMEvaluation:
    """Energy, fields, densities, an estimate of the error and (if asked) forces of one configuration."""
    frozen = FrozenKPM(model, settings, [config])
    sites = frozen.sites[0]
    state = frozen.solve(0, config.spins, with_bonds=forces)
    if state.spin_again is None or state.site_energy is None or state.density is None:
        raise RuntimeError("densities were asked for")
    local_field, again = sites.J[:, None] * state.spin, sites.J[:, None] * state.spin_again
    torques = torque(config.spins, local_field)
    return KPMEvaluation(
        energy=state.energy,
        site_energy=state.site_energy,
        field=local_field,
        torque=torques,
        forces=frozen.forces(0, state) if forces else None,
        density=state.density,
        mu=state.mu,
        torque_error=float(np.sqrt(((torques - torque(config.spins, again)) ** 2).mean())),
        order=len(state.moments) - 1,
        radius=sites.radius,
        n_vectors=sum(2 * len(np.unique(block.pairs)) for block in sites.blocks),
    )


def spectrum(model: SDModel, config: SpinConfiguration) -> Spectrum:
    """Moments of the density of states of one configuration, by the model's KPM solver.

    A higher ``KPM(order=...)`` resolves finer: pi a/order with the Jackson kernel, a the half width of the band.

    Raises:
        InputError: the model's solver is exact.
    """
    settings = solver_of(model.solver, model.temperature)
    if settings is None:
        raise InputError("spectrum: the model's solver is 'exact'; take SDModel(solver=KPM(...)), or its levels")
    frozen = FrozenKPM(model, settings, [config])
    return Spectrum(frozen.solve(0, config.spins, with_densities=False).moments, frozen.band(0, config.spins))
