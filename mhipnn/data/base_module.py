"""What Lightning needs of labelled configurations, wherever they come from: graphs, scales and batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from ..configuration import SpinConfiguration
from ..errors import ConfigError, suggest
from ..potential import Potential
from .batching import join
from .graph import SpinGraph, spin_graph
from .labelled import LabelledConfigurations
from .shuffle import EpochShuffle, InOrder
from .statistics import Statistics, fit_statistics
from .units import MODEL_UNITS, Units

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class LabelledDataModule(LightningDataModule, ABC):
    """Splits ``train``, ``val``, ``test`` and perhaps ``size``, each read once and turned into graphs once.

    A subclass says where the labels are (``location``, ``read_split``), what made them (``potential``) and how they
    are found again (``record``).

    Args:
        name: of the dataset; a folder of runs is named after it.
        cutoff: of the graphs' edges, length; that of the model. Not needed to read labels.
        batch_size: configurations in a batch.
        dtype: "float32" or "float64", of the graphs (labels are stored, and energies kept, in float64).
        shuffle_seed: the order of training batches is a function of it and of the epoch.

    Raises:
        ConfigError: an unknown dtype, a batch size that is not a positive integer.
    """

    name: str

    def __init__(self, name: str, cutoff: float | None, batch_size: int, dtype: str, shuffle_seed: int) -> None:
        super().__init__()
        if dtype not in DTYPES:
            raise ConfigError(f"data.dtype: unknown {dtype!r}; {suggest(str(dtype), DTYPES)}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"data.batch_size must be an integer >= 1, got {batch_size!r}")
        self.name = name
        self.cutoff = cutoff
        self.batch_size = batch_size
        self.dtype = DTYPES[dtype]
        self.shuffle_seed = shuffle_seed
        self._labelled: dict[str, LabelledConfigurations] = {}
        self._graphs: dict[str, list[SpinGraph]] = {}
        self._statistics: Statistics | None = None

    @property
    @abstractmethod
    def split_names(self) -> tuple[str, ...]:
        """("train", "val", "test") or ("train", "val", "test", "size")."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the labels are, for people."""

    @abstractmethod
    def read_split(self, split: str) -> LabelledConfigurations:
        """Arrays of one split; called once."""

    @abstractmethod
    def potential(self) -> Potential | None:
        """The exact potential that labels, None where nobody knows it."""

    @abstractmethod
    def record(self) -> dict[str, Any]:
        """Plain values by which the record of a checkpoint finds the dataset again."""

    @property
    def units(self) -> Units:
        """What the labels count in."""
        return MODEL_UNITS

    @property
    def no_rollout(self) -> str | None:
        """Why rollouts cannot be compared with exact ones; None if they can."""
        return None

    def mebibytes(self, split: str) -> float:
        """What the labels of a split take on disk, or in memory."""
        labelled = self.labelled(split)
        arrays = [value for value in vars(labelled).values() if value is not None]
        return sum(array.nbytes for array in arrays) / 2**20

    def setup(self, stage: str | None = None) -> None:
        """Read what a stage needs and build its graphs in memory."""
        needed = {"fit": ("train", "val"), "validate": ("val",), "test": ("test", "size")}
        for split in needed.get(stage or "", self.split_names):
            if split in self.split_names:
                self.graphs(split)

    def labelled(self, split: str) -> LabelledConfigurations:
        """Arrays of one split as stored: energies, fields, forces, spins, sites (float64)."""
        if split not in self._labelled:
            self._labelled[split] = self.read_split(split)
        return self._labelled[split]

    def graphs(self, split: str) -> list[SpinGraph]:
        """One graph per configuration of a split."""
        if self.cutoff is None:
            raise ConfigError("data.cutoff is not set: graphs need the model's cutoff, give data.cutoff=<length>")
        if split not in self._graphs:
            labelled = self.labelled(split)
            self._graphs[split] = [self._graph(labelled, index) for index in range(len(labelled))]
        return self._graphs[split]

    def configurations(self, split: str) -> list[SpinConfiguration]:
        """All configurations of one split, in the order of their realisations."""
        labelled = self.labelled(split)
        return [labelled.configuration(index) for index in range(len(labelled))]

    @property
    def statistics(self) -> Statistics:
        """Scales of the labels, from the training split only."""
        if self._statistics is None:
            n_edges = [int(graph.edge_index.shape[1]) for graph in self.graphs("train")]
            self._statistics = fit_statistics(self.labelled("train"), n_edges)
        return self._statistics

    def train_dataloader(self) -> DataLoader:
        graphs = self.graphs("train")
        return self._loader(graphs, sampler=EpochShuffle(len(graphs), self.shuffle_seed))

    def val_dataloader(self) -> DataLoader:
        graphs = self.graphs("val")
        return self._loader(graphs, sampler=InOrder(len(graphs)))

    def test_dataloader(self) -> list[DataLoader]:
        """[test, size], or [test] if there is no size split."""
        return [self._loader(self.graphs(split)) for split in self.split_names[2:]]

    def _loader(self, graphs: list[SpinGraph], sampler: EpochShuffle | InOrder | None = None) -> DataLoader:
        # Collation in this process is faster than any number of workers: the graphs are in memory.
        return DataLoader(graphs, batch_size=self.batch_size, sampler=sampler, num_workers=0, collate_fn=join)  # type: ignore[arg-type]

    def _graph(self, labelled: LabelledConfigurations, index: int) -> SpinGraph:
        rows = labelled.sites(index)
        return spin_graph(
            labelled.configuration(index),
            float(self.cutoff),  # type: ignore[arg-type]
            dtype=self.dtype,
            energy=float(labelled.energy[index]),
            field=labelled.field[rows],
            forces=None if labelled.forces is None else labelled.forces[rows],
            realisation=int(labelled.realisation[index]),
            time=float(labelled.time[index]),
        )


def folder_mebibytes(folder: Path, pattern: str) -> float:
    """Size of the files of a folder that match."""
    return sum(path.stat().st_size for path in folder.glob(pattern)) / 2**20
