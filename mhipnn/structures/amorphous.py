"""Disorder that comes from a file: molecular dynamics of a melt, reverse Monte Carlo, experiments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from ..configuration import SpinConfiguration
from ..errors import InputError
from .checks import require_scale
from .species import Species, as_species, with_species
from .spins import random_spins
from .structure_file import read_frames


@dataclass(frozen=True)
class Amorphous:
    """Sites of a file; each realisation is one of its frames, chosen by the generator, with uncorrelated spins.

    Every split of a dataset draws from all frames of the file: with few frames the same sites are met in training and
    in testing. Give a file of many more frames than realisations, or one dataset a file.

    Args:
        path: npz (``positions`` (F, N, 3), ``cell``, and if need be ``pbc`` and ``species``), or what ASE reads.
        density: every frame is scaled to so many sites per length, area or volume of its periodic directions; None
            keeps the lengths of the file.
        species: ``{fractions: [0.8, 0.2]}`` shares species out at random; None: those of the file.
        sha256: what the content of the file must hash to; None: the path alone counts.

    Raises:
        InputError: density not a number > 0, or given for a frame without periods.
        DatasetError: a file that is missing, damaged or of another content.
    """

    path: str
    density: float | None = 1.0
    species: Species | Mapping[str, Any] | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.density is not None:
            require_scale("density", self.density)
        object.__setattr__(self, "species", as_species(self.species))
        _ = self.frames  # complain now, not in the middle of labelling

    @cached_property
    def frames(self) -> list[SpinConfiguration]:
        """All frames, scaled, spins along z."""
        frames = read_frames(self.path, self.sha256)
        return frames if self.density is None else [self._scaled(frame, n) for n, frame in enumerate(frames)]

    def sample(self, rng: np.random.Generator) -> SpinConfiguration:
        """One realisation, with uncorrelated unit spins."""
        frame = self.frames[int(rng.integers(len(self.frames)))]
        return with_species(frame.with_spins(random_spins(frame.n_sites, rng)), as_species(self.species), rng)

    def enlarged(self, factor: int) -> Amorphous:
        """Frames have the size that they have: raises InputError."""
        raise InputError(
            f"the frames of {self.path} cannot be made {factor} times as large without repeating their disorder; "
            "set size_split: null, or give the large systems as a dataset of their own"
        )

    def _scaled(self, frame: SpinConfiguration, number: int) -> SpinConfiguration:
        vectors = frame.cell[frame.pbc]
        if len(vectors) == 0:
            raise InputError(f"{self.path}: frame {number} has no periodic direction and so no density; density: null")
        measure = math.sqrt(np.linalg.det(vectors @ vectors.T))
        scale = (frame.n_sites / (self.density * measure)) ** (1 / len(vectors))  # type: ignore[operator]
        return replace(frame, positions=frame.positions * scale, cell=frame.cell * scale)
