"""``mhipnn.active`` as a function: rounds of labels that a committee asks for, against labels at random."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ...analysis.figures import save
from ...data.datamodule import SpinDataModule
from ...data.labelled import concatenate
from ...data.launchers.configured import configured
from ...data.launchers.processes import Processes
from ...data.writers import write_labels
from ...errors import ConfigError
from ...run_folder import RunFolder
from ..parts import build_model, quiet_lightning, quiet_trainer, require_species
from .loop import ActiveLearning, Report, Stage
from .report import Row, draw, print_table, write_csv
from .settings import START, Settings


def run(cfg: DictConfig) -> dict[str, float]:
    """Learn actively and, in the other arms, at random; everything that comes of it lies in the run's folder.

    Args:
        cfg: as composed from ``conf/active.yaml``.

    Returns:
        The numbers of metrics.json: "<arm>/<name>" after the last round, means over the committee.

    Raises:
        UserError: a mistake in the configuration, in the data, or a number that is not finite.
    """
    started = time.perf_counter()
    settings = Settings.of(cfg)
    data = dataset(cfg, settings)
    console = Console()
    with (
        quiet_lightning(),
        RunFolder.open(cfg, cfg.output_root, (data.name, "active"), cfg.run_dir, cfg.resume) as folder,
    ):
        if folder.resumed:
            console.print(f"going on with {folder.path}", soft_wrap=True, highlight=False)
        quiet_trainer(cfg)  # complains before labels are made
        launcher = configured(cfg) or Processes(data.n_workers)
        data.launcher = launcher
        data.prepare_data()
        require_species(build_model(cfg), data)
        n_stages = 1 + len(settings.arms) * settings.rounds
        with _progress_bar(console, n_stages * settings.members) as report:
            stages = ActiveLearning(cfg, settings, data, folder, launcher, report).run()
        rows = [Row.of(stage) for stage in stages]
        write_csv(rows, folder.path / "active_learning.csv")
        figure = save(draw(rows), folder.figures / "active_learning.png")
        enlarged = _write_datasets(settings, data, stages, folder)
        metrics = _metrics(settings, rows) | {"seconds/total": time.perf_counter() - started}
        folder.finish(metrics)
    print_table(rows, console)
    for what, where in (("figure", figure), ("numbers", folder.path / "active_learning.csv")):
        console.print(f"{what:>8}  {where}", soft_wrap=True, highlight=False)
    for path in enlarged:
        console.print(f"train on  python -m mhipnn.train data=files data.path={path}", soft_wrap=True, highlight=False)
    return metrics


def dataset(cfg: DictConfig, settings: Settings) -> SpinDataModule:
    """The dataset of the start: so many training realisations, and a test split that is large enough for the rollouts.

    Raises:
        ConfigError: labels from files, which can be neither extended nor compared with.
    """
    data = instantiate(cfg.data)
    if not isinstance(data, SpinDataModule):
        raise ConfigError(
            f"data={data.name}: active learning draws new disorder and labels it exactly, so it needs a dataset with a "
            "structure and an exact potential, such as data=sd_tiny"
        )
    splits = dict(data.definition.splits, train=settings.start)
    splits["test"] = max(splits["test"], settings.rollout_realisations)
    data.definition = replace(data.definition, splits=splits)
    return data


def _write_datasets(settings: Settings, data: SpinDataModule, stages: list[Stage], folder: RunFolder) -> list[Path]:
    """labels-<arm>.npz: the splits of the dataset, with all that an arm has added to the training one."""
    paths = []
    last = {stage.numbers["arm"]: stage for stage in stages}
    for arm in settings.arms:
        splits = {split: data.labelled(split) for split in data.split_names}
        splits["train"] = concatenate([splits["train"], *last[arm.name].added])
        paths.append(write_labels(folder.path / f"labels-{arm.name}.npz", splits, data.units))
    return paths


def _metrics(settings: Settings, rows: list[Row]) -> dict[str, float]:
    last = {row.arm: row for row in rows}  # of each arm, the latest round comes last
    metrics: dict[str, float] = {}
    for arm in (START, *(arm.name for arm in settings.arms)):
        row = last[arm]
        metrics[f"{arm}/labels"] = row.labels
        metrics |= {f"{arm}/{name}": value for name, value in row.mean.items()}
        metrics |= {f"{arm}/{name}_error": value for name, value in row.error.items()}
    return metrics


@contextmanager
def _progress_bar(console: Console, n_trainings: int) -> Iterator[Report]:
    columns = (
        TextColumn("[bold]{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("active learning", total=n_trainings)

        def report(what: str, done: float) -> None:
            bar.update(task, description=what, advance=done)

        yield report
