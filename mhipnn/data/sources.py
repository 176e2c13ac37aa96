"""From the nodes of a definition to the objects that make its configurations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate

from ..errors import ConfigError, DatasetError, UserError
from ..potential import Potential
from .definition import DatasetDefinition


@dataclass(frozen=True)
class Sources:
    """What one split is drawn from: disordered sites, the exact potential, and spin samplers by name."""

    structure: Any
    potential: Potential
    samplers: dict[str, Any]


def build(node: Mapping[str, Any], where: str) -> Any:
    """The object that a node describes.

    Raises:
        UserError: the object's own complaint (filling 3, ...), or ConfigError if the node cannot be instantiated.
    """
    if "_target_" not in node:
        raise ConfigError(f"{where}: no `_target_` in {node}; name the class to build")
    try:
        return instantiate(node)
    except InstantiationException as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, UserError):
                raise cause from None
            cause = cause.__cause__
        reason = error.__cause__ or error
        raise ConfigError(f"{where}: cannot build {node['_target_']}: {' '.join(str(reason).split())}") from error


def build_sources(definition: DatasetDefinition, split: str) -> Sources:
    """Objects for one split; the size split has enlarged structures and its own samplers."""
    potential = build(definition.potential, "potential")
    structure = build(definition.structure, "structure")
    nodes, where = definition.samplers, "samplers"
    if split == "size":
        if definition.size_split is None:
            raise DatasetError(f"dataset {definition.name!r} has no size split (size_split: null)")
        if not hasattr(structure, "enlarged"):
            raise DatasetError(
                f"{type(structure).__name__} has no method enlarged(factor), needed by the size split; size_split: null"
            )
        structure = structure.enlarged(definition.size_split["factor"])
        nodes, where = definition.size_split["samplers"], "size_split.samplers"
    samplers = {name: build(node, f"{where}.{name}") for name, node in nodes.items()}
    return Sources(structure, potential, samplers)
