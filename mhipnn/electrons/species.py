"""Parameters that differ between species: one number for each, looked up for every site."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..configuration import SpinConfiguration
from ..errors import InputError, require_finite


def is_list(values: object) -> bool:
    """Whether these are values by species, rather than one for all."""
    return isinstance(values, Sequence) and not isinstance(values, str)


def numbers_of_species(name: str, values: object) -> tuple[float, ...]:
    """One finite number for each species.

    Raises:
        InputError: no list, an empty one, or something else in it.
    """
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) == 0:
        raise InputError(f"{name}: expected a list with one number for each species, got {values!r}")
    for species, value in enumerate(values):
        require_finite(f"{name} of species {species}", value)
    return tuple(float(value) for value in values)


def per_site(
    name: str, values: object, configs: Sequence[SpinConfiguration], device: torch.device | str = "cpu"
) -> Tensor:
    """values[species[i]] of every site, (R, N) float64; one number alone is that of all sites.

    Raises:
        InputError: a species for which there is no value.
    """
    if not is_list(values):
        return torch.full((len(configs), configs[0].n_sites), float(values), dtype=torch.float64, device=device)  # type: ignore[arg-type]
    table = np.asarray(values, dtype=np.float64)
    for config in configs:
        if config.species.max() >= len(table):
            site = int(config.species.argmax())
            raise InputError(
                f"{name}: no value for species {config.species[site]} of site {site}; "
                f"got {len(table)} value(s), for species 0 to {len(table) - 1}"
            )
    return torch.as_tensor(np.stack([table[config.species] for config in configs]), device=device)
