"""``python -m mhipnn.analyze``: the observables of a trajectory file, as a table, figures and analysis.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from .. import registry
from ..dynamics.export import write_extxyz, write_vtk
from ..dynamics.trajectory import TrajectoryReader
from ..errors import ConfigError, InputError, suggest
from .analyze_report import print_findings, write_findings
from .comparison import report as comparison_report
from .observables.base import Observable, Recording
from .realisations import recorded_realisations
from .selection import existing, frames_bar, make_folder, select_frames, select_replicas

ON_REQUEST = ("animation", "fields")
"""Left out of "all": the one takes long, the other needs a potential."""


def run(cfg: DictConfig) -> dict[str, Any]:
    """Read a trajectory once, frame by frame, and write what the chosen observables find; compare a list of them.

    Args:
        cfg: as composed from ``conf/analyze.yaml``: ``trajectory``, ``observables``, ``start``, ``stop``, ``frames``,
            ``replicas``, ``output``, ``export``, ``potential``, and the settings of each observable below its name.

    Returns:
        The content of analysis.json: observable -> name -> numbers; of comparison.json for a list.

    Raises:
        UserError: no such file or not a trajectory, an unknown observable, one that the trajectory does not allow.
    """
    if OmegaConf.is_list(cfg.trajectory):
        return comparison_report.run(cfg)
    if cfg.names is not None:
        raise ConfigError("names=... are those of several trajectories, trajectory=[A,B]; this is one")
    chosen = _chosen(cfg)
    _check_export(cfg.export)
    with TrajectoryReader(existing(cfg.trajectory)) as reader:
        frames = select_frames(reader.times, cfg.start, cfg.stop, cfg.frames)
        replicas = select_replicas(reader, cfg.replicas)
        folder = Path(cfg.output) if cfg.output else Path(cfg.trajectory).resolve().parent / "analysis"
        configs = [reader.configs[replica] for replica in replicas]
        numbers = recorded_realisations(reader.metadata, reader.configs)
        own = [numbers[replica] for replica in replicas]
        recording = Recording(reader.times[frames], reader.energies[frames][:, replicas], configs, folder, own)
        started = _start(chosen, recording, complete=cfg.observables is not None)
        make_folder(folder)
        with frames_bar() as bar:
            for number, frame in enumerate(bar.track(frames, description="frames")):
                spins = reader.spins(frame)[replicas]
                for observable in started.observables.values():
                    observable.add(number, spins)
    findings = {name: observable.findings() for name, observable in started.observables.items()}
    content = write_findings(folder, Path(cfg.trajectory), recording, findings)
    exported = _export(cfg, folder, replicas)
    print_findings(recording, findings, started.left_out, folder, exported)
    return content


@dataclass
class _Started:
    observables: dict[str, Observable]
    left_out: dict[str, str]


def _chosen(cfg: DictConfig) -> dict[str, Observable]:
    known = registry.names("observable")
    names = [n for n in known if n not in ON_REQUEST] if cfg.observables is None else list(cfg.observables)
    if not names:
        raise ConfigError("observables=[]: name one or more, or null for all that the trajectory allows")
    chosen: dict[str, Observable] = {}
    for name in names:
        if name not in known:
            raise ConfigError(f"observables: unknown {name!r}: {suggest(str(name), known)}")
        node = OmegaConf.select(cfg, name)
        settings: dict[str, Any] = {} if node is None else OmegaConf.to_container(node, resolve=True)  # type: ignore[assignment]
        if name == "fields" and OmegaConf.select(cfg, "potential") is not None:
            settings["potential"] = _potential(cfg)
        try:
            chosen[name] = registry.get("observable", name)(**settings)
        except TypeError as error:
            raise ConfigError(f"{name}: {error}") from None
    return chosen


def _potential(cfg: DictConfig) -> Any:
    if OmegaConf.select(cfg, "potential.path", default="") is None:
        raise ConfigError("potential=learned needs a trained network: add checkpoint=.../best.ckpt")
    return instantiate(cfg.potential)


def _start(chosen: Mapping[str, Observable], recording: Recording, complete: bool) -> _Started:
    """Start what the trajectory allows; if the observables were named, all of them."""
    started, left_out = {}, {}
    for name, observable in chosen.items():
        try:
            observable.start(recording)
            started[name] = observable
        except InputError as reason:
            if complete:
                raise
            left_out[name] = str(reason)
    return _Started(started, left_out)


def _export(cfg: DictConfig, folder: Path, replicas: list[int]) -> list[Path]:
    """The first chosen replica as files of other programs, all its frames."""
    kinds = [cfg.export] if isinstance(cfg.export, str) else list(cfg.export or [])
    written = []
    if "extxyz" in kinds:
        written.append(write_extxyz(folder / "trajectory.extxyz", cfg.trajectory, replicas[0]))
    if "vtk" in kinds:
        written.append(write_vtk(folder / "trajectory.pvd", cfg.trajectory, replicas[0]))
    return written


def _check_export(export: Any) -> None:
    for kind in [export] if isinstance(export, str) else list(export or []):
        if kind not in ("extxyz", "vtk"):
            raise ConfigError(f"export: unknown {kind!r}: {suggest(str(kind), ('extxyz', 'vtk'))}")
