"""What a study may choose: ranges and lists of values for keys of the training's configuration."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf

from ... import registry
from ...errors import ConfigError, suggest

if TYPE_CHECKING:
    from optuna import Trial

_RANGE = {"low", "high", "log", "step"}


@dataclass(frozen=True)
class Setting:
    """One key and the values that it may have: ``choices``, or numbers from ``low`` to ``high``.

    Numbers are integers if both ends are; ``log`` draws their logarithm evenly, ``step`` is their spacing.
    """

    key: str
    choices: tuple[Any, ...] = ()
    low: float = 0
    high: float = 0
    log: bool = False
    step: float | None = None

    @classmethod
    def of(cls, key: str, node: Any) -> Setting:
        """A list of values, or a table {low, high, log, step}; raises ConfigError."""
        if isinstance(node, list) and node and all(isinstance(v, (bool, int, float, str, type(None))) for v in node):
            return cls(key, choices=tuple(node))
        if not isinstance(node, Mapping) or not {"low", "high"} <= set(node) <= _RANGE:
            raise ConfigError(
                f"tune.space.{key}={node}: expected a list of values, as in [16,24,32], or a range, as in "
                "{low: 1e-3, high: 1e-2, log: true}"
            )
        setting = cls(key, **node)
        low, high = setting.low, setting.high
        numbers = all(isinstance(end, (int, float)) for end in (low, high))
        if not numbers or not low < high or (setting.log and (not low > 0 or setting.step is not None)):
            raise ConfigError(
                f"tune.space.{key}: need numbers low < high; log=true also needs low > 0 and no step, "
                f"got low={low}, high={high}, log={setting.log}, step={setting.step}"
            )
        return setting

    def draw(self, trial: Trial) -> Any:
        """The value that a trial gets."""
        if self.choices:
            return trial.suggest_categorical(self.key, self.choices)
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(self.key, self.low, self.high, step=int(self.step or 1), log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)


def search_space(cfg: DictConfig) -> list[Setting]:
    """The settings of ``tune.space`` that the chosen model has, in its order; null takes a key out.

    Arguments that only other registered models have are left out, so that one space serves the whole family.

    Raises:
        ConfigError: a key that is none of the configuration, values that are no list and no range, nothing to search.
    """
    space: Any = OmegaConf.to_container(cfg.tune, resolve=True)["space"]  # type: ignore[index, call-overload]
    settings = [Setting.of(key, node) for key, node in _leaves(space or {}) if _applies(key, cfg)]
    if not settings:
        raise ConfigError("tune.space names nothing to search; add a setting, as in '+tune.space.model.cutoff=[2.5,3]'")
    return settings


def _leaves(node: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in node.items():
        if isinstance(value, Mapping) and not set(value) & _RANGE:
            yield from _leaves(value, f"{prefix}{name}.")
        elif value is not None:
            yield f"{prefix}{name}", value


def _applies(key: str, cfg: DictConfig) -> bool:
    part, _, name = key.rpartition(".")
    parent = OmegaConf.select(cfg, part) if part else cfg
    if isinstance(parent, DictConfig) and name in parent:
        return True
    of_models = {argument for model in registry.names("model") for argument in _arguments(model)}
    if part == "model" and name in of_models:
        return False
    near = suggest(name, {*parent, *(of_models if part == "model" else ())} if isinstance(parent, DictConfig) else cfg)
    raise ConfigError(f"tune.space.{key}: this training has no setting {key!r}; {near} (null takes it out)")


def _arguments(model: str) -> list[str]:
    return list(inspect.signature(registry.get("model", model)).parameters)
