"""Sites from files: whatever ASE reads, and npz."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from ..configuration import SpinConfiguration
from ..errors import DatasetError, InputError


def require_digest(path: str | Path, sha256: str | None) -> None:
    """Refuse a file whose content is not what a definition was made for.

    Raises:
        DatasetError: no such file, or its SHA-256 (64 hexadecimal digits) is another than ``sha256``.
    """
    path = Path(path)
    if not path.is_file():
        raise DatasetError(f"{path}: no such file")
    if sha256 is None:
        return
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != str(sha256).lower():
        raise DatasetError(f"{path}: its SHA-256 is {digest}, but {sha256} is asked for; it is another file")


def read_frames(path: str | Path, sha256: str | None = None) -> list[SpinConfiguration]:
    """All frames of a file of structures, spins along z.

    ``*.npz`` holds ``positions`` (F, N, 3) or (N, 3), ``cell`` (F, 3, 3) or (3, 3), and, if it has them, ``pbc``
    (F, 3) or (3,) (default: all periods) and ``species`` (F, N) or (N,). Anything else is read by ASE: species number
    the chemical elements of the file by increasing atomic number, and cell vectors that are missing are completed.

    Args:
        path: the file.
        sha256: what its content must hash to; None for anything.

    Raises:
        DatasetError: missing, of no known format, damaged, without sites or cell, not finite, or another content.
    """
    path = Path(path)
    require_digest(path, sha256)
    frames = _npz_frames(path) if path.suffix == ".npz" else _ase_frames(path)
    if not frames:
        raise DatasetError(f"{path}: holds no structure")
    configs = []
    for number, frame in enumerate(frames):
        try:
            sites = len(np.atleast_1d(frame["positions"]))
            configs.append(SpinConfiguration(spins=np.tile([0.0, 0.0, 1.0], (sites, 1)), **frame))
        except (InputError, ValueError) as error:
            raise DatasetError(f"{path}: frame {number}: {error}") from error
    return configs


def _ase_frames(path: Path) -> list[dict[str, Any]]:
    from ase.io import read

    try:
        frames = read(path, index=":", do_not_split_by_at_sign=True)
    except Exception as error:  # every format has its own ways to fail
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(f"{path}: ASE cannot read it as a structure ({reason})") from error
    elements = np.array(sorted({int(number) for atoms in frames for number in atoms.numbers}))
    return [
        {
            "positions": atoms.positions,
            "cell": np.array(atoms.cell.complete()),
            "pbc": atoms.pbc,
            "species": np.searchsorted(elements, atoms.numbers),
        }
        for atoms in frames
    ]


def _npz_frames(path: Path) -> list[dict[str, Any]]:
    try:
        # opened here, because numpy leaves a damaged archive open
        with open(path, "rb") as file, np.lib.npyio.NpzFile(file, allow_pickle=False) as content:
            names = [name for name in ("positions", "cell", "pbc", "species") if name in content.files]
            arrays = {name: content[name] for name in names}
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DatasetError(f"{path}: cannot be read as npz of plain arrays, it is damaged or something else") from error
    missing = [name for name in ("positions", "cell") if name not in arrays]
    if missing:
        raise DatasetError(f"{path}: no array {' and no '.join(missing)} in it; expected positions (F, N, 3) and cell")
    single = {"positions": 2, "cell": 2, "pbc": 1, "species": 1}
    shape = arrays["positions"].shape
    if len(shape) not in (2, 3) or shape[-1] != 3:
        raise DatasetError(f"{path}: positions: expected shape (F, N, 3) or (N, 3), got {shape}")
    n_frames = 1 if len(shape) == 2 else shape[0]
    arrays.setdefault("pbc", np.ones(3, bool))
    for name, array in arrays.items():
        if array.ndim == single[name]:
            arrays[name] = np.broadcast_to(array, (n_frames, *array.shape))
        elif array.ndim != single[name] + 1 or len(array) != n_frames:
            raise DatasetError(f"{path}: {name} has shape {array.shape}, which does not go with {n_frames} frames")
    return [{name: array[k] for name, array in arrays.items()} for k in range(n_frames)]
