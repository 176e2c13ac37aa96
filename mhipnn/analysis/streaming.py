"""C(r, t) while a run goes on: the observer that keeps correlations and forgets spins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..configuration import Array, SpinConfiguration
from ..dynamics.frames import Frame
from ..dynamics.observers import Look
from ..dynamics.trajectory import TrajectoryReader
from ..errors import ConfigError
from .correlations import RadialCorrelation, bin_middles, largest_distance, pair_bins


@dataclass(frozen=True)
class Correlations:
    """C(r) of every replica at every frame: ``value`` (B,) and the directed pairs in each bin, ``count`` (B,).

    Args:
        r_max: largest distance, mean spacings (default: 5, or half of the narrowest box if that is less).
        bin_width: mean spacings.

    Raises:
        ConfigError: a width that is not > 0.
    """

    r_max: float | None = None
    bin_width: float = 0.5

    def __post_init__(self) -> None:
        if not self.bin_width > 0:
            raise ConfigError(f"correlations: bin_width is {self.bin_width}; give a length > 0")
        if self.r_max is not None and not self.r_max >= self.bin_width:
            raise ConfigError(f"correlations: r_max is {self.r_max}; give a length >= bin_width ({self.bin_width})")

    def shapes(self, configs: Sequence[SpinConfiguration]) -> dict[str, tuple[int, ...]]:
        return {"value": self._r(configs).shape, "count": self._r(configs).shape}

    def prepare(self, configs: Sequence[SpinConfiguration], rows: slice) -> Look:
        each = [pair_bins(config, self._r_max(configs), self.bin_width) for config in configs[rows]]
        count = np.stack([pairs.count for pairs in each])

        def look(frame: Frame) -> dict[str, Array]:
            states = zip(each, frame.spins, strict=True)
            return {"value": np.stack([pairs.correlation(spins[None])[0] for pairs, spins in states]), "count": count}

        return look

    def streamed(self, reader: TrajectoryReader, name: str) -> RadialCorrelation | None:
        """C(r, t) that a run recorded under this name, ``value`` (T, R, B), ``count`` (R, B); None: it did not."""
        streams = reader.streams()
        if f"{name}/value" not in streams:
            return None
        return RadialCorrelation(
            self._r(reader.configs), streams[f"{name}/value"], streams[f"{name}/count"][0].astype(int)
        )

    def _r_max(self, configs: Sequence[SpinConfiguration]) -> float:
        return largest_distance(configs, self.bin_width) if self.r_max is None else self.r_max

    def _r(self, configs: Sequence[SpinConfiguration]) -> Array:
        return bin_middles(self._r_max(configs), self.bin_width)
