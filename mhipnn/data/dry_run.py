"""``python -m mhipnn.generate dry_run=true``: what labelling would take, from a timed sample; nothing is written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from ..errors import DatasetError
from ..threads import torch_threads
from .datamodule import SpinDataModule
from .definition import DatasetDefinition
from .labelled import LabelledConfigurations, array_names, collect
from .labelling import jobs_of
from .launchers.processes import Processes
from .progress import LabellingProgress
from .realisations import Job, Kind, label_jobs
from .shards import Gap, find_gaps, shards_of
from .store import shard_bytes

# A realisation that is labelled sooner is labelled twice: the first time includes what is compiled or loaded once.
QUICK = 2.0


@dataclass(frozen=True)
class Cost:
    """Of one realisation: configurations, seconds of one worker, bytes of its arrays."""

    configurations: int
    seconds: float
    n_bytes: int


def dry_run(data: SpinDataModule) -> dict[str, Any]:
    """Print and return what ``data.prepare_data()`` would make, and with which time and disk.

    One missing realisation of each kind (size, samplers that apply) is labelled in this process, with one thread, and
    thrown away; the others of its kind are taken to cost the same. What is on disk already costs nothing.

    Returns:
        folder; splits: for each split its ``realisations``, those ``there``, and of the others ``configurations``,
        ``seconds`` of one worker and ``bytes``; in all ``configurations``, ``worker_seconds``, ``bytes``,
        ``n_workers`` and ``seconds`` (with all of them busy).

    Raises:
        UserError: what labelling refuses, or data that are not labelled here.
    """
    if not isinstance(getattr(data, "definition", None), DatasetDefinition):
        raise DatasetError("dry_run=true: this dataset is read from files, there are no labels to make")
    gaps = find_gaps(data.definition, data.folder)
    costs = _sample(jobs_of(data.definition, gaps), data)
    rows = {split: _row(data, split, gaps, costs) for split in data.split_names}
    n_workers = (data.launcher or Processes(data.n_workers)).n_workers
    total = {name: sum(row[name] for row in rows.values()) for name in ("configurations", "bytes")}
    worker_seconds = sum(row["seconds"] for row in rows.values())
    longest = max((cost.seconds for cost in costs.values()), default=0.0)
    report = {
        "folder": str(data.folder),
        "splits": rows,
        **total,
        "worker_seconds": worker_seconds,
        "n_workers": n_workers,
        "seconds": max(worker_seconds / n_workers, longest),
    }
    _print(data, report)
    return report


def _sample(jobs: Sequence[Job], data: SpinDataModule) -> dict[Kind, Cost]:
    first: dict[Kind, Job] = {}
    for job in jobs:
        first.setdefault(job.kind, job)
    costs = {}
    with LabellingProgress("One realisation of each kind", first, 1, data.progress) as bar, torch_threads(1):
        for kind, job in first.items():
            (labelled,), seconds = label_jobs([job])
            if seconds < QUICK:
                seconds = min(seconds, label_jobs([job])[1])
            costs[kind] = Cost(len(labelled), seconds, _n_bytes(labelled))
            bar.done(kind, seconds, len(labelled))
    return costs


def _row(data: SpinDataModule, split: str, gaps: Sequence[Gap], costs: dict[Kind, Cost]) -> dict[str, Any]:
    mine = [gap for gap in gaps if gap.shard.split == split]
    each = [costs[job.kind] for job in jobs_of(data.definition, mine)]
    n = data.definition.realisations(split)
    # A file has a frame around its arrays; one that is only completed has it already.
    shards = [shard for shard in shards_of(data.definition, data.folder) if shard.split == split]
    frame = len(shard_bytes(collect([]), data.definition, split, shards[0].realisations))
    return {
        "realisations": n,
        "there": n - len(each),
        "configurations": sum(cost.configurations for cost in each),
        "seconds": sum(cost.seconds for cost in each),
        "bytes": sum(cost.n_bytes for cost in each) + frame * sum(gap.held is None for gap in mine),
    }


def _n_bytes(labelled: LabelledConfigurations) -> int:
    arrays = (getattr(labelled, name) for name in ("offsets", *array_names()))
    return sum(array.nbytes for array in arrays if array is not None)


def _print(data: SpinDataModule, report: dict[str, Any]) -> None:
    table = Table(title=f"Labels of {data.definition.name} to be made", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("split")
    for title in ("realisations", "there", "configurations", "time of one worker", "MiB"):
        table.add_column(title, justify="right")
    for split, row in report["splits"].items():
        counts = (str(row[name]) for name in ("realisations", "there", "configurations"))
        table.add_row(split, *counts, _duration(row["seconds"]), f"{row['bytes'] / 2**20:.2f}")
    table.add_section()
    worker_time, size = _duration(report["worker_seconds"]), f"{report['bytes'] / 2**20:.2f}"
    table.add_row("all", "", "", str(report["configurations"]), worker_time, size)
    console = Console()
    console.print(table)
    n = report["n_workers"]
    workers = "1 worker" if n == 1 else f"{n} workers"
    summary = f"About {_duration(report['seconds'])} with {workers}. Nothing is written."
    console.print(f"{summary} Folder: {report['folder']}", soft_wrap=True, highlight=False)
    script = getattr(data.launcher, "job_script", None)
    if script is not None:
        console.print("Each job that is submitted:\n", highlight=False)
        print(script())


def _duration(seconds: float) -> str:
    """2.3 s below a minute, h:mm:ss above."""
    return f"{seconds:.2g} s" if seconds < 10 else f"{timedelta(seconds=math.ceil(seconds))}"
