"""The words that a command line may use, for messages about those that it may not: groups, choices, keys, arguments."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.errors import HydraException
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from . import config


class Vocabulary:
    """What one command knows, with the choices that its command line makes (``sys.argv``).

    Args:
        config_name: of the command.
    """

    def __init__(self, config_name: str) -> None:
        self.config_name = config_name

    def choices(self, group: str) -> list[str]:
        """What ``group=`` may be: files, also those of ``--config-dir``, and what is registered."""
        files = {path.stem for folder in _folders() for path in (folder / group).glob("*.yaml")}
        return sorted(files | {Path(name).stem for name in _published(group)})

    def keys(self) -> list[str]:
        """All keys that there are, without and with what stands before their dots."""
        return list(_flat_keys(self._config()))

    def arguments(self, key: str) -> list[str]:
        """Arguments of the class that the configuration binds at a key; none if it binds none there."""
        from hydra.utils import get_object

        target = OmegaConf.select(self._config(), f"{key}._target_", throw_on_missing=False)
        try:
            return [] if target is None else list(inspect.signature(get_object(target)).parameters)
        except (ImportError, ValueError, TypeError):  # a class that is not there, or says nothing
            return []

    def _config(self) -> DictConfig:
        """The configuration with the same choices of groups but none of the values."""
        chosen = [word for word in sys.argv[1:] if "=" in word and is_group(word.partition("=")[0])]
        for overrides in (chosen, []):
            try:
                more = [f"file://{folder}" for folder in _folders()[1:]]
                return config.compose_config(self.config_name, [*overrides, *search_path(more)])
            except (HydraException, OmegaConfBaseException):  # the choices are misspelt as well
                continue
        return OmegaConf.create()


def is_group(word: str) -> bool:
    """Whether something can be chosen under this name."""
    return any((folder / word).is_dir() for folder in _folders()) or bool(_published(word))


def given_folder() -> Path | None:
    """The folder that ``--config-dir`` names."""
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.exit_on_error = False
    given = parser.parse_known_args()[0].config_dir
    return Path(given).resolve() if given else None


def search_path(places: Sequence[str]) -> list[str]:
    """The setting that adds places ("file:///...", "pkg://...") to the command's own configuration."""
    quoted = ",".join("'" + place.replace("'", r"\'") + "'" for place in places)
    return [f"hydra.searchpath=[{quoted}]"] if places else []


def _folders() -> list[Path]:
    more = given_folder()
    return [config.conf_dir()] if more is None else [config.conf_dir(), more]


def _published(group: str) -> list[str]:
    node: Any = ConfigStore.instance().repo
    for part in group.split("/"):
        node = node.get(part, {}) if isinstance(node, dict) else {}
    return [name for name, item in node.items() if not isinstance(item, dict)] if isinstance(node, dict) else []


def _flat_keys(node: Any, prefix: str = "") -> Iterator[str]:
    if isinstance(node, ListConfig) or not isinstance(node, DictConfig) or node._is_none() or node._is_missing():
        return
    for key in map(str, node):
        yield f"{prefix}{key}"
        if not OmegaConf.is_missing(node, key) and not OmegaConf.is_interpolation(node, key):
            yield from _flat_keys(node[key], f"{prefix}{key}.")
