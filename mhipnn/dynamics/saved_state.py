"""One instant of a run in a small file, to the bit: what a run goes on from, or where it failed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..atomic import atomic_path
from ..configuration import Array
from ..errors import DatasetError, InputError
from ..potential import FrozenPotential
from .integrators import LLGState


@dataclass(frozen=True)
class SavedState:
    """R replicas of a group after ``step`` steps.

    Args:
        spins: (R, N, 3) in the precision of the run.
        step: number of steps made.
        time: hbar/t0.
        seeds: of the noise, one a replica.
        group: number of the group of replicas.
    """

    spins: Array
    step: int
    time: float
    seeds: tuple[int, ...]
    group: int = 0

    @classmethod
    def of(cls, states: Sequence[LLGState], group: int = 0) -> SavedState:
        """Replicas of one instant, in as many states as they are stepped in."""
        spins = np.concatenate([state.spins.detach().cpu().numpy() for state in states])
        seeds = tuple(seed for state in states for seed in state.seeds)
        return cls(spins, states[0].step, states[0].time, seeds, group)

    def of_rows(self, rows: slice) -> SavedState:
        """Some of the replicas."""
        return replace(self, spins=self.spins[rows], seeds=self.seeds[rows])

    def on(self, force: FrozenPotential) -> LLGState:
        """The state as the potential wants its spins."""
        spins = torch.from_numpy(np.ascontiguousarray(self.spins)).to(force.device, force.dtype)
        return LLGState(spins, self.seeds, self.time, self.step)

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all. Raises InputError: it cannot be written."""
        values: dict[str, Any] = {"spins": self.spins, "step": self.step, "time": self.time, "group": self.group}
        try:
            with atomic_path(path) as partial, partial.open("wb") as file:
                np.savez(file, **values, seeds=np.array(self.seeds, np.uint64))
        except OSError as error:
            raise InputError(
                f"{path} cannot be written: {error.strerror or error}; all frames so far are kept, and the same "
                "command goes on from the last of them"
            ) from error

    @classmethod
    def load(cls, path: Path) -> SavedState:
        """Raises DatasetError: no such file, or not a state."""
        try:
            with np.load(path, allow_pickle=False) as kept:
                seeds = tuple(int(seed) for seed in kept["seeds"])
                return cls(kept["spins"], int(kept["step"]), float(kept["time"]), seeds, int(kept["group"]))
        except (OSError, KeyError, ValueError, TypeError) as error:
            raise DatasetError(f"{path} is not a saved state: {error}") from None


def time_after(steps: int, time_step: float) -> float:
    """The time of a state after so many steps, rounded as the integrators round it: one addition a step."""
    time = 0.0
    for _ in range(steps):
        time += time_step
    return time
