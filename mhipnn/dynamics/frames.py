"""What a run records: instants, and all of them put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..configuration import Array, SpinConfiguration


@dataclass(frozen=True)
class Frame:
    """One recorded instant of R replicas.

    Args:
        time: hbar/t0.
        spins: (R, N, 3).
        energies: (R,), the energy of the potential plus -sum_i mu_i B_ext.S_i.
        fields: (R, N, 3), B_i of the potential alone.
        step: number of steps made.
        number: of the frame, from 0.
    """

    time: float
    spins: Array
    energies: Array
    fields: Array
    step: int = 0
    number: int = 0


@dataclass(frozen=True)
class Trajectory:
    """R replicas at T recorded times.

    Args:
        times: (T,), hbar/t0.
        spins: (T, R, N, 3).
        energies: (T, R), the energy of the potential plus -sum_i mu_i B_ext.S_i.
        configs: R configurations with N sites each; their spins are those of the start.
    """

    times: Array
    spins: Array
    energies: Array
    configs: list[SpinConfiguration]

    @classmethod
    def of(cls, frames: Sequence[Frame], configs: Sequence[SpinConfiguration]) -> Trajectory:
        """The frames of one run, put together."""
        return cls(
            times=np.array([frame.time for frame in frames]),
            spins=np.stack([frame.spins for frame in frames]),
            energies=np.stack([frame.energies for frame in frames]),
            configs=list(configs),
        )

    @property
    def n_replicas(self) -> int:
        return self.spins.shape[1]

    @property
    def n_sites(self) -> int:
        return self.spins.shape[2]
