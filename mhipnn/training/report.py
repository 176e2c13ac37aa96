"""What a run leaves behind: numbers, figures, a table of predictions, and one table on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import wandb
from lightning.pytorch import Trainer
from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from ..analysis import figures
from ..analysis.rollout import RolloutComparison
from ..nn.energy_model import EnergyModel
from ..run_folder import RunFolder
from .history import History
from .predictions import Predictions
from .rollout import LLGRollout

_ROWS = (
    ("test/torque_r2", "torque R\N{SUPERSCRIPT TWO}, test realisations", ".4f"),
    ("test/torque_nrmse", "torque NRMSE, test", ".4f"),
    ("size/torque_r2", "torque R\N{SUPERSCRIPT TWO}, larger systems", ".4f"),
    ("size/torque_nrmse", "torque NRMSE, larger systems", ".4f"),
    ("test/tangential_rmse", "tangential field RMSE, test (t0)", ".5f"),
    ("test/energy_mae_per_site", "energy MAE per site, test (t0)", ".5f"),
    ("size/energy_mae_per_site", "energy MAE per site, larger systems (t0)", ".5f"),
    ("rollout/within_2_errors", "rollout: share of C(r,t) within 2 standard errors", ".3f"),
    ("rollout/torque_r2", "rollout: torque R\N{SUPERSCRIPT TWO} along the exact quench", ".4f"),
    ("rollout/own_path_torque_r2_min", "rollout: smallest torque R\N{SUPERSCRIPT TWO} along the learned quench", ".4f"),
    ("rollout/max_correlation_deviation", "rollout: largest deviation of C(r,t)", ".4f"),
    ("rollout/max_energy_deviation_per_site", "rollout: largest deviation of E/N (t0)", ".5f"),
    ("parameters", "parameters of the model", ".0f"),
    ("seconds/labels", "labels (s)", ".1f"),
    ("seconds/fit", "fit (s)", ".1f"),
    ("seconds/test_and_rollout", "test and rollout (s)", ".1f"),
    ("seconds/total", "in all (s)", ".1f"),
)


class Report:
    """Collect the results of a finished training and write them once, everywhere.

    Args:
        folder: of the run.
        trainer: after fit and test.
        predictions: split -> predictions of the best weights.
        metrics: numbers by name, for metrics.json.
        energy_unit: that of the dataset.
    """

    def __init__(
        self,
        folder: RunFolder,
        trainer: Trainer,
        predictions: dict[str, Predictions],
        metrics: dict[str, float],
        energy_unit: str = "t0",
    ) -> None:
        self.folder = folder
        self.trainer = trainer
        self.predictions = predictions
        self.metrics = metrics
        self.energy_unit = energy_unit

    def write(self) -> None:
        """Figures as PNG and to the logger, predictions as a table, metrics.json last: it marks the run as finished."""
        for name, figure in self._figures().items():
            path = figures.save(figure, self.folder.figures / f"{name}.png")
            for logger in self.trainer.loggers:
                _log_figure(logger, f"figures/{name}", figure, path)
        for logger in self.trainer.loggers:
            logger.log_metrics(self.metrics, self.trainer.global_step)
            if isinstance(logger, WandbLogger):
                _log_predictions(logger, self.predictions)
        self.folder.finish(self.metrics)
        self._print()

    def _figures(self) -> dict[str, Figure]:
        made = {
            f"torque_parity_{split}": figures.torque_parity(
                p.torque, p.learned_torque, f"torques, {split} split", self.energy_unit
            )
            for split, p in self.predictions.items()
        }
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, History) and callback.rows:
                made["learning_curves"] = figures.learning_curves(callback.rows)
            if isinstance(callback, LLGRollout) and callback.result is not None:
                made |= rollout_figures(callback.result)
        return made

    def _print(self) -> None:
        table = Table(title=f"mhipnn: {self.folder.path.parent.name}", title_justify="left", show_header=False)
        for name, meaning, style in _ROWS:
            if name in self.metrics:
                table.add_row(meaning.replace("(t0)", f"({self.energy_unit})"), format(self.metrics[name], style))
        console = Console()
        console.print(table)
        for what, where in (
            ("checkpoint", self.folder.checkpoints / "best.ckpt"),
            ("figures", self.folder.figures),
            ("numbers", self.folder.path / "metrics.json"),
        ):
            console.print(f"{what:>11}  {where}", soft_wrap=True, highlight=False)


def rollout_figures(result: RolloutComparison) -> dict[str, Figure]:
    """By the name of their file."""
    return {
        "rollout_correlations": figures.rollout_correlations(result),
        "rollout_energy": figures.energy_relaxation({"exact": result.exact, "learned": result.learned}),
        "rollout_torque": figures.torque_along_rollout(result),
        "rollout_spins": figures.rollout_pictures(result),
    }


def _log_figure(logger: Logger, name: str, figure: Figure, path: Path) -> None:
    if isinstance(logger, WandbLogger):
        logger.log_image(name, [str(path)])
    elif isinstance(logger, TensorBoardLogger):
        logger.experiment.add_figure(name, figure, close=False)


def _log_predictions(logger: WandbLogger, predictions: dict[str, Predictions]) -> None:
    rows: list[dict[str, Any]] = [{"split": split, **row} for split, p in predictions.items() for row in p.rows()]
    table = wandb.Table(columns=list(rows[0]), data=[list(row.values()) for row in rows])
    logger.experiment.log({"predictions": table})


def collect_metrics(trainer: Trainer, model: EnergyModel) -> dict[str, float]:
    """Numbers of the test stage and of the rollout, by name."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, LLGRollout) and callback.result is not None:
            metrics |= {f"rollout/{name}": value for name, value in callback.result.summary().items()}
    metrics["parameters"] = sum(p.numel() for p in model.parameters())
    return metrics
