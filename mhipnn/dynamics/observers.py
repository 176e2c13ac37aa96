"""What looks at every frame of a run and keeps a few numbers of it, so that no run has to hold its frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ..configuration import Array, SpinConfiguration, moments_of
from .frames import Frame

Look = Callable[[Frame], Mapping[str, Array]]


class Observer(Protocol):
    """Numbers of a frame that are written beside it; a function of the frame alone, so that a resumed run is the same.

    Registered as kind ``observer``, and then a choice of ``simulate``: ``observers.NAME._target_=...``.
    """

    def shapes(self, configs: Sequence[SpinConfiguration]) -> Mapping[str, tuple[int, ...]]:
        """What is recorded of every replica, name -> shape."""
        ...

    def prepare(self, configs: Sequence[SpinConfiguration], rows: slice) -> Look:
        """A function of frames of some of the replicas, which run side by side: name -> (R, *shape)."""
        ...


class Watch:
    """Several observers of ``rows`` of the replicas: frame -> what is streamed, "observer/name" -> (R, ...)."""

    def __init__(
        self, observers: Mapping[str, Observer], configs: Sequence[SpinConfiguration], rows: slice = slice(None)
    ) -> None:
        self._looks = {name: observer.prepare(configs, rows) for name, observer in observers.items()}

    def __call__(self, frame: Frame) -> dict[str, Array]:
        return {
            f"{name}/{quantity}": values
            for name, look in self._looks.items()
            for quantity, values in look(frame).items()
        }


@dataclass(frozen=True)
class Magnetisation:
    """M = sum_i mu_i S_i / sum_i mu_i, (3,), of every replica."""

    def shapes(self, configs: Sequence[SpinConfiguration]) -> dict[str, tuple[int, ...]]:
        return {"m": (3,)}

    def prepare(self, configs: Sequence[SpinConfiguration], rows: slice) -> Look:
        moments = moments_of(configs[rows])
        weights = moments / moments.sum(1, keepdims=True)
        return lambda frame: {"m": np.einsum("rn,rna->ra", weights, frame.spins)}
