"""``mhipnn.evaluate`` as a function: a checkpoint against the exact labels of its dataset."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from .. import registry
from ..analysis import figures
from ..data.base_module import LabelledDataModule
from ..data.datamodule import SpinDataModule
from ..data.files import FileDataModule
from ..errors import CheckpointError, ConfigError
from ..nn.checkpoint import CheckpointRecord, load_potential
from ..run_folder import write_json
from .predictions import Predictions, predict


def run(cfg: DictConfig) -> dict[str, float]:
    """Measure a checkpoint on the held-out splits; labels are made if they are not there.

    Args:
        cfg: as composed from ``conf/evaluate.yaml``: ``checkpoint``, ``output``, ``data_root``.

    Returns:
        The numbers of metrics.json, by "<split>/<name>".

    Raises:
        UserError: a checkpoint that cannot be used, a folder that cannot be written.
    """
    checkpoint = Path(cfg.checkpoint)
    potential = load_potential(checkpoint)
    record = CheckpointRecord.read(checkpoint)
    data = dataset_of(record, checkpoint, potential.model.cutoff, cfg.data_root)
    output = Path(cfg.output) if cfg.output else _beside(checkpoint.resolve())
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output={output} cannot be written ({error.strerror}); choose another folder") from error
    data.prepare_data()
    data.setup("test")
    loaders = zip(data.split_names[2:], data.test_dataloader(), strict=True)
    predictions = {split: predict(potential.model, loader) for split, loader in loaders}
    metrics = {f"{split}/{k}": v for split, p in predictions.items() for k, v in p.summary().items()}
    for split, p in predictions.items():
        figure = figures.torque_parity(p.torque, p.learned_torque, f"torques, {split} split", data.units.energy)
        figures.save(figure, output / f"torque_parity_{split}.png")
    write_json(output / "metrics.json", metrics)
    _print(predictions, record, output)
    return metrics


def _beside(checkpoint: Path) -> Path:
    """``evaluation`` in the run's folder, or beside a checkpoint that was taken out of one."""
    folder = checkpoint.parent
    return (folder.parent if folder.name == "checkpoints" else folder) / "evaluation"


def dataset_of(record: CheckpointRecord, path: Path, cutoff: float, root: str) -> LabelledDataModule:
    """The dataset that a checkpoint was trained on, from its own record; it may build registered classes only."""
    definition = record.metadata.get("dataset")
    if not isinstance(definition, dict):
        raise CheckpointError(f"{path}: the record names no dataset, so there is nothing to measure it on")
    values = {key: value for key, value in definition.items() if key != "label_format"}
    try:
        registry.require_registered(values, "dataset")
        if "path" in values:
            return FileDataModule(**values, cutoff=cutoff, dtype=record.dtype)
        return SpinDataModule(**values, cutoff=cutoff, dtype=record.dtype, root=root)
    except (ConfigError, TypeError) as error:
        raise CheckpointError(f"{path}: {error}") from error


def _print(predictions: dict[str, Predictions], record: CheckpointRecord, output: Path) -> None:
    table = Table(title=f"{record.model} on {record.metadata['dataset']['name']}", title_justify="left")
    table.add_column("")
    for split in predictions:
        table.add_column(split, justify="right")
    summaries = [p.summary() for p in predictions.values()]
    for name in summaries[0]:
        table.add_row(name.replace("_", " "), *(f"{summary[name]:.5g}" for summary in summaries))
    console = Console()
    console.print(table)
    console.print(f"figures and metrics.json in {output}", soft_wrap=True, highlight=False)
