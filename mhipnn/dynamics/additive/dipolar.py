"""Dipole-dipole energy by direct summation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ...configuration import SpinConfiguration, moments_of
from ...errors import InputError, require_finite
from ...structures.neighbours import Edges, neighbour_list
from .base import AdditivePotential, FrozenTerm


@dataclass(frozen=True)
class Dipolar(AdditivePotential):
    """E = g sum_{i<j} mu_i mu_j [ S_i.S_j - 3 (S_i.n)(S_j.n) ]/r^3 with n = r_ij/r, every pair (and image) once.

    g = mu_0 mu_B^2/(4 pi a^3) in the unit of energy, with mu in mu_B and lengths in a. Two moments lie head to tail.
    The sum is direct: all pairs of open systems, or all images within ``cutoff``, a sphere cut from the crystal; the
    field of what lies beyond, and with it the shape of the sample, is left out. No Ewald summation: 2,800 open sites,
    or 4 million pairs, are the limit.

    Args:
        strength: g, energy times length^3.
        cutoff: length, or None: all pairs, in systems without periods.
        max_pairs: of all replicas together; memory is about 150 bytes a pair in float64.
        device, dtype: of the frozen form.

    Raises:
        InputError: a cutoff that is not > 0; when frozen, periods without a cutoff, or more than ``max_pairs``.
    """

    strength: float
    cutoff: float | None = None
    max_pairs: int = 4_000_000
    device: str = "cpu"
    dtype: str = "float64"

    has_forces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_precision()
        require_finite("dipolar: strength", self.strength)
        if self.cutoff is not None and not require_finite("dipolar: cutoff", self.cutoff) > 0:
            raise InputError(f"dipolar: cutoff: expected a length > 0, got {self.cutoff}")

    def frozen(self, configs: Sequence[SpinConfiguration], device: torch.device, dtype: torch.dtype) -> FrozenTerm:
        systems = [self._edges(config) for config in configs]
        n_pairs = sum(len(edges.source) for edges in systems) // 2
        if n_pairs > self.max_pairs:
            raise self._too_many(n_pairs)
        n_sites = configs[0].n_sites
        source, receiver = (np.concatenate([edges[k] + r * n_sites for r, edges in enumerate(systems)]) for k in (0, 1))
        along = np.concatenate(
            [
                config.positions[edges.source] - config.positions[edges.receiver] + edges.offset
                for config, edges in zip(configs, systems, strict=True)
            ]
        )
        mu = moments_of(configs).ravel()
        weight = self.strength * mu[source] * mu[receiver]
        return _FrozenDipolar(
            torch.from_numpy(source).to(device),
            torch.from_numpy(receiver).to(device),
            torch.as_tensor(along, device=device, dtype=dtype),
            torch.as_tensor(weight, device=device, dtype=dtype),
            len(mu),
        )

    def _edges(self, config: SpinConfiguration) -> Edges:
        if self.cutoff is not None:
            return neighbour_list(config.positions, config.cell, config.pbc, self.cutoff)
        if config.pbc.any():
            raise InputError(
                f"dipolar: pbc is {config.pbc.tolist()}: give a cutoff, or take a system that is open in all directions"
            )
        n = config.n_sites
        if n * (n - 1) // 2 > self.max_pairs:
            raise self._too_many(n * (n - 1) // 2)
        extent = float(np.linalg.norm(np.ptp(config.positions, axis=0)))
        return neighbour_list(config.positions, config.cell, config.pbc, 1.001 * extent + 1.0)

    def _too_many(self, n_pairs: int) -> InputError:
        return InputError(
            f"dipolar: {n_pairs} pairs, the limit is max_pairs={self.max_pairs}: take a smaller cutoff, fewer sites or "
            "replicas, or raise max_pairs"
        )


class _FrozenDipolar(FrozenTerm):
    """Edges j -> i sorted by receiver, with r_ij = R_j - R_i (E, 3) and g mu_i mu_j (E,)."""

    def __init__(self, source: Tensor, receiver: Tensor, along: Tensor, weight: Tensor, n_flat: int) -> None:
        self.device, self.dtype = along.device, along.dtype
        self.source, self.receiver, self.weight = source, receiver, weight
        self.r = torch.linalg.vector_norm(along, dim=-1)
        self.unit = along / self.r.unsqueeze(-1)
        self.coupling = weight / self.r**3
        self.lengths = torch.bincount(receiver, minlength=n_flat)

    def site_energy_and_field(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        if not len(self.source):
            return torch.zeros_like(spins[..., 0]), torch.zeros_like(spins)
        there = spins.reshape(-1, 3).index_select(0, self.source)
        along = (there * self.unit).sum(-1, keepdim=True)
        field = self._at_sites(self.coupling.unsqueeze(-1) * (3 * along * self.unit - there)).view(spins.shape)
        return -0.5 * (spins * field).sum(-1), field

    def forces(self, spins: Tensor) -> Tensor:
        """-dE/dR_i = -sum_j (3 w/r^4) [ (S_i.S_j - 5 a b) n + b S_i + a S_j ], n from i to j, a = S_i.n, b = S_j.n."""
        if not len(self.source):
            return torch.zeros_like(spins)
        flat = spins.reshape(-1, 3)
        here, there = flat.index_select(0, self.receiver), flat.index_select(0, self.source)
        a, b = ((side * self.unit).sum(-1, keepdim=True) for side in (here, there))
        shape = ((here * there).sum(-1, keepdim=True) - 5 * a * b) * self.unit + b * here + a * there
        return self._at_sites((-3 * self.coupling / self.r).unsqueeze(-1) * shape).view(spins.shape)

    def _at_sites(self, values: Tensor) -> Tensor:
        return torch.segment_reduce(values, "sum", lengths=self.lengths, axis=0)
