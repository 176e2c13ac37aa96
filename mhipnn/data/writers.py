"""Labelled configurations as extended XYZ or npz: every number keeps its 53 bits, and `data=files` reads them back.

ASE writes extended XYZ with 8 decimals, so the lines are made here: 17 significant digits name a float64 exactly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np

from ..atomic import atomic_path
from ..configuration import Array
from ..errors import DatasetError, suggest
from .labelled import LabelledConfigurations, array_names, concatenate
from .units import Units

WRITERS = {".xyz": "extended XYZ", ".extxyz": "extended XYZ", ".npz": "npz"}
"""Formats by the ending of the file."""


def write_labels(
    path: str | Path,
    splits: Mapping[str, LabelledConfigurations],
    units: Units,
    symbols: Sequence[str] = (),
) -> Path:
    """Write all configurations of all splits into one file, in the format that its ending names.

    Args:
        path: ends in .npz, .xyz or .extxyz; an existing file is replaced, once the new one is whole.
        splits: {"train": ..., "val": ..., ...}; the name "" leaves the split open.
        units: of all numbers.
        symbols: the element that stands for species 0, 1, ... in extended XYZ; default X for each.

    Raises:
        DatasetError: an unknown ending, nothing to write, forces in some splits only, a file that cannot be written.
    """
    path = Path(path)
    if path.suffix not in WRITERS:
        raise DatasetError(f"{path}: cannot write that format; {suggest(path.suffix, WRITERS)}")
    if not sum(len(labelled) for labelled in splits.values()):
        raise DatasetError(f"{path}: no configuration to write")
    labelled = concatenate(list(splits.values()))
    words = np.repeat(list(splits), [len(part) for part in splits.values()])
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as partial:
            if path.suffix == ".npz":
                _write_npz(partial, labelled, words, units)
            else:
                with partial.open("w", encoding="utf-8") as file:
                    _write_frames(file, labelled, words, units, symbols)
    except OSError as error:
        raise DatasetError(f"{path} cannot be written: {error.strerror or error}") from error
    return path


def _write_npz(path: Path, labelled: LabelledConfigurations, words: np.ndarray, units: Units) -> None:
    arrays = {name: getattr(labelled, name) for name in ("offsets", *array_names())}
    arrays = {name: array for name, array in arrays.items() if array is not None}
    with path.open("wb") as file:  # given a name, numpy would add an ending of its own
        np.savez(file, **arrays, split=words, units=np.array(str(units)))


def _write_frames(
    file: TextIO, labelled: LabelledConfigurations, words: np.ndarray, units: Units, symbols: Sequence[str]
) -> None:
    columns = {"pos": labelled.positions, "spins": labelled.spins, "field": labelled.field}
    if labelled.forces is not None:
        columns["forces"] = labelled.forces
    numbers = np.concatenate([*columns.values(), labelled.moments[:, None]], axis=1)
    names = "".join(f":{name}:R:3" for name in columns)
    n_species = int(labelled.species.max()) + 1
    if symbols and len(symbols) < n_species:
        raise DatasetError(f"{len(symbols)} symbols for {n_species} species: {', '.join(symbols)}; give one for each")
    row = "%s %d" + " %.17g" * numbers.shape[1] + "\n"
    for index in range(len(labelled)):
        sites = labelled.sites(index)
        entries = {
            "Lattice": f'"{_spelt(labelled.cell[index])}"',
            "Properties": f"species:S:1:species_index:I:1{names}:moments:R:1",
            "energy": _spelt(labelled.energy[index]),
            "realisation": str(int(labelled.realisation[index])),
            "time": _spelt(labelled.time[index]),
            "units": f'"{units}"',
            "pbc": '"' + " ".join("T" if periodic else "F" for periodic in labelled.pbc[index]) + '"',
        }
        if words[index]:
            entries["split"] = str(words[index])
        comment = " ".join(f"{name}={value}" for name, value in entries.items())
        file.write(f"{sites.stop - sites.start}\n{comment}\n")
        for species, values in zip(labelled.species[sites].tolist(), numbers[sites].tolist(), strict=True):
            file.write(row % (symbols[species] if symbols else "X", species, *values))


def _spelt(values: Array) -> str:
    return " ".join(format(value, ".17g") for value in np.ravel(values).tolist())
