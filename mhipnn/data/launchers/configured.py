"""The launcher that a command's configuration chooses."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from ...errors import ConfigError
from ..sources import build
from .base import Launcher


def configured(cfg: DictConfig) -> Launcher | None:
    """The object of the node ``launcher``; None, for the default, where there is none.

    Raises:
        ConfigError: the node cannot be built, needs packages that are not installed, or is not a launcher.
        DatasetError: a number of workers that cannot be.
    """
    node = cfg.get("launcher")
    if node is None:
        return None
    launcher = build(OmegaConf.to_container(node, resolve=True), "launcher")  # type: ignore[arg-type]
    if not hasattr(launcher, "run") or not hasattr(launcher, "n_workers"):
        raise ConfigError(f"launcher: {type(launcher).__name__} has no run(function, jobs) with n_workers")
    return launcher
