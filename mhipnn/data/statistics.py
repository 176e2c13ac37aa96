"""Scales of the labels, fitted on the training split only: what networks and losses are normalised by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..configuration import Array
from ..errors import DatasetError, InputError
from ..potential import tangential, torque
from .labelled import LabelledConfigurations


@dataclass(frozen=True)
class Statistics:
    """Means and root mean squares of one split; every rms is per Cartesian component.

    Spins, torques and fields count where there is a spin, |S_i| > 0.

    Args:
        energy_per_site_mean, energy_per_site_std: of E/N over configurations, energy units.
        torque_rms: of S_i x B_i; ``tangential_rms``: of the part of B_i normal to S_i; ``field_rms``: of B_i.
        radial_mean, radial_std: of S_i . B_i / |S_i| over sites, energy units.
        spin_length: sqrt(<|S_i|^2>) over sites.
        forces_rms: of F_i, energy/length; 0 if the data have none.
        mean_neighbours: directed edges per site within the cutoff.
        mean_sites: N averaged over configurations.
        n_configurations: how many were seen.
    """

    energy_per_site_mean: float
    energy_per_site_std: float
    torque_rms: float
    tangential_rms: float
    field_rms: float
    radial_mean: float
    radial_std: float
    forces_rms: float
    mean_neighbours: float
    mean_sites: float
    n_configurations: float
    spin_length: float

    def to_dict(self) -> dict[str, float]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Statistics:
        """Inverse of :meth:`to_dict`; InputError if a name is missing or unknown."""
        names = {f.name for f in fields(cls)}
        if set(values) != names:
            raise InputError(f"statistics: expected {', '.join(sorted(names))}; got {', '.join(sorted(values))}")
        return cls(**{name: float(value) for name, value in values.items()})


def fit_statistics(labelled: LabelledConfigurations, n_edges: Sequence[int] | NDArray[np.int64]) -> Statistics:
    """Statistics of a split.

    Args:
        labelled: C configurations.
        n_edges: (C,) directed edges of each.

    Raises:
        DatasetError: no configuration, or labels that are not finite.
    """
    if len(labelled) == 0:
        raise DatasetError("statistics: the training split holds no configuration")
    spins, field = labelled.spins[labelled.magnetic], labelled.field[labelled.magnetic]
    length = np.linalg.norm(spins, axis=-1)
    radial = (spins * field).sum(-1) / length if len(spins) else np.zeros(1)
    result = Statistics(
        energy_per_site_mean=float(labelled.energy_per_site.mean()),
        energy_per_site_std=float(labelled.energy_per_site.std()),
        torque_rms=rms(torque(spins, field)),
        tangential_rms=rms(tangential(spins, field)),
        field_rms=rms(field),
        radial_mean=float(radial.mean()),
        radial_std=float(radial.std()),
        forces_rms=0.0 if labelled.forces is None else rms(labelled.forces),
        mean_neighbours=float(np.sum(n_edges) / labelled.offsets[-1]),
        mean_sites=float(labelled.n_sites.mean()),
        n_configurations=float(len(labelled)),
        spin_length=rms(length),
    )
    bad = [name for name, value in result.to_dict().items() if not np.isfinite(value)]
    if bad:
        raise DatasetError(f"statistics: {', '.join(bad)} not finite; the training labels hold NaN or infinity")
    return result


def rms(values: Array) -> float:
    """sqrt(<x^2>) over all components."""
    return float(np.sqrt(np.mean(np.square(values)))) if values.size else 0.0
