"""What an ensemble is asked to be, checked before anything is computed, and the training of each member."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from ...data.derived import TrainingSubset, checked_fraction
from ...nn.checkpoint import MEMBERS
from ..parts import whole_number

_OWN = ("members", "fraction", "side_by_side")  # of conf/ensemble.yaml, beyond what mhipnn.train reads


@dataclass(frozen=True)
class Settings:
    """Counts of an ensemble, see ``conf/ensemble.yaml``.

    Raises:
        ConfigError: a number out of range.
    """

    members: int
    fraction: float
    side_by_side: int | None
    seed: int

    @classmethod
    def of(cls, cfg: DictConfig) -> Settings:
        """The settings of a whole configuration."""
        return cls(
            members=whole_number("members", cfg.members, least=2),
            fraction=checked_fraction(cfg.fraction),
            side_by_side=None if cfg.side_by_side is None else whole_number("side_by_side", cfg.side_by_side),
            seed=whole_number("seed", cfg.seed, least=0),
        )

    def member_seed(self, number: int) -> int:
        """Ensembles of equal size with other seeds share no member."""
        return self.seed * self.members + number


def member_folder(folder: Path, number: int) -> Path:
    """The run folder of one member."""
    return folder / MEMBERS / str(number)


def member_config(cfg: DictConfig, settings: Settings, number: int, folder: Path) -> DictConfig:
    """What ``mhipnn.train`` is given for one member: other first weights, another order of batches.

    Args:
        cfg: of the ensemble.
        settings: of it, checked.
        number: of the member, from 0.
        folder: of the ensemble.
    """
    member = deepcopy(cfg)
    with open_dict(member):
        for key in _OWN:
            del member[key]
        member.seed = settings.member_seed(number)
        member.run_dir = str(member_folder(folder, number))
        member.resume = True
    plain: Any = OmegaConf.to_container(member, resolve=True)
    if settings.fraction < 1:
        plain["data"] = {
            "_target_": f"{TrainingSubset.__module__}.{TrainingSubset.__name__}",
            "_recursive_": False,
            "_convert_": "all",
            "start": plain["data"],
            "fraction": settings.fraction,
            "seed": member.seed,
            "dtype": plain["data"]["dtype"],
        }
    return OmegaConf.create(plain)
