"""Extended XYZ through ASE: one frame a configuration, vectors as columns, the rest in the comment line.

    Properties=species:S:1:pos:R:3:spins:R:3:field:R:3:forces:R:3 energy=-3.2 Lattice="..." pbc="T T F"
    units="energy=eV, length=Angstrom" realisation=7 time=-1 split=train

Spins are three columns (``spins``, or magnetic moments under ``magmoms``); collinear moments, one column, have no
torque and are refused. Species are numbered by the elements, or by the column ``species_index``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetError
from ..units import Units
from .contents import FileContents, agreed_units, contents, find, readable_as, refuse_keys

if TYPE_CHECKING:
    from ase import Atoms

_SITE = ("spins", "field", "forces", "moments", "species")
_FRAME = ("energy", "realisation", "time", "split", "units")
_FRAME_RESULTS = ("energy", "free_energy", "stress", "dipole", "magmom")  # ASE keeps them apart from columns
_REQUIRED = ("spins", "field", "energy")


def read_extxyz(path: Path, keys: Mapping[str, str], units: Units | None) -> FileContents:
    """Checked contents of an extended XYZ file.

    Args:
        path: the file.
        keys: {our name: theirs}, columns or entries of the comment line.
        units: None if the file states them.

    Raises:
        DatasetError: not extended XYZ, truncated, a missing key, collinear moments, not finite, no units.
    """
    refuse_keys(path, keys, ("positions", "cell", "pbc"), "extended XYZ")
    frames = _frames(path)
    if not frames:
        raise DatasetError(f"{path}: no configuration in it")
    read = [_frame(path, number, atoms, keys) for number, atoms in enumerate(frames)]
    stated = {str(frame["units"]) for frame in read if "units" in frame}
    if len(stated) > 1:
        raise DatasetError(f"{path}: units differ between its frames: {' and '.join(sorted(stated))}")
    elements = not any("species" in frame for frame in read)
    if elements:
        read = [frame | {"species": atoms.numbers} for frame, atoms in zip(read, frames, strict=True)]
    arrays: dict[str, Any] = {}
    for name in ("positions", "cell", "pbc", *_SITE, *_FRAME):
        having = [frame[name] for frame in read if name in frame]
        if name == "units" or not having:
            continue
        if len(having) < len(read):
            lacking = next(number for number, frame in enumerate(read) if name not in frame)
            raise DatasetError(f"{path}: {name}: frame {lacking} has none and others have it")
        arrays[name] = _joined(path, name, having)
    offsets = np.cumsum([0, *(len(atoms) for atoms in frames)]).astype(np.int64)
    split = arrays.pop("split", None)
    return contents(path, offsets, arrays, agreed_units(path, next(iter(stated), None), units), split, elements)


def _frames(path: Path) -> list[Atoms]:
    from ase.io.extxyz import read_xyz

    with readable_as(path, "extended XYZ"), path.open(encoding="utf-8") as file:
        text = file.read()
        if text and not text.endswith("\n"):
            # A number that lost its last digits is still a number: only the end of the line tells.
            raise DatasetError(f"{path}: its last line has no end, it may be truncated; if it is whole, add a newline")
        file.seek(0)
        return list(read_xyz(file, index=slice(None)))


def _frame(path: Path, number: int, atoms: Atoms, keys: Mapping[str, str]) -> dict[str, Any]:
    """What one frame says, under our names."""
    where = Path(f"{path}: frame {number}")
    results = {} if atoms.calc is None else atoms.calc.results
    columns = {name: value for name, value in atoms.arrays.items() if name not in ("numbers", "positions")}
    columns |= {name: value for name, value in results.items() if name not in _FRAME_RESULTS}
    entries = {**atoms.info, **{name: value for name, value in results.items() if name not in columns}}
    frame: dict[str, Any] = {"positions": atoms.positions, "pbc": atoms.pbc[None], "cell": _cell(where, atoms)[None]}
    for name in (*_SITE, *_FRAME):
        there = columns if name in _SITE else entries
        theirs = find(where, name, keys, there, required=name in _REQUIRED)
        if theirs is not None:
            frame[name] = np.asarray(there[theirs])
    for name in ("spins", "field", "forces"):
        if name in frame and frame[name].shape != (len(atoms), 3):
            hint = "; collinear moments have no torque, give three columns" if name == "spins" else ""
            raise DatasetError(f"{where}: {name}: expected three columns, got shape {frame[name].shape}{hint}")
    for name in ("energy", "realisation", "time", "split", "units"):
        if name in frame and frame[name].ndim:
            raise DatasetError(f"{where}: {name}: expected one value, got {frame[name].tolist()}")
    return frame


def _cell(where: Path, atoms: Atoms) -> NDArray[np.float64]:
    """Vectors that are not periods may be absent in the file."""
    lengths = atoms.cell.lengths()
    if (atoms.pbc & (lengths == 0)).any():
        raise DatasetError(f'{where}: periodic along a cell vector of length 0; give Lattice= or pbc="F F F"')
    return np.array(atoms.cell.complete() if (lengths == 0).any() else atoms.cell)


def _joined(path: Path, name: str, values: list[NDArray[Any]]) -> NDArray[Any]:
    if name in ("positions", "cell", "pbc", *_SITE):
        return np.concatenate(values)
    joined = np.stack(values)
    if name == "realisation" and joined.dtype.kind not in "iu":
        raise DatasetError(f"{path}: realisation: expected integers, got {joined[0]!r}")
    return joined
