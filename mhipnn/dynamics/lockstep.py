"""Replicas that go through time together: as one batch of tensors, or each on its own, to the bit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..configuration import SpinConfiguration
from ..errors import ConvergenceError, NonFiniteError
from ..potential import FrozenPotential, Potential
from .frames import Frame
from .integrators import LLGState
from .quench import Quench, moments_for
from .saved_state import SavedState

States = tuple[LLGState, ...]


@dataclass(frozen=True)
class _Part:
    """Replicas in one batch of tensors: their number within the group, what they are, and what drives them."""

    rows: slice
    quench: Quench
    configs: Sequence[SpinConfiguration]
    seeds: Sequence[int]
    force: FrozenPotential


class Lockstep:
    """R replicas, prepared and stepped together.

    Args:
        quench: what is integrated.
        potential: what drives it.
        configs: R configurations with N sites each.
        seeds: R, of the noise.
        separate: every replica in tensors of its own. Vectorised loops and matrix products may round otherwise in a
            batch; separate, a replica is to the bit what it is in any other company. It costs calls, not arithmetic.
        first: number of the first replica, in messages.
    """

    def __init__(
        self,
        quench: Quench,
        potential: Potential,
        configs: Sequence[SpinConfiguration],
        seeds: Sequence[int],
        separate: bool = False,
        first: int = 0,
    ) -> None:
        n = len(configs)
        parts = [slice(k, k + 1) for k in range(n)] if separate else [slice(0, n)]
        self._first = first
        self._parts = [
            _Part(rows, quench.of_replicas(rows), configs[rows], seeds[rows], potential.prepare(configs[rows]))
            for rows in parts
        ]

    def states(self, saved: SavedState | None = None) -> Iterator[States]:
        """Every instant from the start or from ``saved``, which is the first; see :meth:`.quench.Quench.states`.

        Raises:
            NonFiniteError, ConvergenceError: with the number of the replica in the whole run.
        """
        runs = [
            part.quench.states(
                part.force, part.configs, part.seeds, None if saved is None else saved.of_rows(part.rows).on(part.force)
            )
            for part in self._parts
        ]
        while True:
            states = []
            for part, run in zip(self._parts, runs, strict=True):
                try:
                    states.append(next(run))
                except StopIteration:
                    return
                except (NonFiniteError, ConvergenceError) as error:
                    raise self._of_the_run(error, part) from error
            yield tuple(states)

    def frame(self, states: States) -> Frame:
        """What is recorded of all replicas. Raises NonFiniteError."""
        frames = []
        for part, state in zip(self._parts, states, strict=True):
            try:
                frames.append(part.quench.frame(state, moments_for(part.force, part.configs)))
            except NonFiniteError as error:
                raise self._of_the_run(error, part) from error
        return replace(
            frames[0],
            spins=np.concatenate([one.spins for one in frames]),
            energies=np.concatenate([one.energies for one in frames]),
            fields=np.concatenate([one.fields for one in frames]),
        )

    def _of_the_run(self, error: Exception, part: _Part) -> Exception:
        return of_the_run(error, self._first + part.rows.start)


def of_the_run(error: Exception, first: int) -> Exception:
    """The same error, with replicas numbered as in the whole run; ``first`` is the number of the first."""
    return type(error)(re.sub(r"\breplica (\d+)", lambda found: f"replica {int(found[1]) + first}", str(error)))
