"""What a simulation starts from: sites, first spins and noise of every replica, drawn or taken from another run; and
what it is known by: its folder and its record.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from ... import __version__
from ...configuration import SpinConfiguration
from ...dynamics.trajectory import TrajectoryReader
from ...errors import ConfigError
from ...nn.checkpoint import checkpoint_paths
from ...run_folder import RunFolder
from ...structures.spins import random_spins
from ..realisations import recorded_realisations
from ..selection import temperature_blocks

_STARTED = 1  # the last word of the seeds of runs that begin with the spins of another


@dataclass(frozen=True)
class Replicas:
    """R replicas: sites with first spins, seeds of the noise, and the number of the realisation of each.

    ``blocks`` are the names of the equal parts, one after the other, that are not averaged together: temperatures of
    the run, or of that whose spins they have; there may be none.
    """

    configs: list[SpinConfiguration]
    seeds: list[int]
    realisations: list[int]
    blocks: tuple[str, ...] = ()


def replicas_of(cfg: DictConfig) -> Replicas:
    """Those that a configuration asks for, by ``system``, ``replicas`` and ``copies``, or by ``start``.

    Raises:
        ConfigError: a number out of its range, a file without frames.
        DatasetError: no such file, or not a trajectory.
    """
    for name, least in (("replicas", 1), ("copies", 1), ("seed", 0)):
        if cfg[name] < least or int(cfg[name]) != cfg[name]:
            raise ConfigError(f"{name}={cfg[name]}: give a whole number >= {least}")
    if cfg.start is not None:
        return replicas_from(str(cfg.start), int(cfg.seed), int(cfg.copies))
    copies = int(cfg.copies)
    configs, seeds = realisations(instantiate(cfg.system), int(cfg.seed), int(cfg.replicas), copies)
    return Replicas(configs, seeds, [number // copies for number in range(len(configs))])


def realisations(system: Any, seed: int, replicas: int, copies: int = 1) -> tuple[list[SpinConfiguration], list[int]]:
    """Configurations with uncorrelated spins and seeds of the noise, the copies of a realisation side by side.

    Realisation k and its copy 0 depend on (seed, k) alone; a further copy c has the same sites, species, moments and
    lengths of spins, and draws directions and noise from a stream of its own, (seed, k, c).
    """
    configs, seeds = [], []
    for number in range(replicas):
        rng = np.random.default_rng([seed, number])
        first = system.sample(rng)
        configs.append(first)
        seeds.append(int(rng.integers(2**63)))
        length = np.linalg.norm(first.spins, axis=1, keepdims=True)
        for copy in range(1, copies):
            rng = np.random.default_rng([seed, number, copy])
            configs.append(first.with_spins(length * random_spins(first.n_sites, rng)))
            seeds.append(int(rng.integers(2**63)))
    return configs, seeds


def replicas_from(path: str, seed: int, copies: int = 1) -> Replicas:
    """The sites and the last recorded spins of all replicas of a trajectory; copies of one differ in their noise alone.

    The noise of copy c of replica k depends on (seed, k, c), and is not that of any run that draws its first spins.

    Raises:
        ConfigError: the file has no complete frame, or not yet all replicas of its temperatures.
        DatasetError: no such file, or not a trajectory.
    """
    if not Path(path).is_file():
        raise ConfigError(f"start={path}: there is no such file; give the trajectory.h5 of a run of simulate")
    with TrajectoryReader(path) as reader:
        if not reader.n_frames:
            raise ConfigError(f"start={path}: the trajectory holds no complete frame to start from")
        blocks = temperature_blocks(reader.metadata)
        total = int(reader.file["spins"].shape[1])
        if blocks and (reader.n_replicas < total or total % len(blocks)):
            raise ConfigError(
                f"start={path}: of {total} replicas at {len(blocks)} temperatures {reader.n_replicas} are recorded: "
                "let that run end first"
            )
        numbers = recorded_realisations(reader.metadata, reader.configs)
        last = reader.spins(-1)
        configs = [config.with_spins(spins) for config, spins in zip(reader.configs, last, strict=True)]
    each = [(replica, copy) for replica in range(len(configs)) for copy in range(copies)]
    noise = (np.random.default_rng([seed, replica, copy, _STARTED]) for replica, copy in each)
    return Replicas(
        [configs[replica] for replica, _ in each],
        [int(rng.integers(2**63)) for rng in noise],
        [numbers[replica] for replica, _ in each],
        tuple(map(str, blocks)),
    )


def open_folder(cfg: DictConfig) -> RunFolder:
    """The folder of a run, an unfinished one of the same configuration with ``resume``."""
    parts = ("simulate", "from_file" if cfg.start is not None else _name(cfg.system))
    return RunFolder.open(cfg, cfg.output_root, parts=parts, run_dir=cfg.run_dir, resume=bool(cfg.resume))


def metadata_of(cfg: DictConfig, replicas: Replicas) -> dict[str, Any]:
    """What a trajectory says of its run."""
    where = {"torch": torch.__version__, "threads": torch.get_num_threads()}
    config = OmegaConf.to_container(cfg, resolve=True)
    own = {"noise_seeds": replicas.seeds, "realisations": replicas.realisations, "temperatures": list(replicas.blocks)}
    return {"version": __version__, **where, "config": config, **own}


def weights_of(cfg: DictConfig) -> dict[str, str]:
    """A run does not go on with other weights than it began with."""
    if cfg.checkpoint is None:
        return {}
    given = OmegaConf.to_container(cfg.checkpoint) if OmegaConf.is_config(cfg.checkpoint) else cfg.checkpoint
    content = b"".join(path.read_bytes() for path in checkpoint_paths(given) if path.is_file())  # type: ignore[arg-type]
    return {"checkpoint": hashlib.sha256(content).hexdigest()}


def _name(node: DictConfig) -> str:
    """The last word of the target in snake case, e.g. random_sites."""
    word = str(node["_target_"]).rpartition(".")[2]
    return "".join("_" + c.lower() if c.isupper() else c for c in word).lstrip("_")
