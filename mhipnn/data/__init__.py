"""Labelled configurations: how they are defined, made, stored, and turned into graphs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# Names resolve on first use: labelling processes import this package and have no need of lightning or PyG.
_EXPORTS = {
    "DatasetDefinition": "definition",
    "FileDataModule": "files",
    "LabelledConfigurations": "labelled",
    "SpinDataModule": "datamodule",
    "SpinGraph": "graph",
    "Statistics": "statistics",
    "Units": "units",
    "label_dataset": "labelling",
    "load_split": "labelling",
    "read_files": "readers",
    "read_shard": "store",
    "spin_graph": "graph",
    "write_labels": "writers",
    "write_shard": "store",
}
__all__ = list(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
