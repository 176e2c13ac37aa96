"""Datasets made from another one: its labels, but for what a subclass changes in the training split."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ConfigError
from ..potential import Potential
from .base_module import LabelledDataModule
from .labelled import LabelledConfigurations
from .sources import build
from .units import Units


class DerivedData(LabelledDataModule):
    """The splits of another dataset, with another training split; everything else is passed on.

    Args:
        start: the dataset that it is made from.
    """

    def __init__(self, start: LabelledDataModule) -> None:
        dtype = str(start.dtype).removeprefix("torch.")
        super().__init__(start.name, start.cutoff, start.batch_size, dtype, start.shuffle_seed)
        self.start = start

    @property
    def split_names(self) -> tuple[str, ...]:
        return self.start.split_names

    @property
    def location(self) -> str:
        return self.start.location

    @property
    def units(self) -> Units:
        return self.start.units

    @property
    def no_rollout(self) -> str | None:
        return self.start.no_rollout

    def prepare_data(self) -> None:
        self.start.prepare_data()

    def read_split(self, split: str) -> LabelledConfigurations:
        labelled = self.start.labelled(split)
        return self.changed(labelled) if split == "train" else labelled

    def changed(self, train: LabelledConfigurations) -> LabelledConfigurations:
        """The training split, from that of the other dataset."""
        return train

    def potential(self) -> Potential | None:
        return self.start.potential()

    def record(self) -> dict[str, Any]:
        return self.start.record()


class TrainingSubset(DerivedData):
    """A random part of the training realisations, all configurations of each: what one member of an ensemble sees.

    Args:
        start: node of the dataset.
        fraction: of its training realisations, rounded to a whole number, at least one.
        seed: of the choice; which realisations are taken depends on it and on their number alone.
        dtype: "float32" or "float64", of the graphs; trainings read it here, where other datasets have it.

    Raises:
        ConfigError: a fraction outside (0, 1].
    """

    def __init__(self, start: Mapping[str, Any], fraction: float, seed: int, dtype: str) -> None:
        super().__init__(build({**start, "dtype": dtype}, "data"))
        self.fraction, self.seed = checked_fraction(fraction), seed

    def changed(self, train: LabelledConfigurations) -> LabelledConfigurations:
        known = np.unique(train.realisation)
        n = max(1, round(self.fraction * len(known)))
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(len(known),)))
        taken = rng.choice(known, n, replace=False)
        return train.select(np.flatnonzero(np.isin(train.realisation, taken)))


def checked_fraction(fraction: Any) -> float:
    """The fraction as a float; raises ConfigError if it is not in (0, 1]."""
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 < fraction <= 1:
        raise ConfigError(f"fraction={fraction}: expected a number above 0 and up to 1, the share of realisations")
    return float(fraction)
