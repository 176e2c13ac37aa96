"""``python -m mhipnn.simulate``: a quench of several realisations with any potential, written and drawn."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from .. import __version__
from ..configuration import SpinConfiguration
from ..dynamics.advice import time_step_advice
from ..dynamics.driver import Simulation
from ..dynamics.memory import bytes_of, groups_within
from ..dynamics.quench import Quench
from ..dynamics.trajectory import TrajectoryReader
from ..errors import ConfigError
from ..nn.ensemble import EnsemblePotential
from ..nn.network_potential import NetworkPotential
from ..nn.trained_for import require_trained_for
from ..run_folder import RunFolder
from .audit import AuditResult
from .audit_figure import audit_figure
from .audit_reference import audit_of
from .figures import save
from .progress_bar import progress_bar
from .simulation_report import by_temperature, draw, metrics_of, print_table
from .streaming import Correlations


def run(cfg: DictConfig) -> dict[str, Any]:
    """Sample the realisations, run the quench, write trajectory.h5, metrics.json and figures; return the metrics.

    An unfinished run of the same configuration is gone on with (``resume``).

    Args:
        cfg: the configuration of ``simulate``: ``potential``, ``system``, ``dynamics`` and ``observers`` (nodes with
            ``_target_``), ``seed``, ``replicas``, ``max_memory``, ``deterministic``, ``output_root``, ``run_dir``,
            ``resume``.

    Raises:
        ConfigError: replicas < 1, a seed < 0, or ``potential=learned`` without a checkpoint.
        CheckpointError: a network that was trained for other systems.
    """
    _check(cfg)
    max_memory = bytes_of(cfg.max_memory)
    potential, system, quench = (instantiate(cfg[group]) for group in ("potential", "system", "dynamics"))
    observers = {name: instantiate(node) for name, node in (cfg.observers or {}).items() if node is not None}
    names = temperature_names(quench)
    quench, configs, seeds = spread_temperatures(quench, *realisations(system, int(cfg.seed), int(cfg.replicas)))
    if isinstance(potential, NetworkPotential | EnsemblePotential):
        require_trained_for(potential, configs[0], str(cfg.checkpoint))
    if cfg.get("audit") is not None:
        observers["audit"] = audit_of(cfg, potential, configs[0].n_sites)
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
            deterministic=bool(cfg.deterministic),
        )
        simulation = _begun(simulation, folder, console, max_memory)
        steps_before = simulation.steps_made()
        started = perf_counter()
        with progress_bar(console, len(configs) * configs[0].n_sites / simulation.n_groups) as report:
            simulation.run(report, resume=folder.resumed)
        seconds = perf_counter() - started
        with TrajectoryReader(simulation.path) as reader:
            parts = by_temperature(reader, _correlation(reader, observers), names)
            draw(reader, parts, folder.figures)
            audit = AuditResult.read(reader)
        if audit is not None:
            save(audit_figure(audit, f"{cfg.audit.solver} electrons"), folder.figures / "audit.png")
        made = (quench.n_steps - steps_before) * len(configs) * configs[0].n_sites
        metrics = metrics_of(parts, quench.n_steps) | {"seconds": seconds, "spin_steps_per_second": made / seconds}
        metrics |= {} if audit is None else audit.numbers()
        folder.finish(metrics)
    print_table(console, metrics, folder.path)
    return metrics


def _begun(simulation: Simulation, folder: RunFolder, console: Console, max_memory: int | None) -> Simulation:
    """Say where an earlier session ended, or what is to be known before the first step: groups and time step."""
    if folder.resumed and simulation.path.exists():
        console.print(f"going on at step {simulation.steps_made()} in {folder.path}", soft_wrap=True)
        return simulation
    groups = groups_within(simulation.potential, simulation.configs, max_memory)
    simulation = replace(simulation, groups=groups)
    if len(groups) > 1:
        console.print(f"{len(groups)} groups of {groups[0]} replicas or less, one after the other")
    first = slice(0, 1)
    advice = time_step_advice(simulation.quench.of_replicas(first), simulation.potential, simulation.configs[0])
    console.print(f"{'warning: ' if advice.too_long else ''}{advice}", soft_wrap=True, highlight=False)
    return simulation


def temperature_names(quench: Quench) -> list[str]:
    """Of the temperatures of the list, for tables and figures."""
    names = [f"kT = {one:g}" if isinstance(one, float) else f"kT: {one}" for one in quench.temperatures]
    return [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names)]


def spread_temperatures(
    quench: Quench, configs: list[SpinConfiguration], seeds: list[int]
) -> tuple[Quench, list[SpinConfiguration], list[int]]:
    """Every realisation at every temperature of the list: those of the first stand first.

    A realisation has the same sites, first spins and noise at all temperatures, those it has in a run at one alone.
    """
    if not isinstance(quench.temperature, tuple):
        return quench, configs, seeds
    n = len(quench.temperature)
    each = tuple(one for one in quench.temperature for _ in configs)
    return replace(quench, temperature=each), configs * n, seeds * n


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
