"""The way down to a minimum in files: energies and torques against the iterations, and where it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from ..atomic import atomic_path
from ..configuration import Array
from ..errors import InputError
from ..potential import as_array
from .minimise import Descent

STATE = "descent_state.npz"


class Descents(NamedTuple):
    """Energies and largest torques of replicas against iterations, (I + 1, R) each; those at rest stay where they are.

    ``tolerance`` is the torque below which they are at rest.
    """

    energies: Array
    torques: Array
    tolerance: float


def descent_path(trajectory: Path, group: int) -> Path:
    """Where a group keeps its energies and torques against the iterations."""
    return trajectory.parent / f"descent_{group}.npz"


def read_descents(trajectory: Path, n_groups: int) -> Descents:
    """Those of all replicas of a run.

    Raises:
        InputError: a file that is missing or damaged.
    """
    energies, torques, tolerance = [], [], 0.0
    for group in range(n_groups):
        path = descent_path(trajectory, group)
        try:
            with np.load(path, allow_pickle=False) as kept:
                energies.append(kept["energies"])
                torques.append(kept["torques"])
                tolerance = float(kept["tolerance"])
        except (OSError, KeyError, ValueError) as error:
            raise InputError(f"{path} cannot be read: {error}") from None
    return Descents(_side_by_side(energies), _side_by_side(torques), tolerance)


class Track:
    """Energies and torques of a group of replicas against the iterations, and the state from which it goes on.

    Args:
        trajectory: path; the files stand beside it.
        group: its number.
    """

    def __init__(self, trajectory: Path, group: int) -> None:
        self.path, self.state_path = descent_path(trajectory, group), trajectory.parent / STATE
        self.group = group
        self.energies: list[Array] = []
        self.torques: list[Array] = []
        self.last: Descent | None = None

    def add(self, descent: Descent) -> None:
        """The next iteration."""
        self.last = descent
        self.energies.append(as_array(descent.energies))
        self.torques.append(as_array(descent.torques))

    def save(self) -> None:
        """Write energies, torques and tolerance. Raises InputError: it cannot be written."""
        _save(self.path, self._lines())

    def save_state(self) -> None:
        """Write what the rest of the way depends on, and the way so far. Raises InputError: it cannot be written."""
        if self.last is not None:
            own = {name: getattr(self.last, name).cpu().numpy() for name in ("spins", "steps", "memory")}
            own |= {"iterations": self.last.iterations, "iteration": self.last.iteration, "group": self.group}
            _save(self.state_path, self._lines() | own)

    def restored(self, n_replicas: int) -> Descent | None:
        """The state that was saved of this group, to be added again as the next iteration; None without one."""
        try:
            with np.load(self.state_path, allow_pickle=False) as kept:
                state = {name: kept[name] for name in kept.files}
            if int(state["group"]) != self.group or len(state["spins"]) != n_replicas:
                return None
            descent = Descent(
                iteration=int(state["iteration"]),
                energies=torch.from_numpy(state["energies"][-1]),
                torques=torch.from_numpy(state["torques"][-1]),
                tolerance=float(state["tolerance"]),
                iterations=state["iterations"],
                **{name: torch.from_numpy(state[name]) for name in ("spins", "steps", "memory")},
            )
        except (OSError, KeyError, ValueError, TypeError):  # there is none, or another's
            return None
        self.energies, self.torques = [*state["energies"][:-1]], [*state["torques"][:-1]]
        return descent

    def _lines(self) -> dict[str, Any]:
        tolerance = 0.0 if self.last is None else self.last.tolerance
        return {"energies": np.stack(self.energies), "torques": np.stack(self.torques), "tolerance": tolerance}


def _save(path: Path, values: Mapping[str, Any]) -> None:
    try:
        with atomic_path(path) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **values)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror or error}") from error


def _side_by_side(each: Sequence[Array]) -> Array:
    """Tracks (I, R) of several lengths as one; the last values of the short ones are repeated."""
    longest = max(map(len, each))
    return np.concatenate([np.pad(one, ((0, longest - len(one)), (0, 0)), mode="edge") for one in each], axis=1)
