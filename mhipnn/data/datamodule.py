"""Labelled spin configurations for Lightning: made or found on disk, turned into graphs, and batched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader

from ..configuration import SpinConfiguration
from ..errors import ConfigError, suggest
from ..potential import Potential
from .batching import join
from .definition import DatasetDefinition
from .graph import SpinGraph, spin_graph
from .labelled import LabelledConfigurations
from .labelling import check_sources, label_dataset, load_split
from .launchers.base import Launcher
from .shuffle import EpochShuffle, InOrder
from .sources import build
from .statistics import Statistics, fit_statistics

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class SpinDataModule(LightningDataModule):
    """Train, val and test split by disorder realisation, and a size split of larger systems without training sites.

    The nodes ``structure``, ``potential``, ``samplers`` and ``size_split`` stay plain configuration (in YAML:
    ``_recursive_: false``, ``_convert_: all``), because their hash is how labels are found again.

    Args:
        name, structure, potential, samplers, splits, size_split, seed: see :class:`DatasetDefinition`.
        cutoff: of the graphs' edges, length; that of the model. Not needed to make labels.
        root: folder of all datasets.
        batch_size: configurations in a batch.
        dtype: "float32" or "float64", of the graphs (labels are stored, and energies kept, in float64).
        shuffle_seed: the order of training batches is a function of it and of the epoch.
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
        super().__init__()
        if dtype not in DTYPES:
            raise ConfigError(f"data.dtype: unknown {dtype!r}; {suggest(str(dtype), DTYPES)}")
        if not isinstance(batch_size, int) or batch_size < 1:
            raise ConfigError(f"data.batch_size must be an integer >= 1, got {batch_size!r}")
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
        self.cutoff = cutoff
        self.batch_size = batch_size
        self.dtype = DTYPES[dtype]
        self.shuffle_seed = shuffle_seed
        self.n_workers = n_workers
        self.progress = progress
        self.launcher: Launcher | None = None  # set it to make labels elsewhere
        self._labelled: dict[str, LabelledConfigurations] = {}
        self._graphs: dict[str, list[SpinGraph]] = {}
        self._statistics: Statistics | None = None

    @property
    def folder(self) -> Path:
        """Where the labels are."""
        return self.definition.folder(self.root)

    @property
    def split_names(self) -> tuple[str, ...]:
        return ("train", "val", "test", "size") if self.definition.size_split else ("train", "val", "test")

    def prepare_data(self) -> None:
        """Make the labels, or what is missing of them."""
        label_dataset(self.definition, self.root, self.n_workers, self.progress, self.launcher)

    def setup(self, stage: str | None = None) -> None:
        """Read the shards that a stage needs and build their graphs in memory."""
        needed = {"fit": ("train", "val"), "validate": ("val",), "test": ("test", "size")}
        for split in needed.get(stage or "", self.split_names):
            if split in self.split_names:
                self.graphs(split)

    def labelled(self, split: str) -> LabelledConfigurations:
        """Arrays of one split as stored: energies, fields, forces, spins, sites (float64)."""
        if split not in self._labelled:
            self._labelled[split] = load_split(self.definition, self.root, split)
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

    def potential(self) -> Potential:
        """The exact potential that labels."""
        return build(self.definition.potential, "potential")

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
            forces=labelled.forces[rows],
            realisation=int(labelled.realisation[index]),
            time=float(labelled.time[index]),
        )
