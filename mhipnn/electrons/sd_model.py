"""The s-d model as a potential: classical spins, electrons solved exactly at each of their states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from ..configuration import Array, SpinConfiguration
from ..errors import InputError, require_finite
from ..potential import Evaluation, FrozenPotential, as_array, torque
from .exact import ElectronicState
from .frozen_sd_model import DTYPES, FrozenSDModel
from .hamiltonian import Bonds
from .hopping import ExponentialHopping, Hopping
from .kpm.settings import KPM, solver_of
from .species import is_list, numbers_of_species

BATCH = 2**22
"""Entries of the matrices that are solved in one go, 64 MiB: small systems share the work around the eigensolver."""


@dataclass(frozen=True)
class ElectronicEvaluation(Evaluation):
    """An :class:`Evaluation` with the electrons behind it.

    ``density`` (N,) is the number of electrons on each site, ``mu`` the chemical potential, energy.
    """

    density: Array = field(kw_only=True)
    mu: float = field(kw_only=True)


@dataclass(frozen=True)
class SDModel:
    """H = sum_{i<j} t(r_ij) (c+_i c_j + h.c.) + sum_i u_i c+_i c_i - sum_i J_i S_i . (c+_i sigma c_i).

    E is the Helmholtz free energy F = Omega + mu N_e at fixed filling and the grand potential
    Omega = -kT sum_n ln(1 + exp(-(e_n - mu)/kT)) at fixed mu; B_i = -dE/dS_i = J_i <c+_i sigma c_i> (Hellmann-Feynman).
    At kT = 0 levels are filled one by one: F is the sum of the N_e lowest levels (N_e a whole number), and a
    :class:`DegeneracyWarning` tells when the last electrons have a choice. One evaluation diagonalizes a complex
    2N x 2N matrix.

    Args:
        J: s-d coupling, energy; multiplies sigma, not sigma/2. One for all sites, or a list with one for each species.
        filling: electrons per site, 0 < filling < 2 (half filling 1); N_e = filling N is held fixed.
        temperature: electronic k_B T_e >= 0, energy.
        mu: chemical potential, energy; give either filling or mu.
        hopping: t(r) with ``derivative`` and ``r_cut``.
        device: of the diagonalization.
        dtype: "float64" or "float32" (or the torch dtype): of the matrices; levels are filled in float64.
        onsite: on-site energy u of each species, energy; default 0.
        solver: "exact" diagonalization, or "kpm": the kernel polynomial method, linear in N, with the settings of
            ``KPM()``; give ``KPM(...)`` for others. It needs kT > 0, and evaluates to a ``KPMEvaluation``.

    Raises:
        InputError: a value out of range, neither or both of filling and mu.
    """

    J: float | Sequence[float]
    filling: float | None = None
    temperature: float = 0.05
    mu: float | None = None
    hopping: Hopping = field(default_factory=ExponentialHopping)
    device: str | torch.device = "cpu"
    dtype: str | torch.dtype = "float64"
    onsite: Sequence[float] | None = None
    solver: str | KPM = "exact"

    def __post_init__(self) -> None:
        if is_list(self.J):
            object.__setattr__(self, "J", numbers_of_species("J", self.J))
        else:
            require_finite("J", self.J)
        if self.onsite is not None:
            object.__setattr__(self, "onsite", numbers_of_species("onsite", self.onsite))
        require_finite("temperature", self.temperature)
        if self.temperature < 0:
            raise InputError(f"temperature: the electrons need k_B T >= 0, got {self.temperature!r}")
        if (self.filling is None) == (self.mu is None):
            raise InputError(
                f"SDModel needs exactly one of filling and mu, got filling = {self.filling!r} and mu = {self.mu!r}"
            )
        if self.filling is not None:
            require_finite("filling", self.filling)
            if not 0 < self.filling < 2:
                raise InputError(f"filling: expected electrons per site between 0 and 2, got {self.filling!r}")
        else:
            require_finite("mu", self.mu)
        _check_hopping(self.hopping)
        solver_of(self.solver, self.temperature)
        name = str(self.dtype).removeprefix("torch.")
        if name not in DTYPES:
            raise InputError(f"dtype: expected one of {', '.join(DTYPES)}, got {self.dtype!r}")
        object.__setattr__(self, "dtype", name)
        object.__setattr__(self, "device", str(self.device))

    @property
    def has_forces(self) -> bool:
        """Whether t(r) has a slope: labels of a model without one have no forces."""
        return bool(getattr(self.hopping, "has_forces", True))

    def evaluate(self, config: SpinConfiguration, forces: bool = True) -> ElectronicEvaluation:
        """Energy, fields, densities and (if asked) forces of one configuration.

        Raises:
            NonFiniteError: the electrons cannot be solved, with the site.
            InputError: a species without its J or on-site energy, forces from a hopping that has none.
        """
        return self.evaluate_all([config], forces)[0]

    def evaluate_all(self, configs: Sequence[SpinConfiguration], forces: bool = True) -> list[ElectronicEvaluation]:
        """:meth:`evaluate` of every configuration; those of one size in a row are solved in batches.

        Raises:
            NonFiniteError, InputError: as :meth:`evaluate`.
        """
        if kpm := solver_of(self.solver, self.temperature):
            from .kpm.potential import evaluate  # its results extend those of this module

            return [evaluate(self, kpm, config, forces) for config in configs]
        results: list[ElectronicEvaluation] = []
        for n_sites, group in groupby(configs, key=lambda config: config.n_sites):
            size = max(1, BATCH // (2 * n_sites) ** 2)
            alike = list(group)
            for first in range(0, len(alike), size):
                results += self._evaluate_batch(alike[first : first + size], forces)
        return results

    def _evaluate_batch(self, configs: Sequence[SpinConfiguration], forces: bool) -> list[ElectronicEvaluation]:
        frozen = FrozenSDModel(self, configs)
        slopes = frozen.slopes() if forces else None  # a hopping without forces says so before the expensive part
        state = frozen.state(frozen.spins_of(configs))
        energy, local, field, density, mu = (
            as_array(values)
            for values in (state.energy(), state.site_energy(), frozen.field(state), state.density(), state.mu)
        )
        torques = torque(np.stack([config.spins for config in configs]), field)
        pulls = None if slopes is None else as_array(frozen.forces(state, slopes))
        return [
            ElectronicEvaluation(
                energy=float(energy[r]),
                site_energy=local[r],
                field=field[r],
                torque=torques[r],
                forces=None if pulls is None else pulls[r],
                density=density[r],
                mu=float(mu[r]),
            )
            for r in range(len(configs))
        ]

    def prepare(self, configs: Sequence[SpinConfiguration]) -> FrozenPotential:
        """Freeze the sites of R configurations with N sites each: hopping matrices are made once.

        Raises:
            InputError: no configuration, or different numbers of sites.
        """
        if kpm := solver_of(self.solver, self.temperature):
            from .kpm.potential import FrozenKPM

            return FrozenKPM(self, kpm, configs)
        return FrozenSDModel(self, configs)

    def state(self, config: SpinConfiguration) -> ElectronicState:
        """The solved electrons of one configuration: levels, orbitals, densities, density of states (R = 1)."""
        frozen = FrozenSDModel(self, [config])
        return frozen.state(frozen.spins_of([config]))

    def bond_currents(self, config: SpinConfiguration) -> tuple[Bonds, Tensor]:
        """All bonds, each once, and the electrons per time that flow along it from ``source`` to ``receiver``, (E,)."""
        frozen = FrozenSDModel(self, [config])
        state = frozen.state(frozen.spins_of([config]))
        return frozen.bonds, state.bond_currents(frozen.bonds, self.hopping)


def _check_hopping(hopping: object) -> None:
    if not all(hasattr(hopping, name) for name in ("__call__", "derivative", "r_cut")):
        raise InputError(f"hopping: expected an object like ExponentialHopping(), got {hopping!r}")
    require_finite("hopping r_cut", hopping.r_cut)  # type: ignore[attr-defined]
    if hopping.r_cut <= 0:  # type: ignore[attr-defined]
        raise InputError(f"hopping r_cut: expected a length > 0, got {hopping.r_cut!r}")  # type: ignore[attr-defined]
