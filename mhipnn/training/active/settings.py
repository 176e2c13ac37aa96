"""What a run of active learning is asked to do, checked before anything is computed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.utils import instantiate
from omegaconf import DictConfig

from ... import registry
from ...dynamics.quench import Quench
from ...dynamics.sampling import QuenchSnapshots
from ...errors import ConfigError, suggest
from ..parts import whole_number
from .acquisition import Acquisition
from .pool import KINDS

START = "start"  # what all arms share

_COUNTS = ("start", "rounds", "members", "labels_per_round", "per_realisation", "epochs_per_round")


@dataclass(frozen=True)
class Arm:
    """One way to choose labels: the ``states`` that it chooses from (one of ``pool.KINDS``), and by what."""

    name: str
    states: str
    acquisition: Acquisition


@dataclass(frozen=True)
class Settings:
    """Counts of a run, see ``conf/active.yaml``; ``snapshots`` are the times and the quench of the candidates.

    Raises:
        ConfigError: a number out of range, an unknown arm, acquisition or kind of states, more labels than candidates.
    """

    start: int
    rounds: int
    members: int
    labels_per_round: int
    per_realisation: int
    epochs_per_round: int
    realisations: int
    replicas: int
    rollout_realisations: int
    snapshots: QuenchSnapshots
    arms: tuple[Arm, ...]

    @classmethod
    def of(cls, cfg: DictConfig) -> Settings:
        """The settings of a whole configuration."""
        quench = instantiate(cfg.dynamics)
        if not isinstance(quench, Quench):
            raise ConfigError(f"dynamics: active learning runs quenches, got {type(quench).__name__}")
        if not isinstance(cfg.seed, int) or isinstance(cfg.seed, bool) or cfg.seed < 0:
            raise ConfigError(f"seed={cfg.seed}: give a whole number >= 0")
        whole_number("trainer.max_epochs", cfg.trainer.max_epochs)
        counts = {name: whole_number(name, cfg[name]) for name in _COUNTS}
        pool = {name: whole_number(f"pool.{name}", cfg.pool[name]) for name in ("realisations", "replicas")}
        rollout = whole_number("rollout.n_realisations", cfg.rollout.n_realisations)
        try:
            snapshots = QuenchSnapshots(tuple(cfg.pool.times), quench)
        except (ConfigError, TypeError, ValueError) as error:
            raise ConfigError(f"pool.times: {error}") from error
        settings = cls(
            **counts, **pool, rollout_realisations=rollout, snapshots=snapshots, arms=_arms(cfg.arms, counts["members"])
        )
        settings._check_pool()
        return settings

    @property
    def states_per_realisation(self) -> int:
        """Candidates on each realisation, in every arm."""
        return self.replicas * len(self.snapshots.times)

    def fresh(self, number: int) -> range:
        """The training realisations that round ``number`` = 1, 2, ... draws its candidates on; no round shares them."""
        first = self.start + (number - 1) * self.realisations
        return range(first, first + self.realisations)

    def _check_pool(self) -> None:
        most = self.realisations * min(self.per_realisation, self.states_per_realisation)
        if self.labels_per_round > most:
            raise ConfigError(
                f"labels_per_round={self.labels_per_round}: the pool of a round gives {most} at most "
                f"({self.realisations} realisations with {self.states_per_realisation} candidates each, of which "
                f"per_realisation={self.per_realisation} may be taken); raise pool.realisations or per_realisation"
            )


def _arms(nodes: Any, members: int) -> tuple[Arm, ...]:
    arms = []
    for name, node in (nodes or {}).items():
        if node is None:
            continue
        if not re.fullmatch(r"[A-Za-z0-9_]+", str(name)) or name == START:
            raise ConfigError(f"arms: {name!r} names files and a curve; use letters, digits and _, not {START!r}")
        if not isinstance(node, Mapping | DictConfig) or set(node) != {"states", "acquisition"}:
            raise ConfigError(f"arms.{name}: expected {{states: ..., acquisition: ...}}, got {node}")
        if node["states"] not in KINDS:
            raise ConfigError(f"arms.{name}.states: unknown {node['states']!r}; {suggest(str(node['states']), KINDS)}")
        arms.append(Arm(str(name), node["states"], _acquisition(str(name), str(node["acquisition"]), members)))
    if not arms:
        raise ConfigError("arms: none is left; give at least one, such as arms.active={states:quench,...}")
    return tuple(arms)


def _acquisition(arm: str, name: str, members: int) -> Acquisition:
    try:
        acquisition = registry.get("acquisition", name)()
    except ConfigError as error:
        raise ConfigError(f"arms.{arm}.acquisition: {error}") from error
    if members < acquisition.min_members:
        raise ConfigError(
            f"members={members}: acquisition {name!r} of arm {arm!r} compares {acquisition.min_members} networks or "
            f"more; give members={acquisition.min_members} at least, or another acquisition"
        )
    return acquisition
