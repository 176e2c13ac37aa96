"""``python -m mhipnn.generate``: make or find the labels of a dataset and say what is there."""

from __future__ import annotations

from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig
from rich import box
from rich.console import Console
from rich.table import Table

from ..errors import ConfigError
from ..potential import torque
from .base_module import LabelledDataModule
from .datamodule import SpinDataModule
from .dry_run import dry_run
from .launchers.configured import configured
from .statistics import rms
from .writers import write_labels


def run(cfg: DictConfig) -> dict[str, Any]:
    """Label ``cfg.data`` if need be, print a table of its splits, and return its rows with the folder.

    With ``cfg.export`` all labels are also written into that file (extended XYZ or npz). With ``cfg.dry_run`` nothing
    is written: see :func:`mhipnn.data.dry_run.dry_run`.

    Raises:
        UserError: whatever labelling refuses.
    """
    # Labels know nothing of edges, so no model needs to be chosen here.
    data: LabelledDataModule = instantiate(cfg.data, cutoff=None)
    if isinstance(data, SpinDataModule):
        data.launcher = configured(cfg)
    if cfg.get("dry_run"):
        if not isinstance(data, SpinDataModule):
            raise ConfigError(f"dry_run: the labels of data={data.name} are there already; leave it out")
        return dry_run(data)
    data.prepare_data()
    rows = {split: _summary(data, split) for split in data.split_names}
    _print(data, rows)
    if cfg.get("export"):
        path = write_labels(cfg.export, {split: data.labelled(split) for split in data.split_names}, data.units)
        Console().print(f"Labels written to {path}", soft_wrap=True, highlight=False)
    return {"folder": data.location, "splits": rows}


def _summary(data: LabelledDataModule, split: str) -> dict[str, Any]:
    labelled = data.labelled(split)
    sites = np.unique(labelled.n_sites)
    return {
        "realisations": len(np.unique(labelled.realisation)),
        "configurations": len(labelled),
        "sites": str(sites[0]) if len(sites) == 1 else f"{sites[0]}..{sites[-1]}",
        "energy_per_site_mean": float(labelled.energy_per_site.mean()),
        "energy_per_site_std": float(labelled.energy_per_site.std()),
        "torque_rms": rms(torque(labelled.spins, labelled.field)),
        "mebibytes": data.mebibytes(split),
    }


def _print(data: LabelledDataModule, rows: dict[str, dict[str, Any]]) -> None:
    table = Table(title=f"Labels of {data.name}", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("split")
    for title in ("realisations", "configurations", "sites", "E/N (mean, std)", "torque", "MiB"):
        table.add_column(title, justify="right")
    for split, row in rows.items():
        energy = f"{row['energy_per_site_mean']:.3f}  {row['energy_per_site_std']:.3f}"
        counts = (str(row[name]) for name in ("realisations", "configurations", "sites"))
        table.add_row(split, *counts, energy, f"{row['torque_rms']:.4f}", f"{row['mebibytes']:.2f}")
    console = Console()
    console.print(table)
    console.print(f"Torque: rms per component. Folder: {data.location}", soft_wrap=True)
