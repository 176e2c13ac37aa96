"""Checkpoints: files from others, so nothing in them is ever unpickled or imported."""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from .. import __version__, registry
from ..atomic import atomic_path
from ..errors import CheckpointError, ConfigError, InputError
from .energy_model import EnergyModel
from .ensemble import EnsemblePotential
from .network_potential import NetworkPotential

FORMAT = 1
DTYPES = ("float32", "float64")
MEMBERS = "members"  # of an ensemble's folder: the run folders of its members, by number
_BEST = "checkpoints/best.ckpt"  # of a run's folder
_PREFIX = "model."  # of the weights: what training saves is a module that holds the model


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
        if not isinstance(values["metadata"], dict) or values["dtype"] not in DTYPES:
            raise CheckpointError(
                f"{path}: the record's metadata must be a table and its dtype {' or '.join(DTYPES)}, "
                f"got {type(values['metadata']).__name__} and {values['dtype']!r}"
            )
        return cls(**values)


def read_checkpoint(path: str | Path) -> tuple[CheckpointRecord, dict[str, Any]]:
    """The record and the whole content of a checkpoint, read with ``weights_only=True``; raises CheckpointError."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"{path}: no such checkpoint; training writes <run folder>/checkpoints/best.ckpt")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # The reader's own message advises to trust the file after all; only the name of the object is worth passing on.
        named = re.search(r"GLOBAL\s+([\w.]+)", str(error))
        raise CheckpointError(
            f"{path}: refused, it holds a pickled {named[1]} beside plain weights and may run code"
            if named
            else f"{path}: cannot be read as a checkpoint, it is damaged or something else (not plain weights)"
        ) from error
    except Exception as error:  # damage can surface anywhere in the reader
        raise CheckpointError(
            f"{path}: cannot be read as a checkpoint, it is damaged or something else ({_first_sentence(error)})"
        ) from error
    record = CheckpointRecord.from_dict(content.get("mhipnn") if isinstance(content, dict) else None, path)
    return record, content


def load_model(path: str | Path) -> tuple[EnergyModel, CheckpointRecord]:
    """Rebuild the registered model of a checkpoint with its (averaged) weights, to the bit; raises CheckpointError."""
    record, content = read_checkpoint(path)
    if "." in record.model or ":" in record.model:
        raise CheckpointError(
            f"{path}: refused, it names the import path {record.model!r} instead of a registered model"
        )
    try:
        model = registry.get("model", record.model)(**record.arguments).in_precision(getattr(torch, record.dtype))
    except ConfigError as error:
        raise CheckpointError(f"{path}: {error}") from error
    except (TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{path}: model {record.model!r} does not take these arguments ({_first_sentence(error)})"
        ) from error
    try:
        model.load_state_dict(_weights(content, Path(path)))
    except RuntimeError as error:
        raise CheckpointError(
            f"{path}: its weights do not fit model {record.model!r} ({' '.join(str(error).split())})"
        ) from error
    return model, record


def save_model(path: str | Path, model: EnergyModel, record: CheckpointRecord) -> None:
    """Write a checkpoint that holds nothing but the record and the weights; whole or not at all."""
    weights = {f"{_PREFIX}{name}": value.detach().cpu() for name, value in model.state_dict().items()}
    with atomic_path(Path(path)) as partial:
        torch.save({"mhipnn": record.to_dict(), "state_dict": weights}, partial)


def _weights(content: dict[str, Any], path: Path) -> dict[str, torch.Tensor]:
    """The model's part of the module's state."""
    state = content.get("state_dict")
    if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
        raise CheckpointError(f"{path}: it holds no weights (no table 'state_dict')")
    return {name[len(_PREFIX) :]: value for name, value in state.items() if name.startswith(_PREFIX)}


def load_potential(
    path: str | Path | Sequence[str | Path], device: str | torch.device = "cpu", dtype: str | None = None
) -> NetworkPotential | EnsemblePotential:
    """A trained network, or the mean of several, as a ``Potential``.

    Args:
        path: a checkpoint of ``mhipnn.train`` (``<run folder>/checkpoints/best.ckpt``) or its run folder; for an
            ensemble, the folder that ``mhipnn.ensemble`` wrote or a list of checkpoints.
        device: where it runs.
        dtype: "float32" or "float64" (default: as trained).

    Raises:
        CheckpointError: missing or damaged file, pickle payload, unregistered model, other version, a folder without
            checkpoints, members that do not belong together.
        ConfigError: another ``dtype``.
    """
    if isinstance(path, str | Path):
        path = Path(path)
        if not (path / MEMBERS).is_dir():
            return load_network(checkpoint_paths(path)[0], device, dtype)
    return load_ensemble(path, device, dtype)


def load_network(path: str | Path, device: str | torch.device = "cpu", dtype: str | None = None) -> NetworkPotential:
    """The network of one checkpoint; see `load_potential`."""
    model, record = load_model(path)
    name = dtype or record.dtype
    if name not in DTYPES:
        raise ConfigError(f"dtype {name!r} of a potential: allowed are {', '.join(DTYPES)}")
    return NetworkPotential(model, device, getattr(torch, name), record.metadata)


def load_ensemble(
    path: str | Path | Sequence[str | Path], device: str | torch.device = "cpu", dtype: str | None = None
) -> EnsemblePotential:
    """The networks of several checkpoints; see `load_potential`."""
    paths = checkpoint_paths(path)
    try:
        return EnsemblePotential([load_network(each, device, dtype) for each in paths], list(map(str, paths)))
    except InputError as error:
        raise CheckpointError(str(error)) from error


def checkpoint_paths(path: str | Path | Sequence[str | Path]) -> list[Path]:
    """The files that a user means: a checkpoint itself, that of a run's folder, those of an ensemble's, or a list.

    Raises:
        CheckpointError: a folder without checkpoints, or that of an ensemble whose training has not ended.
    """
    if not isinstance(path, str | Path):
        return [file for each in path for file in checkpoint_paths(each)]
    path = Path(path)
    if not path.is_dir():
        return [path]
    if not (path / MEMBERS).is_dir():
        best = path / _BEST
        if not best.is_file():
            raise CheckpointError(
                f"{path}: no such checkpoint but a folder without {_BEST}; give a file, or the folder of a run or of "
                "an ensemble"
            )
        return [best]
    members = sorted((path / MEMBERS).glob(f"*/{_BEST}"), key=lambda best: (len(best.parts[-3]), best.parts[-3]))
    if not (members and (path / "metrics.json").is_file()):
        raise CheckpointError(
            f"{path}: an ensemble whose training has not ended; give the command that made it once more, or list the "
            "checkpoints to be used"
        )
    return members


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].partition(". ")[0].strip().rstrip(".:")
