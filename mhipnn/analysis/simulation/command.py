"""``python -m mhipnn.simulate``: a quench of several realisations with any potential, written and drawn."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from ...dynamics.advice import time_step_advice
from ...dynamics.descent import Minimise
from ...dynamics.driver import Simulation
from ...dynamics.memory import bytes_of, groups_within
from ...dynamics.quench import Quench
from ...dynamics.recording import Recording
from ...dynamics.trajectory import TrajectoryReader
from ...errors import ConfigError
from ...nn.ensemble import EnsemblePotential
from ...nn.network_potential import NetworkPotential
from ...nn.trained_for import require_trained_for
from ...run_folder import RunFolder
from ..audit.figure import audit_figure
from ..audit.measure import AuditResult
from ..audit.reference import audit_of
from ..figures import save
from .minimisation import minimise_replicas
from .progress_bar import progress_bar
from .report import by_temperature, draw, first_correlation, metrics_of, print_table
from .start import Replicas, metadata_of, open_folder, replicas_of, weights_of


def run(cfg: DictConfig) -> dict[str, Any]:
    """Sample the realisations, run the quench, write trajectory.h5, metrics.json and figures; return the metrics.

    An unfinished run of the same configuration is gone on with (``resume``).

    Args:
        cfg: the configuration of ``simulate``: ``potential``, ``system``, ``dynamics`` and ``observers`` (nodes with
            ``_target_``), ``seed``, ``replicas``, ``copies``, ``start``, ``max_memory``, ``deterministic``,
            ``output_root``, ``run_dir``, ``resume``.

    Raises:
        ConfigError: replicas or copies < 1, a seed < 0, a start without frames, or ``potential=learned`` without a
            checkpoint.
        CheckpointError: a network that was trained for other systems.
    """
    if OmegaConf.select(cfg, "potential.path", default="") is None:
        raise ConfigError("potential=learned needs a trained network: add checkpoint=.../best.ckpt")
    max_memory = bytes_of(cfg.max_memory)
    potential, dynamics = (instantiate(cfg[group]) for group in ("potential", "dynamics"))
    observers = {name: instantiate(node) for name, node in (cfg.observers or {}).items() if node is not None}
    replicas = replicas_of(cfg)
    for term in getattr(potential, "terms", {"": potential}).values():
        if isinstance(term, NetworkPotential | EnsemblePotential):
            require_trained_for(term, replicas.configs[0], str(cfg.checkpoint))
    if isinstance(dynamics, Minimise):
        return minimise_replicas(cfg, dynamics, potential, replicas, observers, max_memory)
    quench, replicas = spread_temperatures(dynamics, replicas)
    configs = replicas.configs
    if cfg.get("audit") is not None:
        observers["audit"] = audit_of(cfg, potential, configs[0].n_sites)
    console = Console()
    with open_folder(cfg) as folder:
        recording = Recording(
            folder.path / "trajectory.h5",
            metadata=metadata_of(cfg, replicas),
            identity=weights_of(cfg),
            observers=observers,
        )
        simulation = Simulation(quench, potential, configs, replicas.seeds, recording, bool(cfg.deterministic))
        simulation = _begun(simulation, folder, console, max_memory)
        steps_before = simulation.steps_made()
        started = perf_counter()
        with progress_bar(console, len(configs) * configs[0].n_sites / simulation.recording.n_groups) as report:
            simulation.run(report, resume=folder.resumed)
        seconds = perf_counter() - started
        with TrajectoryReader(recording.path) as reader:
            parts = by_temperature(reader, first_correlation(reader, observers), replicas.blocks)
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
    if folder.resumed and simulation.recording.path.exists():
        console.print(f"going on at step {simulation.steps_made()} in {folder.path}", soft_wrap=True)
        return simulation
    groups = groups_within(simulation.potential, simulation.configs, max_memory)
    simulation = replace(simulation, recording=replace(simulation.recording, groups=groups))
    if len(groups) > 1:
        console.print(f"{len(groups)} groups of {groups[0]} replicas or less, one after the other")
    first = slice(0, 1)
    advice = time_step_advice(simulation.quench.of_replicas(first), simulation.potential, simulation.configs[0])
    console.print(f"{'warning: ' if advice.too_long else ''}{advice}", soft_wrap=True, highlight=False)
    return simulation


def spread_temperatures(quench: Quench, replicas: Replicas) -> tuple[Quench, Replicas]:
    """Every realisation at every temperature of the list: those of the first stand first.

    A realisation has the same sites, first spins and noise at all temperatures, those it has in a run at one alone.
    """
    names = temperature_names(quench)
    blocks = tuple(f"{name} from {before}" for name in names for before in replicas.blocks) or tuple(names)
    if not isinstance(quench.temperature, tuple):
        return quench, replace(replicas, blocks=blocks)
    n = len(quench.temperature)
    each = tuple(one for one in quench.temperature for _ in replicas.configs)
    spread = Replicas(replicas.configs * n, replicas.seeds * n, replicas.realisations * n, blocks)
    return replace(quench, temperature=each), spread


def temperature_names(quench: Quench) -> list[str]:
    """Of the temperatures of the list, for tables and figures."""
    names = [f"kT = {one:g}" if isinstance(one, float) else f"kT: {one}" for one in quench.temperatures]
    return [f"{name} ({number})" if names.count(name) > 1 else name for number, name in enumerate(names)]
