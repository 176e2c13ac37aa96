"""Labelled spin configurations for Lightning: made or found on disk, turned into graphs, and batched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..potential import Potential
from .base_module import LabelledDataModule, folder_mebibytes
from .definition import DatasetDefinition
from .labelled import LabelledConfigurations
from .labelling import check_sources, label_dataset, load_split
from .launchers.base import Launcher
from .sources import build


class SpinDataModule(LabelledDataModule):
    """Train, val and test split by disorder realisation, and a size split of larger systems without training sites.

    The nodes ``structure``, ``potential``, ``samplers`` and ``size_split`` stay plain configuration (in YAML:
    ``_recursive_: false``, ``_convert_: all``), because their hash is how labels are found again.

    Args:
        name, structure, potential, samplers, splits, size_split, seed: see :class:`DatasetDefinition`.
        cutoff, batch_size, dtype, shuffle_seed: see :class:`LabelledDataModule`.
        root: folder of all datasets.
        n_workers: labelling processes; None for one a core.
        progress: show a bar while labelling.

    Raises:
        UserError: an empty dataset, or whatever structure, potential and samplers refuse (filling 3, ...), at once.
    """

    def __init__(
        self,
        name: str,
        structure: Mapping[str, Any],
        potential: Mapping[str, Any],
        samplers: Mapping[str, Any],
        splits: Mapping[str, int],
        size_split: Mapping[str, Any] | None = None,
        seed: int = 0,
        cutoff: float | None = None,
        root: str | Path = "datasets",
        batch_size: int = 16,
        dtype: str = "float32",
        shuffle_seed: int = 0,
        n_workers: int | None = None,
        progress: bool = True,
    ) -> None:
        super().__init__(name, cutoff, batch_size, dtype, shuffle_seed)
        self.definition = DatasetDefinition(
            name=name,
            structure=structure,
            potential=potential,
            samplers=samplers,
            splits=splits,
            size_split=size_split,
            seed=seed,
        )
        check_sources(self.definition)
        self.root = Path(root)
        self.n_workers = n_workers
        self.progress = progress
        self.launcher: Launcher | None = None  # set it to make labels elsewhere

    @property
    def folder(self) -> Path:
        """Where the labels are."""
        return self.definition.folder(self.root)

    @property
    def location(self) -> str:
        return str(self.folder)

    @property
    def split_names(self) -> tuple[str, ...]:
        return ("train", "val", "test", "size") if self.definition.size_split else ("train", "val", "test")

    def prepare_data(self) -> None:
        """Make the labels, or what is missing of them."""
        label_dataset(self.definition, self.root, self.n_workers, self.progress, self.launcher)

    def read_split(self, split: str) -> LabelledConfigurations:
        return load_split(self.definition, self.root, split)

    def potential(self) -> Potential:
        """The exact potential that labels."""
        return build(self.definition.potential, "potential")

    def record(self) -> dict[str, Any]:
        return {"name": self.name, **self.definition.to_dict()}

    def mebibytes(self, split: str) -> float:
        return folder_mebibytes(self.folder, f"{split}-*.h5")
