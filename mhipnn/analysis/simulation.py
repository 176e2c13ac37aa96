"""``python -m mhipnn.simulate``: a quench of several realisations with any potential, written and drawn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from .. import __version__
from ..configuration import SpinConfiguration
from ..dynamics.quench import Frame, Quench, Trajectory
from ..dynamics.quench import Progress as Report
from ..dynamics.trajectory import TrajectoryWriter
from ..errors import ConfigError
from ..potential import Potential
from ..run_folder import RunFolder
from .correlations import MeanAndError, RadialCorrelation, mean_and_error, trajectory_correlation
from .figures import correlation_profiles, energy_relaxation, save, spin_pictures


def run(cfg: DictConfig) -> dict[str, Any]:
    """Sample the realisations, run the quench, write trajectory.h5, metrics.json and figures; return the metrics.

    Args:
        cfg: the configuration of ``simulate``: ``potential``, ``system`` and ``dynamics`` (nodes with ``_target_``),
            ``seed``, ``replicas``, ``output_root``, ``run_dir``.

    Raises:
        ConfigError: replicas < 1, a seed < 0, or ``potential=learned`` without a checkpoint.
    """
    _check(cfg)
    potential, system, quench = (instantiate(cfg[group]) for group in ("potential", "system", "dynamics"))
    configs, seeds = realisations(system, int(cfg.seed), int(cfg.replicas))
    console = Console()
    with RunFolder.open(
        cfg, cfg.output_root, parts=("simulate", _name(cfg.system)), run_dir=cfg.run_dir, resume=False
    ) as folder:
        started = perf_counter()
        with _progress_bar(console, len(configs) * configs[0].n_sites) as report:
            trajectory = integrate(
                quench, potential, configs, seeds, folder.path / "trajectory.h5", _metadata(cfg, seeds), report
            )
        seconds = perf_counter() - started
        correlation = trajectory_correlation(trajectory)
        profile = mean_and_error(correlation.value, axis=1)
        draw(trajectory, correlation, profile, folder.figures)
        metrics = _metrics(trajectory, correlation, profile, quench, seconds)
        folder.finish(metrics)
    _print_table(console, metrics, folder.path)
    return metrics


def realisations(system: Any, seed: int, replicas: int) -> tuple[list[SpinConfiguration], list[int]]:
    """Configurations with uncorrelated spins and seeds of the noise; realisation k depends on (seed, k) alone."""
    configs, seeds = [], []
    for number in range(replicas):
        rng = np.random.default_rng([seed, number])
        configs.append(system.sample(rng))
        seeds.append(int(rng.integers(2**63)))
    return configs, seeds


def integrate(
    quench: Quench,
    potential: Potential,
    configs: list[SpinConfiguration],
    seeds: list[int],
    path: Path,
    metadata: dict[str, Any],
    report: Report | None = None,
) -> Trajectory:
    """:meth:`Quench.run`, with every frame written to ``path`` as it comes."""
    frames: list[Frame] = []
    with TrajectoryWriter(path, configs, metadata) as writer:
        for frame in quench.frames(potential, configs, seeds, report):
            writer.append(frame.time, frame.spins, frame.energies)
            frames.append(frame)
    return Trajectory.of(frames, configs)


def draw(trajectory: Trajectory, correlation: RadialCorrelation, profile: MeanAndError, folder: Path) -> None:
    """energy.png, correlations.png and spins.png."""
    save(energy_relaxation({"energy": trajectory}), folder / "energy.png")
    save(correlation_profiles(correlation.r, trajectory.times, profile), folder / "correlations.png")
    panels = {
        "before, t = 0": trajectory.spins[0, 0],
        f"after, t = {trajectory.times[-1]:.3g}": trajectory.spins[-1, 0],
    }
    save(spin_pictures(trajectory.configs[0], panels), folder / "spins.png")


def _check(cfg: DictConfig) -> None:
    if cfg.replicas < 1 or int(cfg.replicas) != cfg.replicas:
        raise ConfigError(f"replicas={cfg.replicas}: give a whole number >= 1")
    if cfg.seed < 0 or int(cfg.seed) != cfg.seed:
        raise ConfigError(f"seed={cfg.seed}: give a whole number >= 0")
    if OmegaConf.select(cfg, "potential.path", default="") is None:
        raise ConfigError("potential=learned needs a trained network: add checkpoint=.../best.ckpt")


def _name(node: DictConfig) -> str:
    """The last word of the target in snake case, e.g. random_sites."""
    word = str(node["_target_"]).rpartition(".")[2]
    return "".join("_" + c.lower() if c.isupper() else c for c in word).lstrip("_")


def _metadata(cfg: DictConfig, seeds: list[int]) -> dict[str, Any]:
    return {"version": __version__, "config": OmegaConf.to_container(cfg, resolve=True), "noise_seeds": seeds}


def _metrics(
    trajectory: Trajectory, correlation: RadialCorrelation, profile: MeanAndError, quench: Quench, seconds: float
) -> dict[str, Any]:
    energy = trajectory.energies.mean(1) / trajectory.n_sites
    nearest = int(np.argmax(profile.n[-1] > 0))
    spin_steps = trajectory.n_replicas * trajectory.n_sites * quench.n_steps
    return {
        "replicas": trajectory.n_replicas,
        "sites": trajectory.n_sites,
        "steps": quench.n_steps,
        "time": float(trajectory.times[-1]),
        "energy_per_site_start": float(energy[0]),
        "energy_per_site_end": float(energy[-1]),
        "nearest_r": float(correlation.r[nearest]),
        "nearest_correlation_end": float(profile.mean[-1, nearest]),
        "nearest_correlation_end_error": _number(profile.error[-1, nearest]),
        "seconds": seconds,
        "spin_steps_per_second": spin_steps / seconds,
    }


def _number(value: float) -> float | None:
    """JSON has no NaN: the error of a single realisation is null."""
    return float(value) if np.isfinite(value) else None


def _print_table(console: Console, metrics: dict[str, Any], path: Path) -> None:
    error = metrics["nearest_correlation_end_error"]
    spread = "" if error is None else f" ± {error:.4f}"
    table = Table(title=f"Quench of {metrics['replicas']} x {metrics['sites']} spins to t = {metrics['time']:g}")
    table.add_column("quantity")
    table.add_column("value", justify="right")
    table.add_row("energy per site at the start (t0)", f"{metrics['energy_per_site_start']:.5f}")
    table.add_row("energy per site at the end (t0)", f"{metrics['energy_per_site_end']:.5f}")
    table.add_row(f"C(r = {metrics['nearest_r']:g}) at the end", f"{metrics['nearest_correlation_end']:.4f}{spread}")
    table.add_row("wall time (s)", f"{metrics['seconds']:.1f}")
    table.add_row("spin steps per second", f"{metrics['spin_steps_per_second']:.3g}")
    console.print(table)
    console.print(f"trajectory, metrics and figures: {path}", soft_wrap=True)


class _Speed(ProgressColumn):
    """Spins times steps in a second."""

    def __init__(self, n_spins: int) -> None:
        super().__init__()
        self._n_spins = n_spins

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed * self._n_spins:.3g} spin steps/s")


@contextmanager
def _progress_bar(console: Console, n_spins: int) -> Iterator[Report]:
    columns = (
        TextColumn("quench"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total} steps"),
        _Speed(n_spins),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("quench", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
