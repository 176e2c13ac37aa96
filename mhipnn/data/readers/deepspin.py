"""Folders of npy files in the layout of DeePMD-kit with spins (DeepSPIN).

A system is a folder with ``type.raw`` (N integers), perhaps ``type_map.raw`` and ``nopbc``, and sets ``set.000``,
``set.001``, ... of ``coord.npy`` (C, 3 N), ``box.npy`` (C, 9), ``spin.npy``, ``force_mag.npy`` (C, 3 N), ``energy.npy``
(C,), and perhaps ``force.npy`` (C, 3 N). ``force_mag`` is -dE/dS, our field. A folder of systems is read whole.
The layout states no units (DeePMD-kit itself counts in eV and Angstrom): they must be given.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import DatasetError
from ..units import Units
from .contents import ALIASES, FileContents, agreed_units, contents, join, readable_as, refuse_keys

# our name -> file
_FILES = {
    "positions": "coord",
    "cell": "box",
    "spins": "spin",
    "field": "force_mag",
    "energy": "energy",
    "forces": "force",
}


def systems_of(path: Path) -> list[Path]:
    """The folder itself, or the folders below it, that hold a ``type.raw``."""
    if (path / "type.raw").is_file():
        return [path]
    return sorted(found.parent for found in path.rglob("type.raw"))


def read_deepspin(path: Path, keys: Mapping[str, str], units: Units | None) -> FileContents:
    """Checked contents of a system, or of a folder of systems; each set is a source of its own.

    Args:
        path: the folder.
        keys: {our name: name of the npy file without its ending}.
        units: must be given.

    Raises:
        DatasetError: no system, a missing or damaged file, wrong shapes, not finite, no units.
    """
    refuse_keys(path, keys, set(ALIASES) - set(_FILES), "DeepSPIN folders")
    units = agreed_units(path, None, units)
    systems = systems_of(path)
    if not systems:
        raise DatasetError(f"{path}: no system in it: neither the folder nor one below it has a type.raw")
    parts, paths = [], []
    for system in systems:
        species = _types(system)
        sets = sorted(found for found in system.glob("set.*") if found.is_dir())
        if not sets:
            raise DatasetError(f"{system}: no sets in it; a system has folders set.000, set.001, ...")
        for folder in sets:
            parts.append(_set(folder, species, not (system / "nopbc").exists(), keys, units))
            paths.append(folder)
    return join(parts, paths)


def _types(system: Path) -> NDArray[np.int64]:
    path = system / "type.raw"
    with readable_as(path, "type.raw"):
        species = np.array([int(word) for word in path.read_text(encoding="utf-8").split()], np.int64)
    if not len(species) or (species < 0).any():
        raise DatasetError(f"{path}: expected one integer >= 0 a site, got {species[:8].tolist()}")
    return species


def _set(
    folder: Path, species: NDArray[np.int64], periodic: bool, keys: Mapping[str, str], units: Units
) -> FileContents:
    n_sites = len(species)
    names = {name: keys.get(name, default) for name, default in _FILES.items()}
    arrays: dict[str, Any] = {}
    for name, stem in names.items():
        if name != "forces" or name in keys or (folder / f"{stem}.npy").exists():
            arrays[name] = _load(folder / f"{stem}.npy")
    n = len(np.atleast_1d(arrays["energy"]))
    for name, array in arrays.items():
        shape = {"energy": (n,), "cell": (n, 3, 3)}.get(name, (n * n_sites, 3))
        if array.size != np.prod(shape) or len(array) != n:
            flat = {"energy": (n,), "cell": (n, 9)}.get(name, (n, 3 * n_sites))
            raise DatasetError(
                f"{folder / names[name]}.npy: expected shape {flat} ({n} energies, {n_sites} sites in type.raw), "
                f"got {array.shape}"
            )
        arrays[name] = array.reshape(shape)
    arrays["species"] = np.tile(species, n)
    arrays["pbc"] = np.full((n, 3), periodic)
    return contents(folder, np.arange(n + 1) * n_sites, arrays, units)


def _load(path: Path) -> NDArray[Any]:
    with readable_as(path, "npy"), path.open("rb") as opened:
        array = np.load(opened, allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.ndim < 1:
            raise DatasetError(f"{path}: cannot be read as npy: it does not hold one array")
        return array
