"""Which candidates are worth an exact label: a score for each, and the choice among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from ...configuration import Array


class Acquisition(Protocol):
    """Scores candidates; the highest are labelled.

    ``min_members``: networks that it needs to compare. ``needs_exact``: whether it looks at exact torques, which costs
    an exact evaluation a candidate.
    """

    min_members: ClassVar[int]
    needs_exact: ClassVar[bool]

    def __call__(self, torques: Array, exact: Array | None, rng: np.random.Generator) -> Array:
        """Scores (C,) of C candidates.

        Args:
            torques: (k, C, N, 3) of k networks, energy units.
            exact: (C, N, 3), given if ``needs_exact``.
            rng: the only source of chance.
        """
        ...


class Committee:
    r"""Disagreement in the torque: sqrt(<|\tau_m - \bar\tau|^2>) over members m, sites and components.

    \bar\tau is the mean of the committee; absolute, in energy units, because absolute errors move spins.
    Source: query by committee, Seung, Opper, Sompolinsky, COLT 1992, 287; for potentials, Smith et al., J. Chem. Phys.
    148, 241733 (2018).
    """

    min_members: ClassVar[int] = 2
    needs_exact: ClassVar[bool] = False

    def __call__(self, torques: Array, exact: Array | None, rng: np.random.Generator) -> Array:
        return np.sqrt(((torques - torques.mean(0)) ** 2).mean(axis=(0, 2, 3)))


class Exact:
    """The true error: rms over sites and components of exact torque minus the committee's mean.

    It costs an exact evaluation of every candidate. What is chosen needs no other.
    """

    min_members: ClassVar[int] = 1
    needs_exact: ClassVar[bool] = True

    def __call__(self, torques: Array, exact: Array | None, rng: np.random.Generator) -> Array:
        if exact is None:
            raise ValueError("this acquisition needs exact torques")
        return np.sqrt(((torques.mean(0) - exact) ** 2).mean(axis=(1, 2)))


class Random:
    """Uniform random numbers: what any choice has to beat."""

    min_members: ClassVar[int] = 1
    needs_exact: ClassVar[bool] = False

    def __call__(self, torques: Array, exact: Array | None, rng: np.random.Generator) -> Array:
        return np.asarray(rng.random(torques.shape[1]))


def choose(scores: Array, realisations: Sequence[int], n: int, per_realisation: int) -> NDArray[np.int64]:
    """Numbers of the n candidates with the highest scores, best first, at most so many of one realisation.

    States of one quench are alike, and so are their scores: without the limit a batch says the same thing many times.
    Among equal scores the earlier candidate comes first.
    """
    taken: dict[int, int] = {}
    chosen: list[int] = []
    for index in np.argsort(-np.asarray(scores), kind="stable").tolist():
        if len(chosen) == n:
            break
        realisation = int(realisations[index])
        if taken.get(realisation, 0) < per_realisation:
            taken[realisation] = taken.get(realisation, 0) + 1
            chosen.append(index)
    return np.array(chosen, np.int64)
