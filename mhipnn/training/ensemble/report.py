"""What an ensemble is worth: accuracy of the members and of their mean, calibration of their spread."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ...analysis import figures
from ...analysis.calibration_figure import calibration
from .predictions import EnsemblePredictions

_R2 = "R\N{SUPERSCRIPT TWO}"
_CALIBRATION = (
    ("spearman", "Spearman correlation of spread and error, sites"),
    ("attainable_spearman", "  the same if the spread were exact"),
    ("spearman_configurations", "Spearman correlation, configurations"),
    ("error_over_spread", "rms error / rms spread"),
    ("recalibrated_error_over_spread", "  after recalibration"),
    ("ence", "expected normalised calibration error"),
    ("recalibrated_ence", "  after recalibration"),
)


class EnsembleReport:
    """Numbers, figures and the table of an ensemble.

    Args:
        predictions: by split; "val" gives the recalibration, the others are reported.
        energy_unit: that of the dataset.
    """

    def __init__(self, predictions: Mapping[str, EnsemblePredictions], energy_unit: str = "t0") -> None:
        self.validation = predictions["val"]
        self.tested = {split: each for split, each in predictions.items() if split != "val"}
        self.energy_unit = energy_unit
        ratio = self.validation.of_sites().ratio
        self.factor = ratio if ratio > 0 else 1.0  # members that agree everywhere, or are never wrong, have none

    def metrics(self) -> dict[str, float]:
        """The content of metrics.json: "<split>/<name>" of the mean, "member_<number>/<split>/<name>" of each."""
        metrics = {"members": float(len(self.validation.members)), "recalibration": self.factor}
        for split, each in self.tested.items():
            sites, scaled = each.of_sites(), each.of_sites(self.factor)
            found = {
                "spearman": sites.spearman,
                "attainable_spearman": sites.attainable_spearman(),
                "spearman_configurations": each.of_configurations().spearman,
                "error_over_spread": sites.ratio,
                "recalibrated_error_over_spread": scaled.ratio,
                "ence": sites.ence(),
                "recalibrated_ence": scaled.ence(),
            }
            metrics |= {f"{split}/{name}": value for name, value in (each.mean.summary() | found).items()}
        metrics["val/torque_r2"] = self.validation.mean.summary()["torque_r2"]
        for split, each in self.tested.items():
            for number, member in enumerate(each.members):
                summary = member.summary().items()
                metrics |= {f"member_{number}/{split}/{name}": value for name, value in summary}
        return metrics

    def draw(self, folder: Path) -> None:
        """torque_parity_<split>.png of the mean and calibration_<split>.png."""
        for split, each in self.tested.items():
            mean, title = each.mean, f"torques, {split} split"
            parity = figures.torque_parity(mean.torque, mean.learned_torque, f"mean {title}", self.energy_unit)
            figures.save(parity, folder / f"torque_parity_{split}.png")
            both = each.of_sites(self.factor), each.of_configurations(self.factor)
            figures.save(calibration(*both, title, self.energy_unit), folder / f"calibration_{split}.png")

    def print(self, metrics: Mapping[str, float], title: str, console: Console) -> None:
        """Two tables: how good each network and the mean are; what the spread says about errors."""
        accuracy = Table(title=title, title_justify="left")
        accuracy.add_column("torques of")
        names = [(split, name) for split in self.tested for name in ("torque_r2", "torque_nrmse")]
        for split, name in names:
            accuracy.add_column(f"{split}, {_R2 if name == 'torque_r2' else 'NRMSE'}", justify="right")
        rows = [(f"member {number}", f"member_{number}/") for number in range(len(self.validation.members))]
        for row, prefix in [*rows, ("their mean", "")]:
            accuracy.add_row(row, *(f"{metrics[f'{prefix}{split}/{name}']:.4f}" for split, name in names))
        console.print(accuracy)
        table = Table(title="Spread of the members against the error of their mean", title_justify="left")
        table.add_column("torques")
        for split in self.tested:
            table.add_column(split, justify="right")
        for name, meaning in _CALIBRATION:
            table.add_row(meaning, *(f"{metrics[f'{split}/{name}']:.3f}" for split in self.tested))
        console.print(table)
        console.print(f"recalibration, from the validation split: spread x {self.factor:.3g}", highlight=False)
