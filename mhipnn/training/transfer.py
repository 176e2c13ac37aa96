"""Fine-tuning: a training that starts from the weights of another one, with smaller rates for earlier blocks."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

from torch import nn

from .. import registry
from ..errors import CheckpointError, ConfigError
from ..nn.checkpoint import CheckpointRecord, load_model
from ..nn.energy_model import EnergyModel

_OF_THE_DATA = ("scale", "offset")  # of energies and fields: those of the new training split stay


def take_weights(model: EnergyModel, record: CheckpointRecord, init_from: str | Path) -> None:
    """Start a model from the (averaged) weights of a finished training of the same model.

    Scale and offset stay as they are, those of the new training split: what is taken over is the dimensionless energy.
    The means and deviations that ``fit_features`` found come with the weights, which mean nothing without them.

    Args:
        model: takes the weights, in its own precision and on its device.
        record: what the checkpoints of the new training will say of it.
        init_from: a checkpoint, or the folder of a finished run.

    Raises:
        CheckpointError: no such file, a damaged or unsafe one, a run that is not finished.
        ConfigError: it is another model, or has other arguments; the message says which.
    """
    path = _checkpoint_of(Path(init_from))
    trained, origin = load_model(path)
    _require_same(record, origin, path)
    state = {name: value for name, value in trained.state_dict().items() if name not in _OF_THE_DATA}
    model.load_state_dict(state, strict=False)  # the architecture is the same, so nothing else is left out


def _checkpoint_of(path: Path) -> Path:
    if not path.is_dir():
        return path
    best = path / "checkpoints" / "best.ckpt"
    if not (path / "metrics.json").is_file():
        advice = f"finish it first, or give init_from={best}" if best.is_file() else "give a run folder or a checkpoint"
        raise CheckpointError(f"init_from={path}: this is not the folder of a finished training; {advice}")
    return best


def _require_same(record: CheckpointRecord, origin: CheckpointRecord, path: Path) -> None:
    if record.model != origin.model:
        raise ConfigError(
            f"init_from={path} holds a {origin.model!r}, and this training is of a {record.model!r}; "
            f"give model={origin.model}"
        )
    mine, theirs = _all_arguments(record), _all_arguments(origin)
    missing = object()
    other = [key for key in mine | theirs if mine.get(key, missing) != theirs.get(key, missing)]
    if other:
        differing = ", ".join(f"{key} is {theirs.get(key)} there and {mine.get(key)} here" for key in other)
        settings = " ".join(f"model.{key}={theirs[key]}" for key in other if key in theirs)
        raise ConfigError(f"init_from={path} does not fit the model of this training: {differing}; give {settings}")


def _all_arguments(record: CheckpointRecord) -> dict[str, Any]:
    """Those of the record, and the defaults of the rest: a model may have got more options since."""
    parameters = inspect.signature(registry.get("model", record.model)).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not p.empty} | record.arguments


def blocks_from_the_readout(model: EnergyModel) -> list[list[nn.Parameter]]:
    """The parameters of a model by block, the last block first.

    A model of n interaction blocks keeps what belongs to block k at place k of its ``ModuleList``s of length n, one of
    which is called ``interactions``. Whatever stands elsewhere belongs to the last block; a model without
    ``interactions`` has one.
    """
    lists = {name: child for name, child in model.named_children() if isinstance(child, nn.ModuleList)}
    n_blocks = len(lists["interactions"]) if "interactions" in lists else 1
    blocks: list[list[nn.Parameter]] = [[] for _ in range(n_blocks)]
    for name, parameter in model.named_parameters():
        child, _, rest = name.partition(".")
        stacked = child in lists and len(lists[child]) == n_blocks
        blocks[int(rest.partition(".")[0]) if stacked else -1].append(parameter)
    return [block for block in reversed(blocks) if block]
