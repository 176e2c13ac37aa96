"""Energies of single sites: magnetic fields and crystal anisotropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...configuration import Array, SpinConfiguration, moments_of
from ...errors import InputError
from ..schedules import as_schedule, value_at
from .base import AdditivePotential, FrozenTerm, by_species, per_site, unit_vector


@dataclass(frozen=True)
class Zeeman(AdditivePotential):
    """E = -sum_i mu_i B(t).S_i: moments want to lie along B. B_i = mu_i B.

    Args:
        field: B, three numbers, energy units (per unit of moment), or a schedule of them
            (:mod:`mhipnn.dynamics.schedules`): an object, or a mapping ``{schedule: NAME, ...}``.
        device, dtype: of the frozen form.

    Raises:
        ConfigError: no three finite numbers, an unknown schedule.
    """

    field: Any
    device: str = "cpu"
    dtype: str = "float64"

    has_forces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_precision()
        object.__setattr__(self, "field", as_schedule("zeeman: field", self.field, vector=True))

    def frozen(self, configs: Sequence[SpinConfiguration], device: torch.device, dtype: torch.dtype) -> _FrozenZeeman:
        return _FrozenZeeman(self.field, torch.as_tensor(moments_of(configs), device=device, dtype=dtype))


class _FrozenZeeman(FrozenTerm):
    def __init__(self, schedule: Any, moments: Tensor, time: float = 0.0) -> None:
        self.schedule, self.moments = schedule, moments
        self.device, self.dtype = moments.device, moments.dtype
        vector = torch.tensor(value_at(schedule, time), device=self.device, dtype=self.dtype)
        self.field = moments.unsqueeze(-1) * vector

    def at(self, time: float) -> _FrozenZeeman:
        return _FrozenZeeman(self.schedule, self.moments, time) if callable(self.schedule) else self

    def site_energy_and_field(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        return -(spins * self.field).sum(-1), self.field.clone()

    def forces(self, spins: Tensor) -> Tensor:
        return torch.zeros_like(spins)


@dataclass(frozen=True)
class UniaxialAnisotropy(AdditivePotential):
    """E = -sum_i K_i (S_i.n_i)^2: K > 0 an easy axis, K < 0 an easy plane. B_i = 2 K_i (S_i.n_i) n_i.

    Args:
        K: energy; one for all sites, or one for each species.
        axis: n, three numbers of any length, or three for each species.
        device, dtype: of the frozen form.

    Raises:
        InputError: a number that is not finite, a vector that is zero; when frozen, a species without its value.
    """

    K: Any
    axis: Any = (0.0, 0.0, 1.0)
    device: str = "cpu"
    dtype: str = "float64"

    has_forces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_precision()
        object.__setattr__(self, "K", by_species("uniaxial anisotropy: K", self.K))
        rows = list(self.axis) if np.iterable(self.axis) else []
        axes = rows if rows and np.iterable(rows[0]) else [self.axis]
        checked = tuple(tuple(unit_vector("uniaxial anisotropy: axis", axis).tolist()) for axis in axes)
        object.__setattr__(self, "axis", checked)

    def frozen(self, configs: Sequence[SpinConfiguration], device: torch.device, dtype: torch.dtype) -> FrozenTerm:
        K = per_site("uniaxial anisotropy: K", np.asarray(self.K), configs) * (moments_of(configs) > 0)
        axes = per_site("uniaxial anisotropy: axis", np.asarray(self.axis), configs)
        return _FrozenUniaxial(*(torch.as_tensor(values, device=device, dtype=dtype) for values in (K, axes)))


class _FrozenUniaxial(FrozenTerm):
    def __init__(self, K: Tensor, axes: Tensor) -> None:
        self.K, self.axes = K, axes
        self.device, self.dtype = K.device, K.dtype

    def site_energy_and_field(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        along = (spins * self.axes).sum(-1)
        return -self.K * along**2, (2 * self.K * along).unsqueeze(-1) * self.axes

    def forces(self, spins: Tensor) -> Tensor:
        return torch.zeros_like(spins)


@dataclass(frozen=True)
class CubicAnisotropy(AdditivePotential):
    """E = sum_i K1_i (s_a^2 s_b^2 + s_b^2 s_c^2 + s_c^2 s_a^2) with s_a = S_i.a: K1 > 0 prefers the cube's edges.

    B_i = -2 K1_i [ s_a (s_b^2 + s_c^2) a + s_b (s_c^2 + s_a^2) b + s_c (s_a^2 + s_b^2) c ].

    Args:
        K1: energy; one for all sites, or one for each species. K1 < 0 prefers the diagonals <111>.
        axes: two edges a and b of the cube, three numbers each, at right angles; the third is c = a x b.
        device, dtype: of the frozen form.

    Raises:
        InputError: a number that is not finite, axes that are not at right angles.
    """

    K1: Any
    axes: Any = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0))
    device: str = "cpu"
    dtype: str = "float64"

    has_forces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._check_precision()
        object.__setattr__(self, "K1", by_species("cubic anisotropy: K1", self.K1))
        rows = list(self.axes) if np.iterable(self.axes) else []
        if len(rows) != 2:
            raise InputError(f"cubic anisotropy: axes: expected two vectors, got {self.axes}")
        a, b = (unit_vector("cubic anisotropy: axes", axis) for axis in rows)
        if abs(a @ b) > 1e-6:
            raise InputError(f"cubic anisotropy: axes {self.axes} are not at right angles")
        object.__setattr__(self, "axes", (tuple(a.tolist()), tuple(b.tolist())))

    def frozen(self, configs: Sequence[SpinConfiguration], device: torch.device, dtype: torch.dtype) -> FrozenTerm:
        K1 = per_site("cubic anisotropy: K1", np.asarray(self.K1), configs) * (moments_of(configs) > 0)
        a, b = np.asarray(self.axes)
        frame: Array = np.stack([a, b, np.cross(a, b)])
        return _FrozenCubic(*(torch.as_tensor(values, device=device, dtype=dtype) for values in (K1, frame)))


class _FrozenCubic(FrozenTerm):
    def __init__(self, K1: Tensor, frame: Tensor) -> None:
        self.K1, self.frame = K1, frame
        self.device, self.dtype = K1.device, K1.dtype

    def site_energy_and_field(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        s = (spins.unsqueeze(-2) * self.frame).sum(-1)
        squares = s**2
        others = squares.sum(-1, keepdim=True) - squares
        energy = self.K1 * 0.5 * (squares * others).sum(-1)
        slope = (2 * self.K1).unsqueeze(-1) * s * others
        return energy, -(slope.unsqueeze(-1) * self.frame).sum(-2)

    def forces(self, spins: Tensor) -> Tensor:
        return torch.zeros_like(spins)
