"""What additive energies share: evaluation from their frozen form, device and precision, checks of arguments."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...configuration import Array, SpinConfiguration
from ...errors import InputError, require_finite, suggest
from ...potential import Evaluation, as_array, torque

DTYPES = {"float64": torch.float64, "float32": torch.float32}


class FrozenTerm(ABC):
    """An additive energy at fixed sites; see :class:`mhipnn.potential.FrozenPotential`."""

    device: torch.device
    dtype: torch.dtype

    @abstractmethod
    def site_energy_and_field(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """spins (R, N, 3) -> e_i (R, N), which sum to the energy, and B_i = -dE/dS_i (R, N, 3)."""

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """spins (R, N, 3) -> energies (R,), fields (R, N, 3)."""
        site_energy, field = self.site_energy_and_field(spins)
        return site_energy.sum(1), field

    def at(self, time: float) -> FrozenTerm:
        """The same energy as it is at a time, hbar/t0; itself if it does not depend on it."""
        return self

    def forces(self, spins: Tensor) -> Tensor | None:
        """F_i = -dE/dR_i, (R, N, 3); None if they are not known."""
        return None


class AdditivePotential(ABC):
    """A potential whose energy is a closed form of spins, moments and sites.

    ``device`` and ``dtype`` ("float64" or "float32") are those of its frozen form; inside a
    :class:`mhipnn.dynamics.additive.Sum` it adopts those of the sum.
    """

    has_forces: ClassVar[bool] = False
    device: str
    dtype: str

    @abstractmethod
    def frozen(self, configs: Sequence[SpinConfiguration], device: torch.device, dtype: torch.dtype) -> FrozenTerm:
        """This energy at the sites of R configurations of one size."""

    def prepare(
        self,
        configs: Sequence[SpinConfiguration],
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> FrozenTerm:
        """Freeze the sites of R configurations with N sites each; the spins that they carry are ignored.

        Args:
            configs: R configurations.
            device, dtype: in place of its own.

        Raises:
            InputError: no configuration, different numbers of sites, parameters that do not fit the sites.
        """
        sizes = sorted({config.n_sites for config in configs})
        if len(sizes) != 1:
            raise InputError(f"prepare: expected configurations of one size, got {sizes or 'none'}")
        return self.frozen(configs, torch.device(device or self.device), dtype or DTYPES[self.dtype])

    def evaluate(self, config: SpinConfiguration, forces: bool = True) -> Evaluation:
        """Energy, fields, torques of one configuration, at time 0 if it changes in time; forces if it has them."""
        frozen = self.prepare([config]).at(0.0)
        spins = torch.as_tensor(config.spins, dtype=frozen.dtype, device=frozen.device)[None]
        site_energy, field = (as_array(values[0]) for values in frozen.site_energy_and_field(spins))
        pulls = frozen.forces(spins) if forces else None
        return Evaluation(
            energy=float(site_energy.sum()),
            site_energy=site_energy,
            field=field,
            torque=torque(config.spins, field),
            forces=None if pulls is None else as_array(pulls[0]),
        )

    def _check_precision(self) -> None:
        """Normalise ``device`` and ``dtype`` of a frozen dataclass."""
        name = str(self.dtype).removeprefix("torch.")
        if name not in DTYPES:
            raise InputError(f"dtype: {self.dtype!r} is not known; {suggest(name, DTYPES)}")
        object.__setattr__(self, "dtype", name)
        object.__setattr__(self, "device", str(self.device))


def unit_vector(name: str, given: Any) -> Array:
    """Three numbers scaled to length 1, or InputError."""
    try:
        vector = np.array([float(component) for component in given])
    except (TypeError, ValueError):
        vector = np.zeros(0)
    length = np.linalg.norm(vector) if vector.shape == (3,) else 0.0
    if not (np.isfinite(length) and length > 0):
        raise InputError(f"{name}: expected three finite numbers that are not all zero, got {given}")
    return np.asarray(vector / length)


def by_species(name: str, given: Any) -> tuple[float, ...]:
    """One number for all species, as a tuple of one, or one for each."""
    if np.iterable(given) and not isinstance(given, str):
        values = tuple(require_finite(f"{name} of species {n}", value) for n, value in enumerate(given))
        if values:
            return values
        raise InputError(f"{name}: expected one number for each species, got none")
    return (require_finite(name, given),)


def per_site(name: str, table: Array, configs: Sequence[SpinConfiguration]) -> Array:
    """table[species[i]] of every site, (R, N, ...); one row alone is that of all species."""
    species = np.stack([config.species for config in configs])
    if len(table) == 1:
        return table[np.zeros_like(species)]
    if species.max() >= len(table):
        raise InputError(
            f"{name}: no value for species {species.max()}; got {len(table)} values, for species 0 to {len(table) - 1}"
        )
    return table[species]
