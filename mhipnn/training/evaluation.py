"""``mhipnn.evaluate`` as a function: a checkpoint, or several together, against the exact labels of its dataset."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from pathlib import Path

from hydra.utils import instantiate
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from .. import registry
from ..analysis import figures
from ..data.base_module import LabelledDataModule
from ..data.datamodule import SpinDataModule
from ..data.files import FileDataModule
from ..errors import CheckpointError, ConfigError
from ..nn.checkpoint import CheckpointRecord, checkpoint_paths, load_potential
from ..nn.ensemble import EnsemblePotential
from ..nn.network_potential import NetworkPotential
from ..potential import Potential
from ..run_folder import write_json
from .ensemble.predictions import predict_ensemble
from .ensemble.report import EnsembleReport
from .predictions import predict
from .report import rollout_figures
from .rollout import LLGRollout


def run(cfg: DictConfig) -> dict[str, float]:
    """Measure a checkpoint, or an ensemble of them, on the held-out splits; labels are made if they are not there.

    Args:
        cfg: as composed from ``conf/evaluate.yaml``: ``checkpoint``, ``output``, ``data_root``, ``rollout``,
            ``control``, ``dynamics``.

    Returns:
        The numbers of metrics.json, by "<split>/<name>".

    Raises:
        UserError: a checkpoint that cannot be used, a folder that cannot be written, members of several datasets.
    """
    _check_control(cfg.control, cfg.rollout)
    potential = load_potential(cfg.checkpoint)
    paths = checkpoint_paths(cfg.checkpoint)
    record = _common_record(paths)
    members = potential.members if isinstance(potential, EnsemblePotential) else (potential,)
    data = dataset_of(record, paths[0], members[0].model.cutoff, cfg.data_root)
    output = _output(cfg)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"output={output} cannot be written ({error.strerror}); choose another folder") from error
    data.prepare_data()
    if isinstance(potential, EnsemblePotential):
        metrics = _measure_ensemble(potential, data, output, f"{len(paths)} networks on {data.name}")
    else:
        metrics = _measure(potential, data, output, f"{record.model} on {data.name}")
    if cfg.rollout is not None:
        metrics |= _roll_out(potential, data, cfg, output)
    write_json(output / "metrics.json", metrics)
    Console().print(f"figures and metrics.json in {output}", soft_wrap=True, highlight=False)
    return metrics


def _measure(potential: NetworkPotential, data: LabelledDataModule, output: Path, title: str) -> dict[str, float]:
    data.setup("test")
    loaders = zip(data.split_names[2:], data.test_dataloader(), strict=True)
    predictions = {split: predict(potential.model, loader) for split, loader in loaders}
    metrics = {f"{split}/{k}": v for split, p in predictions.items() for k, v in p.summary().items()}
    for split, p in predictions.items():
        figure = figures.torque_parity(p.torque, p.learned_torque, f"torques, {split} split", data.units.energy)
        figures.save(figure, output / f"torque_parity_{split}.png")
    _print({split: p.summary() for split, p in predictions.items()}, title)
    return metrics


def _measure_ensemble(
    potential: EnsemblePotential, data: LabelledDataModule, output: Path, title: str
) -> dict[str, float]:
    report = EnsembleReport(predict_ensemble(potential, data), data.units.energy)
    metrics = report.metrics()
    report.draw(output)
    report.print(metrics, title, Console())
    return metrics


def _roll_out(potential: Potential, data: LabelledDataModule, cfg: DictConfig, output: Path) -> dict[str, float]:
    """The same quenches with the exact potential and with the learned one, on realisations of the test split."""
    exact = None if data.no_rollout else data.potential()
    if exact is None:
        raise ConfigError(f"rollout={cfg.rollout}: {data.no_rollout or 'the dataset knows no exact potential'}")
    data.setup("test")
    quenches = LLGRollout(instantiate(cfg.dynamics), cfg.rollout)
    results = {"rollout": quenches.compare(exact, potential, data)}
    for name, figure in rollout_figures(results["rollout"]).items():
        figures.save(figure, output / f"{name}.png")
    if cfg.control is not None:
        results["control"] = quenches.control(results["rollout"], exact, cfg.control)
    summaries = {name: result.summary() for name, result in results.items()}
    _print(summaries, f"quenches of {results['rollout'].exact.n_replicas} realisations")
    return {f"{name}/{key}": value for name, summary in summaries.items() for key, value in summary.items()}


def _check_control(angle: object, rollout: object) -> None:
    if angle is None:
        return
    if rollout is None:
        raise ConfigError(f"control={angle} turns the starts of quenches: it needs rollout=N as well")
    if not isinstance(angle, (int, float)) or not 0 < angle <= pi:
        raise ConfigError(f"control={angle}: give an angle in radians, above 0 and at most pi")


def _common_record(paths: Sequence[Path]) -> CheckpointRecord:
    """That of the first checkpoint, if all were trained on the same dataset in the same precision."""
    first, *others = [CheckpointRecord.read(path) for path in paths]
    for path, other in zip(paths[1:], others, strict=True):
        if (other.metadata.get("dataset"), other.dtype) != (first.metadata.get("dataset"), first.dtype):
            raise CheckpointError(
                f"{path}: trained on another dataset, or in another precision, than {paths[0]}; an ensemble is "
                "measured on the one dataset of all its members"
            )
    return first


def _output(cfg: DictConfig) -> Path:
    """Where results go: ``evaluation`` in the folder of an ensemble or of a run, if it is not given."""
    if cfg.output:
        return Path(cfg.output)
    if not isinstance(cfg.checkpoint, str):
        raise ConfigError("output=... is needed for a list of checkpoints, which has no folder of its own")
    given = Path(cfg.checkpoint).resolve()
    return given / "evaluation" if given.is_dir() else _beside(given)


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


def _print(summaries: dict[str, dict[str, float]], title: str) -> None:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for name in summaries:
        table.add_column(name, justify="right")
    for key in next(iter(summaries.values())):
        table.add_row(key.replace("_", " "), *(f"{summary[key]:.5g}" for summary in summaries.values()))
    Console().print(table)
