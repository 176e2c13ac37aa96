"""Pair energies: Heisenberg, Dzyaloshinskii-Moriya and biquadratic exchange, by distance or bond by bond."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...configuration import Array, SpinConfiguration
from ...errors import InputError, suggest
from ...structures.exchange import Exchange
from ...structures.neighbours import neighbour_list
from .base import AdditivePotential, FrozenTerm, unit_vector


@dataclass(frozen=True)
class DirectedBonds:
    """Both directions j -> i of every bond of one system, with its coefficients; D is that of i with j, D_ji = -D_ij.

    Args:
        receiver, source: (E,) i and j.
        J: (E,); D: (E, 3); K: (E,); energies, each of them None if there is none.
    """

    receiver: NDArray[np.int64]
    source: NDArray[np.int64]
    J: Array | None = None
    D: Array | None = None
    K: Array | None = None


class FrozenPairs(FrozenTerm):
    """E = -sum_{i<j} [ J_ij S_i.S_j + S_i.M_ij S_j + K_ij (S_i.S_j)^2 ], R systems of N sites side by side.

    The sum over a site's bonds is made in the order of the bonds, bond by bond: a replica does not depend on its batch.

    Args:
        systems: the bonds of every replica; D becomes M with S_i.M_ij S_j = D_ij.(S_i x S_j).
        n_sites: N.
        device, dtype: of the spins.
    """

    def __init__(
        self, systems: Sequence[DirectedBonds], n_sites: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        self.device, self.dtype = device, dtype
        orders = [np.argsort(bonds.receiver, kind="stable") for bonds in systems]

        def joined(name: str) -> Tensor | None:
            columns = [getattr(bonds, name) for bonds in systems]
            if columns[0] is None:
                return None
            return torch.as_tensor(
                np.concatenate([column[order] for column, order in zip(columns, orders, strict=True)]),
                device=device,
                dtype=dtype,
            )

        self.J, self.K, D = joined("J"), joined("K"), joined("D")
        self.matrix = None if D is None else cross_matrix(D)
        shifted = [
            (bonds.receiver[order] + r * n_sites, bonds.source[order] + r * n_sites)
            for r, (bonds, order) in enumerate(zip(systems, orders, strict=True))
        ]
        receiver = np.concatenate([pair[0] for pair in shifted])
        lengths = np.bincount(receiver, minlength=len(systems) * n_sites)
        self.receiver = torch.from_numpy(receiver).to(device)
        self.source = torch.from_numpy(np.concatenate([pair[1] for pair in shifted])).to(device)
        self.lengths = torch.from_numpy(lengths).to(device)

    def site_energy_and_field(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        flat = spins.reshape(-1, 3)
        if not len(self.source):
            return torch.zeros_like(spins[..., 0]), torch.zeros_like(spins)
        there = flat.index_select(0, self.source)
        bilinear = torch.zeros_like(there)
        if self.J is not None:
            bilinear = bilinear + self.J.unsqueeze(-1) * there
        if self.matrix is not None:
            bilinear = bilinear + (self.matrix * there.unsqueeze(-2)).sum(-1)
        field = self._at_sites(bilinear)
        if self.K is None:
            energy = -0.5 * (flat * field).sum(-1)
        else:
            dots = (flat.index_select(0, self.receiver) * there).sum(-1)
            quartic = self._at_sites((2 * self.K * dots).unsqueeze(-1) * there)
            energy = -0.5 * (flat * field).sum(-1) - 0.25 * (flat * quartic).sum(-1)
            field = field + quartic
        return energy.view(spins.shape[:2]), field.view(spins.shape)

    def _at_sites(self, values: Tensor) -> Tensor:
        """(E, 3) -> (R N, 3), summed over the bonds of every receiver."""
        return torch.segment_reduce(values, "sum", lengths=self.lengths, axis=0)


def cross_matrix(D: Tensor) -> Tensor:
    """M (E, 3, 3) with M S = S x D, so that S_i.M S_j = D.(S_i x S_j)."""
    x, y, z = D.unbind(-1)
    zero = torch.zeros_like(x)
    rows = [torch.stack(row, -1) for row in ((zero, z, -y), (-z, zero, x), (y, -x, zero))]
    return torch.stack(rows, -2)


@dataclass(frozen=True)
class PairExchange(AdditivePotential):
    """E = -sum_{i<j} f_ij [ J(r) S_i.S_j + D_ij.(S_i x S_j) + K(r) (S_i.S_j)^2 ], every pair (and image) once.

    J > 0 is ferromagnetic, K > 0 prefers collinear spins. D_ij = D(r) r_ij/r along the bond from i to j
    (``direction="bond"``, bulk crystals) or D(r) n x r_ij/r (``"interfacial"``, films with the normal n): a spiral with
    the phase q r along the bond has the energy -J cos q - D sin q, so D > 0 turns spins counter-clockwise about D_ij on
    the way from i to j, and a chain has tan q = D/J. f_ij = f_ji is one, or depends on the species of both.

    Args:
        J, D, K: functions of the distance with ``r_cut`` (:mod:`mhipnn.structures.exchange`), energies, or None.
        direction: of D_ij, "bond" or "interfacial".
        normal: n, three numbers of any length.
        factors: f, a symmetric matrix with one row for each species, or None.
        device, dtype: of the frozen form.

    Raises:
        InputError: none of J, D, K; another direction; factors that are not a symmetric matrix; when frozen, a species
            beyond them.
    """

    J: Exchange | None = None
    D: Exchange | None = None
    K: Exchange | None = None
    direction: str = "bond"
    normal: Any = (0.0, 0.0, 1.0)
    factors: Any = None
    device: str = "cpu"
    dtype: str = "float64"

    def __post_init__(self) -> None:
        self._check_precision()
        if self.J is None and self.D is None and self.K is None:
            raise InputError("pair exchange: give at least one of J, D and K, a function of the distance each")
        for name in ("J", "D", "K"):
            if getattr(self, name) is not None and not isinstance(getattr(self, name), Exchange):
                raise InputError(
                    f"pair exchange: {name}: expected a function of the distance with r_cut, like "
                    f"mhipnn.structures.ExponentialExchange(), got {getattr(self, name)!r}"
                )
        if self.direction not in ("bond", "interfacial"):
            raise InputError(f"pair exchange: direction: {suggest(str(self.direction), ('bond', 'interfacial'))}")
        object.__setattr__(self, "normal", tuple(unit_vector("pair exchange: normal", self.normal).tolist()))
        if self.factors is not None:
            try:
                table = np.array([list(row) for row in self.factors], float)
            except (TypeError, ValueError):
                table = np.zeros(0)
            if table.ndim != 2 or not len(table) or not np.array_equal(table, table.T) or not np.isfinite(table).all():
                raise InputError(f"pair exchange: factors: expected a symmetric matrix of numbers, got {self.factors}")
            object.__setattr__(self, "factors", tuple(map(tuple, table.tolist())))

    def frozen(self, configs: Sequence[SpinConfiguration], device: torch.device, dtype: torch.dtype) -> FrozenTerm:
        return FrozenPairs([self._bonds(config) for config in configs], configs[0].n_sites, device, dtype)

    def _bonds(self, config: SpinConfiguration) -> DirectedBonds:
        cutoff = max(form.r_cut for form in (self.J, self.D, self.K) if form is not None)
        source, receiver, offset = neighbour_list(config.positions, config.cell, config.pbc, cutoff)
        occupied = (config.moments[source] > 0) & (config.moments[receiver] > 0)
        source, receiver, offset = source[occupied], receiver[occupied], offset[occupied]
        along = config.positions[source] - config.positions[receiver] + offset
        r = np.linalg.norm(along, axis=1)
        factor = np.ones_like(r) if self.factors is None else self._factors(config, source, receiver)
        J, D, K = (None if f is None else factor * np.where(r < f.r_cut, f(r), 0.0) for f in (self.J, self.D, self.K))
        if D is not None:
            unit = along / r[:, None]
            D = D[:, None] * (unit if self.direction == "bond" else np.cross(self.normal, unit))
        return DirectedBonds(receiver, source, J, D, K)

    def _factors(self, config: SpinConfiguration, source: NDArray[np.int64], receiver: NDArray[np.int64]) -> Array:
        table = np.asarray(self.factors)
        if config.species.max() >= len(table):
            raise InputError(
                f"pair exchange: factors: no row for species {config.species.max()}, got {len(table)} rows"
            )
        return table[config.species[source], config.species[receiver]]


@dataclass(frozen=True)
class BondExchange(AdditivePotential):
    """E = -sum_b [ J_b S_i.S_j + D_b.(S_i x S_j) + K_b (S_i.S_j)^2 ] over given bonds b = (i, j), each listed once.

    Signs as in :class:`PairExchange`. Bonds do not look at positions; the same pair may be listed several times, as two
    images of it, and adds up.

    Args:
        pairs: (P, 2) sites i and j.
        J: (P,), or one number; D: (P, 3); K: (P,), or one number; energies, or None.
        path: in place of all of them: an npz file with arrays of these names.
        device, dtype: of the frozen form.

    Raises:
        InputError: arrays of other shapes, numbers that are not finite, a bond of a site with itself, a file that
            cannot be read; when frozen, a site that the configurations do not have.
    """

    pairs: Any = None
    J: Any = None
    D: Any = None
    K: Any = None
    path: str | None = None
    device: str = "cpu"
    dtype: str = "float64"

    def __post_init__(self) -> None:
        self._check_precision()
        if (self.path is None) == (self.pairs is None):
            raise InputError("bond exchange: give pairs, or the path of a file with them")
        given = {name: getattr(self, name) for name in ("pairs", "J", "D", "K")}
        if self.path is not None:
            given |= _read(self.path)
        pairs = _array("pairs", given["pairs"])
        if pairs.ndim != 2 or pairs.shape[1] != 2 or (pairs != pairs.astype(int)).any() or pairs.min(initial=0) < 0:
            raise InputError(f"bond exchange: pairs: expected two sites >= 0 a bond, got shape {pairs.shape}")
        if (pairs[:, 0] == pairs[:, 1]).any():
            raise InputError(f"bond exchange: bond {int(np.argmax(pairs[:, 0] == pairs[:, 1]))} joins a site to itself")
        object.__setattr__(self, "pairs", pairs.astype(np.int64))
        for name, shape in (("J", (len(pairs),)), ("D", (len(pairs), 3)), ("K", (len(pairs),))):
            value = given[name]
            if value is not None:
                value = _array(name, value)
                if value.ndim == 0 and len(shape) == 1:
                    value = np.full(shape, value)
                if value.shape != shape:
                    raise InputError(f"bond exchange: {name}: expected shape {shape}, got {value.shape}")
            object.__setattr__(self, name, value)
        if self.J is None and self.D is None and self.K is None:
            raise InputError("bond exchange: give at least one of J, D and K")

    def frozen(self, configs: Sequence[SpinConfiguration], device: torch.device, dtype: torch.dtype) -> FrozenTerm:
        n_sites = configs[0].n_sites
        if self.pairs.max(initial=0) >= n_sites:
            raise InputError(f"bond exchange: site {self.pairs.max()} of a bond, but there are {n_sites} sites, from 0")
        return FrozenPairs([self._bonds(config) for config in configs], n_sites, device, dtype)

    def _bonds(self, config: SpinConfiguration) -> DirectedBonds:
        kept = (config.moments[self.pairs] > 0).all(1)
        i, j = self.pairs[kept].T

        def both(values: Array | None, back: float = 1.0) -> Array | None:
            return None if values is None else np.concatenate([values[kept], back * values[kept]])

        ends = np.concatenate([i, j]), np.concatenate([j, i])
        return DirectedBonds(*ends, both(self.J), both(self.D, -1.0), both(self.K))


def _array(name: str, given: Any) -> Array:
    try:
        array = np.array(
            [list(row) if np.iterable(row) else row for row in given] if np.iterable(given) else given, float
        )
    except (TypeError, ValueError):
        raise InputError(f"bond exchange: {name}: expected numbers, got {given!r}") from None
    if not np.isfinite(array).all():
        raise InputError(f"bond exchange: {name}: a number is not finite")
    return array


def _read(path: str) -> dict[str, Any]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in ("pairs", "J", "D", "K") if name in file}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise InputError(f"bond exchange: {path} cannot be read as npz: {error}") from None
