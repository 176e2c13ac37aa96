"""Checkpoints: files from others, so nothing in them is ever unpickled or imported."""

from __future__ import annotations

import pickle
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from .. import __version__, registry
from ..errors import CheckpointError, ConfigError
from .energy_model import EnergyModel
from .network_potential import NetworkPotential

FORMAT = 1


@dataclass(frozen=True)
class CheckpointRecord:
    """What a checkpoint says beside its weights: plain values only.

    ``model`` is the name of a registered model (never an import path), ``arguments`` its keyword arguments,
    ``dtype`` its precision, ``metadata`` the dataset and the units that it was trained on.
    """

    model: str
    arguments: dict[str, Any]
    dtype: str = "float32"
    metadata: dict[str, Any] = field(default_factory=dict)
    format: int = FORMAT
    version: str = __version__

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, path: str | Path) -> CheckpointRecord:
        """The record of a checkpoint file; raises CheckpointError."""
        return read_checkpoint(path)[0]

    @classmethod
    def from_dict(cls, values: Any, path: Path) -> CheckpointRecord:
        """Check a record that was read from ``path``; raises CheckpointError."""
        if not isinstance(values, dict) or not isinstance(values.get("format"), int):
            raise CheckpointError(
                f"{path}: not a checkpoint of mhipnn (no 'mhipnn' record); give a file that mhipnn.train wrote"
            )
        if values["format"] != FORMAT:
            raise CheckpointError(
                f"{path}: checkpoint format {values['format']} (mhipnn {values.get('version', '?')}); "
                f"mhipnn {__version__} reads format {FORMAT}: load it with the version that wrote it, or train again"
            )
        known = set(cls.__dataclass_fields__)
        if set(values) != known:
            raise CheckpointError(f"{path}: the record holds {sorted(values)}, expected {sorted(known)}")
        if not isinstance(values["model"], str) or not isinstance(values["arguments"], dict):
            raise CheckpointError(f"{path}: the record's model must be a name and its arguments a table")
        return cls(**values)


def read_checkpoint(path: str | Path) -> tuple[CheckpointRecord, dict[str, Any]]:
    """The record and the whole content of a checkpoint, read with ``weights_only=True``; raises CheckpointError."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; training writes <run folder>/checkpoints/best.ckpt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, it holds something other than plain weights ({str(error).splitlines()[0]})"
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{path}: cannot be read as a checkpoint ({str(error).splitlines()[0]})") from error
    record = CheckpointRecord.from_dict(content.get("mhipnn") if isinstance(content, dict) else None, path)
    return record, content


def load_model(path: str | Path) -> tuple[EnergyModel, CheckpointRecord]:
    """Rebuild the registered model of a checkpoint with its (averaged) weights; raises CheckpointError."""
    record, content = read_checkpoint(path)
    if "." in record.model or ":" in record.model:
        raise CheckpointError(
            f"{path}: refused, it names the import path {record.model!r} instead of a registered model"
        )
    try:
        model = registry.get("model", record.model)(**record.arguments)
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except TypeError as error:
        raise CheckpointError(f"{path}: model {record.model!r} does not take these arguments ({error})") from error
    prefix = "model."
    state = {name[len(prefix) :]: value for name, value in content["state_dict"].items() if name.startswith(prefix)}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: its weights do not fit model {record.model!r} ({' '.join(str(error).split())})"
        ) from error
    return model, record


def load_potential(path: str | Path, device: str | torch.device = "cpu", dtype: str | None = None) -> NetworkPotential:
    """A trained network as a ``Potential``.

    Args:
        path: a checkpoint of ``mhipnn.train`` (``<run folder>/checkpoints/best.ckpt``).
        device: where it runs.
        dtype: "float32" or "float64" (default: as trained).

    Raises:
        CheckpointError: missing or damaged file, pickle payload, unregistered model, other version.
    """
    model, record = load_model(path)
    name = dtype or record.dtype
    if name not in ("float32", "float64"):
        raise CheckpointError(f"{path}: dtype {name!r}; allowed: 'float32', 'float64'")
    return NetworkPotential(model, device, getattr(torch, name), record.metadata)
