"""One training of tools/benchmark_accuracy.py and the row of numbers that it leaves, found again by its overrides."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accuracy_studies import EXTERNAL, Overrides, Training
from benchmarking import device_name, interleaved
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from mhipnn import __version__
from mhipnn.analysis import nrmse, r_squared
from mhipnn.config import compose_config
from mhipnn.configuration import SpinConfiguration
from mhipnn.data.base_module import LabelledDataModule
from mhipnn.errors import InputError
from mhipnn.nn.checkpoint import load_potential, read_checkpoint
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.run_folder import write_atomically
from mhipnn.training.predictions import Predictions, predict

Row = dict[str, Any]
Run = Callable[[DictConfig], dict[str, float]]

LEVELS = (0.9, 0.95, 0.98, 0.99)
"""Of the validation torque R^2, to which the time is told."""


@dataclass(frozen=True)
class Place:
    """Where rows, runs and labels are; none of it makes another training.

    Args:
        output: rows in ``rows/<key>.json``, run folders in ``runs/<model>/<key>``.
        data_root: folder of all datasets.
        external: the file of the track ``kondo_square``, None if there is none.
    """

    output: Path
    data_root: Path = Path("datasets")
    external: Path | None = None

    def configuration(self, training: Training) -> DictConfig:
        """What ``mhipnn.train`` would run with."""
        where = {"output_root": self.output / "runs", "run_dir": self.run_folder(training)}
        if training.overrides["data"] == EXTERNAL:
            where["data.path"] = self.external or Path("missing")
        else:
            where["data.root"] = self.data_root
        spelt = {name: "'" + str(path).replace("'", r"\'") + "'" for name, path in where.items()}
        settings = {**training.overrides, **spelt}
        return compose_config("train", ["~logger", *(f"{name}={value}" for name, value in settings.items())])

    def run_folder(self, training: Training) -> Path:
        return self.output / "runs" / training.overrides["model"] / key_of(training.overrides)

    def row_file(self, training: Training) -> Path:
        return self.output / "rows" / f"{key_of(training.overrides)}.json"

    def row(self, training: Training) -> Row | None:
        """What a finished training left, if it is finished."""
        path = self.row_file(training)
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise InputError(f"{path} is not a row ({error}): remove it to train again") from None


def key_of(overrides: Overrides) -> str:
    """Twelve digits of the SHA-256 of the overrides, whatever their order."""
    return hashlib.sha256(json.dumps(sorted(overrides.items())).encode()).hexdigest()[:12]


def train(training: Training, place: Place, run: Run) -> Row:
    """Train, or go on with a training that was interrupted; measure, and write the row.

    Args:
        run: :func:`mhipnn.training.run.run`, or what stands in for it.
    """
    cfg = place.configuration(training)
    folder, path = place.run_folder(training), place.row_file(training)
    finished = folder / "metrics.json"
    # Interrupted after the training and before its row was written, only the measurements are left to do.
    metrics = json.loads(finished.read_text(encoding="utf-8")) if finished.is_file() else run(cfg)
    measured, history = measure(cfg, folder)
    row = {
        "labels": dict(training.labels),
        "seed": training.seed,
        "overrides": dict(training.overrides),
        "configuration": digest_of(cfg),
        "metrics": {**metrics, **measured},
        "history": history,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        **machine(cfg),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(_without_nan(row), indent=1, allow_nan=False) + "\n")
    return _without_nan(row)


def digest_of(cfg: DictConfig) -> str:
    """Of all settings but those that say where; differs if the defaults of conf/ have changed."""
    settings: Any = OmegaConf.to_container(cfg, resolve=True)
    for name in ("output_root", "run_dir", "resume", "launcher"):
        settings.pop(name, None)
    for name in ("root", "path"):
        settings["data"].pop(name, None)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def machine(cfg: DictConfig) -> dict[str, Any]:
    """What ran, and on what."""
    return {
        "commit": commit(),
        "mhipnn": __version__,
        "torch": torch.__version__,
        "device": device_name(device_of(cfg)),
        "threads": torch.get_num_threads(),
    }


def commit() -> str | None:
    """The commit of this checkout, with ``-dirty`` if files differ from it; None where there is no git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip() or None


def device_of(cfg: DictConfig) -> torch.device:
    """Where the trainer trains: a GPU if it may take one."""
    wanted = cfg.trainer.accelerator in ("auto", "gpu", "cuda")
    return torch.device("cuda" if wanted and torch.cuda.is_available() else "cpu")


# ------------------------------------------------------------------ what the training itself does not measure


def measure(cfg: DictConfig, folder: Path) -> tuple[dict[str, float | None], list[dict[str, float]]]:
    """Errors by spin state, times of the fit and of a field evaluation; and the history that times are read from."""
    data: LabelledDataModule = instantiate(cfg.data)
    data.setup("test")
    potential = load_potential(folder / "checkpoints" / "best.ckpt", device_of(cfg))
    test = predict(potential.model, data.test_dataloader()[0])
    history = history_of(folder / "checkpoints" / "last.ckpt")
    measured = {
        **errors_by_state(test),
        **times_of(history),
        "field/microseconds_per_spin": microseconds_per_spin(potential, data.configurations("test")[0]),
    }
    return measured, history


def history_of(last: Path) -> list[dict[str, float]]:
    """Epoch, seconds and validation torque R^2 of every epoch, also of those before an interruption."""
    states = read_checkpoint(last)[1]["callbacks"]
    (rows,) = (state["rows"] for name, state in states.items() if name.startswith("History"))
    return [{name: row[name] for name in ("epoch", "seconds", "val/torque_r2") if name in row} for row in rows]


def times_of(history: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Seconds of the whole fit, of an epoch (median), and to each of the LEVELS; validation included."""
    seconds = [row["seconds"] for row in history]
    epochs = [end - start for start, end in zip([0.0, *seconds], seconds, strict=False)]
    reached = {f"fit/seconds_to_{level:g}": seconds_to(level, history) for level in LEVELS}
    return {"fit/seconds": seconds[-1], "fit/seconds_per_epoch": statistics.median(epochs), **reached}


def seconds_to(level: float, history: Sequence[Mapping[str, float]]) -> float | None:
    """Training seconds until the validation torque R^2 first was ``level`` or more; None if it never was.

    Args:
        history: rows with ``seconds`` and ``val/torque_r2``, in the order of the epochs.
    """
    return next((row["seconds"] for row in history if row.get("val/torque_r2", -math.inf) >= level), None)


def errors_by_state(p: Predictions) -> dict[str, float]:
    """Torque R^2, NRMSE and RMSE of random states, of all quenched ones, and of those at each time of the quench."""
    random = p.time < 0
    states = {"random": random, "quench": ~random}
    states |= {f"t = {time:g}": p.time == time for time in np.unique(p.time[~random])}
    errors = {}
    for name, chosen in states.items():
        sites = np.repeat(chosen, np.diff(p.offsets))
        if sites.any():
            exact, learned = p.torque[sites], p.learned_torque[sites]
            errors[f"state/{name}/torque_r2"] = r_squared(exact, learned)
            errors[f"state/{name}/torque_nrmse"] = nrmse(exact, learned)
            errors[f"state/{name}/torque_rmse"] = float(np.sqrt(((exact - learned) ** 2).mean()))
    return errors


def microseconds_per_spin(potential: NetworkPotential, config: SpinConfiguration, repeats: int = 15) -> float:
    """Of one evaluation of the field at frozen sites, median."""
    frozen = potential.prepare([config])
    spins = torch.from_numpy(config.spins)[None].to(frozen.device, frozen.dtype)
    timing = interleaved({"field": lambda: frozen(spins)}, repeats, frozen.device)["field"]
    return 1e6 * timing.median / config.n_sites


def _without_nan(value: Any) -> Any:
    """JSON has neither NaN nor infinity."""
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
