"""``python -m mhipnn.simulate``: a quench of several realisations with any potential, written and drawn."""

from __future__ import annotations

from time import perf_counter
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from .. import __version__
from ..configuration import SpinConfiguration
from ..dynamics.driver import Simulation
from ..dynamics.trajectory import TrajectoryReader
from ..errors import ConfigError
from ..run_folder import RunFolder
from .progress_bar import progress_bar
from .simulation_report import draw, metrics_of, print_table
from .streaming import Correlations


def run(cfg: DictConfig) -> dict[str, Any]:
    """Sample the realisations, run the quench, write trajectory.h5, metrics.json and figures; return the metrics.

    An unfinished run of the same configuration is gone on with (``resume``).

    Args:
        cfg: the configuration of ``simulate``: ``potential``, ``system``, ``dynamics`` and ``observers`` (nodes with
            ``_target_``), ``seed``, ``replicas``, ``output_root``, ``run_dir``, ``resume``.

    Raises:
        ConfigError: replicas < 1, a seed < 0, or ``potential=learned`` without a checkpoint.
    """
    _check(cfg)
    potential, system, quench = (instantiate(cfg[group]) for group in ("potential", "system", "dynamics"))
    observers = {name: instantiate(node) for name, node in (cfg.observers or {}).items() if node is not None}
    configs, seeds = realisations(system, int(cfg.seed), int(cfg.replicas))
    console = Console()
    with RunFolder.open(
        cfg, cfg.output_root, parts=("simulate", _name(cfg.system)), run_dir=cfg.run_dir, resume=bool(cfg.resume)
    ) as folder:
        simulation = Simulation(
            quench,
            potential,
            configs,
            seeds,
            folder.path / "trajectory.h5",
            metadata=_metadata(cfg, seeds),
            observers=observers,
        )
        steps_before = simulation.steps_made()
        if steps_before:
            console.print(f"going on at step {steps_before} in {folder.path}", soft_wrap=True)
        started = perf_counter()
        with progress_bar(console, len(configs) * configs[0].n_sites) as report:
            simulation.run(report, resume=folder.resumed)
        seconds = perf_counter() - started
        with TrajectoryReader(simulation.path) as reader:
            correlation = _correlation(reader, observers)
            draw(reader, correlation, folder.figures)
            metrics = metrics_of(reader, correlation, quench.n_steps)
        made = (quench.n_steps - steps_before) * len(configs) * configs[0].n_sites
        metrics |= {"seconds": seconds, "spin_steps_per_second": made / seconds}
        folder.finish(metrics)
    print_table(console, metrics, folder.path)
    return metrics


def realisations(system: Any, seed: int, replicas: int) -> tuple[list[SpinConfiguration], list[int]]:
    """Configurations with uncorrelated spins and seeds of the noise; realisation k depends on (seed, k) alone."""
    configs, seeds = [], []
    for number in range(replicas):
        rng = np.random.default_rng([seed, number])
        configs.append(system.sample(rng))
        seeds.append(int(rng.integers(2**63)))
    return configs, seeds


def _correlation(reader: TrajectoryReader, observers: dict[str, Any]) -> Any:
    """The first C(r, t) that was recorded, None without one."""
    each = ((name, one) for name, one in observers.items() if isinstance(one, Correlations))
    return next((one.streamed(reader, name) for name, one in each), None)


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
