"""``mhipnn.ensemble`` as a function: labels, members side by side, their mean and spread on the test splits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...data.base_module import LabelledDataModule
from ...data.datamodule import SpinDataModule
from ...data.launchers.configured import configured
from ...nn.checkpoint import load_ensemble
from ...run_folder import RunFolder
from ..parts import build_model, describe, quiet_lightning, quiet_trainer, require_species
from .members import Report, train_members
from .predictions import predict_ensemble
from .report import EnsembleReport
from .settings import Settings


def run(cfg: DictConfig) -> dict[str, float]:
    """Train the members and measure them together; everything that comes of it lies in the run's folder.

    Args:
        cfg: as composed from ``conf/ensemble.yaml``.

    Returns:
        The numbers of metrics.json.

    Raises:
        UserError: a mistake in the configuration, in the data, or a number that is not finite.
    """
    started = time.perf_counter()
    settings = Settings.of(cfg)
    data: LabelledDataModule = instantiate(cfg.data)
    name = describe(cfg, data).model
    console = Console()
    with (
        quiet_lightning(),
        RunFolder.open(cfg, cfg.output_root, (data.name, f"{name}_ensemble"), cfg.run_dir, cfg.resume) as folder,
    ):
        if folder.resumed:
            console.print(f"going on with {folder.path}", soft_wrap=True, highlight=False)
        device = quiet_trainer(cfg).strategy.root_device
        if isinstance(data, SpinDataModule):
            data.launcher = configured(cfg)
        data.prepare_data()
        require_species(build_model(cfg), data)
        before = time.perf_counter()
        with _progress_bar(console, settings.members) as bar:
            checkpoints = train_members(cfg, settings, folder.path, device, bar)
        trained = time.perf_counter()
        report = EnsembleReport(predict_ensemble(load_ensemble(checkpoints, device), data), data.units.energy)
        report.draw(folder.figures)
        metrics = report.metrics()
        metrics |= {"seconds/members": trained - before, "seconds/total": time.perf_counter() - started}
        folder.finish(metrics)
    report.print(metrics, f"mhipnn: {settings.members} networks {name} on {data.name}", console)
    for what, where in (("ensemble", folder.path), ("figures", folder.figures)):
        console.print(f"{what:>9}  {where}", soft_wrap=True, highlight=False)
    return metrics


@contextmanager
def _progress_bar(console: Console, members: int) -> Iterator[Report]:
    columns = (
        TextColumn("[bold]{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(f"training {members} networks", total=members)
        yield lambda done: bar.update(task, advance=done)
