"""Boltzmann samples of a classical Heisenberg model: thermal correlations without any electrons."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..errors import InputError
from ..potential import Potential
from .checks import require_count, require_number
from .exchange import Exchange, ExponentialExchange
from .neighbours import neighbour_list
from .spins import UNCORRELATED_TIME, random_spins


@dataclass(frozen=True)
class BoltzmannSpins:
    """Sampler of exp(-E/kT), E = -sum_{i<j} J(r_ij) S_i.S_j over all periodic images.

    From random spins, ``equilibration`` sweeps, in the first half of which 1/kT grows linearly from 0; then ``n``
    states, ``decorrelation`` sweeps apart. A sweep draws every spin in turn from its exact distribution in the field
    b_i = sum_j J_ij S_j of its neighbours (heat bath: density ~ exp(b_i.S_i/kT)), and then reflects every spin in turn
    at its field, S_i -> 2 (S_i.b_i) b_i/b_i^2 - S_i, which keeps the energy (over-relaxation).

    Sources: the heat bath, Miyatake et al., J. Phys. C 19, 2539 (1986); over-relaxation, Creutz, Phys. Rev. D 36, 515
    (1987).

    Args:
        temperature: kT > 0, in the energy unit of J. It need not be that of the electrons.
        exchange: J(r), an :class:`~mhipnn.structures.exchange.Exchange`.
        n: states on each realisation, each with time -1.
        every: use this sampler only for realisations whose number is divisible by it.
        equilibration: sweeps before the first state.
        decorrelation: sweeps between two states.

    Raises:
        InputError: a number out of range, an exchange without ``r_cut`` or that is not a function of r.
    """

    temperature: float
    exchange: Exchange = field(default_factory=ExponentialExchange)
    n: int = 1
    every: int = 1
    equilibration: int = 400
    decorrelation: int = 40

    def __post_init__(self) -> None:
        require_number("temperature", self.temperature, exclusive=True)
        for name in ("n", "every", "equilibration", "decorrelation"):
            require_count(f"BoltzmannSpins.{name}", getattr(self, name))
        if not isinstance(self.exchange, Exchange):
            raise InputError(
                f"exchange: expected a J(r) with a length r_cut, such as ExponentialExchange, got {self.exchange!r}"
            )

    def sample(
        self, sites: SpinConfiguration, potential: Potential, rng: np.random.Generator
    ) -> list[tuple[float, Array]]:
        from .heat_bath import sweep  # compiles, and numba takes long to import

        first, source, coupling = self._neighbours(sites)
        spins = random_spins(sites.n_sites, rng)
        states = []
        for number in range(self.equilibration + (self.n - 1) * self.decorrelation):
            warm = min(1.0, 2 * number / self.equilibration) / self.temperature
            sweep(spins, first, source, coupling, warm, rng.random((sites.n_sites, 2)))
            done = number + 1 - self.equilibration
            if done >= 0 and done % self.decorrelation == 0:
                states.append((UNCORRELATED_TIME, spins / np.linalg.norm(spins, axis=1, keepdims=True)))
        return states

    def energy(self, sites: SpinConfiguration, spins: Array) -> float:
        """E of these spins (N, 3); the constant of a site with its own images left out."""
        first, source, coupling = self._neighbours(sites)
        receiver = np.repeat(np.arange(sites.n_sites), np.diff(first))
        return float(-0.5 * (coupling * (spins[receiver] * spins[source]).sum(1)).sum())

    def _neighbours(self, sites: SpinConfiguration) -> tuple[Any, Any, Array]:
        """Where the neighbours of each site begin (N + 1,), the neighbours, and J_ij."""
        edges = neighbour_list(sites.positions, sites.cell, sites.pbc, self.exchange.r_cut)
        # |S_i| is fixed, so what couples a spin to its own images does not act on it
        edges = type(edges)(*(values[edges.source != edges.receiver] for values in edges))
        bonds = sites.positions[edges.source] - sites.positions[edges.receiver] + edges.offset
        coupling = np.asarray(self.exchange(np.linalg.norm(bonds, axis=1)), float)
        if coupling.shape != edges.source.shape or not np.isfinite(coupling).all():
            raise InputError(f"exchange: {self.exchange!r} must give one finite number for every distance")
        return np.searchsorted(edges.receiver, np.arange(sites.n_sites + 1)), edges.source, coupling
