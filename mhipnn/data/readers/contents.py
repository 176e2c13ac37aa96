"""What a reader returns, and the checks that all of them share: keys, shapes, numbers, units."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import ConfigError, DatasetError, UserError, suggest
from ...keys import KEYS
from ..definition import SPLITS
from ..labelled import OPTIONAL, LabelledConfigurations, array_names, concatenate
from ..units import Units

# What each array may be called in a file; the first one found is taken, `keys` says otherwise.
ALIASES: dict[str, tuple[str, ...]] = {
    "positions": ("positions", "pos", "coord"),
    "cell": ("cell", "lattice", "box"),
    "pbc": ("pbc",),
    "spins": ("spins", "spin", "magmoms", "initial_magmoms"),
    "energy": ("energy", "energies"),
    "field": ("field", "fields", "force_mag", "magnetic_forces"),
    "forces": ("forces", "force"),
    "species": ("species", "species_index"),
    "moments": ("moments",),
    "realisation": ("realisation", "realization"),
    "time": ("time",),
    "split": ("split",),
    "units": ("units",),
}


@dataclass(frozen=True)
class FileContents:
    """Everything that files say about C configurations.

    Args:
        labelled: their arrays, finite and of fitting shapes; ``realisation`` is -1 where the files do not say.
        units: of all numbers.
        split: (C,) "train", "val", "test" or "size"; "" where the files do not say.
        source: (C,) which file (or set of a folder) each comes from, counted from 0.
        elements: whether species are atomic numbers, which are still to be numbered 0, 1, ...
    """

    labelled: LabelledConfigurations
    units: Units
    split: NDArray[np.str_]
    source: NDArray[np.int64]
    elements: bool = False


def check_keys(keys: Mapping[str, str | None] | None) -> dict[str, str]:
    """The remapped names that are set, {ours: theirs}.

    Raises:
        ConfigError: a name that is not ours.
    """
    for name in keys or {}:
        if name not in ALIASES:
            raise ConfigError(f"data.keys: unknown name {name!r}; {suggest(str(name), ALIASES)}")
    return {name: str(theirs) for name, theirs in (keys or {}).items() if theirs is not None}


def find(
    path: Path, name: str, keys: Mapping[str, str], available: Collection[str], required: bool = True, suffix: str = ""
) -> str | None:
    """What one of our arrays is called in a file, or None if it may be absent and is.

    Raises:
        DatasetError: absent and required, or absent although ``keys`` names it.
    """
    wanted = (keys[name],) if name in keys else ALIASES[name]
    for candidate in wanted:
        for spelt in (candidate + suffix, candidate):
            if spelt in available:
                return spelt
    if required or name in keys:
        there = ", ".join(sorted(available)) or "nothing"
        raise DatasetError(
            f"{path}: no {name} (looked for {', '.join(wanted)}; the file holds {there}); "
            f"say what it is called there with data.keys.{name}=<key>"
        )
    return None


def refuse_keys(path: Path, keys: Mapping[str, str], fixed: Collection[str], what: str) -> None:
    """Raise ConfigError where ``keys`` renames something that a format has under one name only, or not at all."""
    for name in keys:
        if name in fixed:
            raise ConfigError(f"{path}: data.keys.{name} has no meaning for {what}; leave it out")


@contextmanager
def readable_as(path: Path, what: str) -> Iterator[None]:
    """Whatever goes wrong inside a library's reader is one line about the file: damage can surface anywhere in it."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise DatasetError(f"{path}: cannot be read as {what}, it is damaged or something else ({reason})") from error


def agreed_units(path: Path, found: str | None, given: Units | None) -> Units:
    """The units that a file states or the user gave.

    Raises:
        DatasetError: neither, or both and they differ.
    """
    if found is None:
        if given is None:
            raise DatasetError(
                f"{path}: no units; the file does not state them, so give data.units.energy=... and "
                "data.units.length=..., such as eV and Angstrom"
            )
        return given
    try:
        stated = Units.parse(found)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    if given is not None and given != stated:
        raise DatasetError(f"{path}: units are {stated} in the file and {given} in data.units; leave one of them out")
    return stated


def contents(
    path: Path,
    offsets: NDArray[np.int64],
    arrays: Mapping[str, Any],
    units: Units,
    split: Sequence[str] | NDArray[np.str_] | None = None,
    elements: bool = False,
) -> FileContents:
    """Check flat arrays (see :class:`LabelledConfigurations`) and fill in what a file may leave out.

    Raises:
        DatasetError: an array that is not real numbers of the right shape, a number that is not finite (with
            configuration and site), a cell without volume, a moment that is not positive, an unknown split.
    """
    n, m = len(offsets) - 1, int(offsets[-1])
    if n < 1:
        raise DatasetError(f"{path}: no configuration in it")
    defaults = {
        "species": np.zeros(m, np.int64), "moments": np.ones(m), "realisation": np.full(n, -1), "time": np.full(n, -1.0)
    }  # fmt: skip
    checked: dict[str, Any] = {}
    for name in array_names():
        if name not in arrays and name in OPTIONAL:
            checked[name] = None
            continue
        checked[name] = _checked(path, name, arrays.get(name, defaults.get(name)), offsets)
    if (checked["moments"] <= 0).any():
        raise DatasetError(f"{path}: moments must be positive, got {checked['moments'].min():g}")
    flat = np.abs(np.linalg.det(checked["cell"])) < 1e-12 * np.maximum(1.0, np.abs(checked["cell"]).max((1, 2))) ** 3
    if flat.any():
        raise DatasetError(f"{path}: the cell of configuration {int(flat.argmax())} has no volume; give three vectors")
    splits = np.asarray([""] * n if split is None else split, str)
    unknown = sorted(set(splits.tolist()) - {"", *SPLITS})
    if splits.shape != (n,) or unknown:
        raise DatasetError(f"{path}: split: expected {n} words of {', '.join(SPLITS)}; got {unknown or splits.shape}")
    try:
        labelled = LabelledConfigurations(offsets=offsets, **checked)
    except DatasetError as error:
        raise DatasetError(f"{path}: {error}") from None
    return FileContents(labelled, units, splits, np.zeros(n, np.int64), elements)


def join(parts: Sequence[FileContents], paths: Sequence[Path]) -> FileContents:
    """The configurations of all files, in order.

    Raises:
        DatasetError: files in different units, forces in some of them only, elements in some of them only.
    """
    for path, part in zip(paths, parts, strict=True):
        if part.units != parts[0].units:
            raise DatasetError(f"{path}: units are {part.units}, but {parts[0].units} in {paths[0]}; convert one")
        if (part.labelled.forces is None) != (parts[0].labelled.forces is None):
            raise DatasetError(f"{path} and {paths[0]}: one has forces and the other has none; leave one of them out")
        if part.elements != parts[0].elements:
            raise DatasetError(f"{path} and {paths[0]}: one names elements and the other numbers species; use one way")
    starts = np.cumsum([0, *(int(part.source.max()) + 1 for part in parts)])
    return FileContents(
        labelled=concatenate([part.labelled for part in parts]),
        units=parts[0].units,
        split=np.concatenate([part.split for part in parts]),
        source=np.concatenate([part.source + start for part, start in zip(parts, starts, strict=False)]),
        elements=parts[0].elements,
    )


def _checked(path: Path, name: str, value: Any, offsets: NDArray[np.int64]) -> NDArray[Any]:
    array = np.asarray(value)
    kinds = {"species": "iu", "realisation": "iu", "pbc": "biu"}.get(name, "fiu")
    if array.dtype.kind not in kinds:
        wanted = {"iu": "integers", "biu": "true or false"}.get(kinds, "real numbers")
        raise DatasetError(f"{path}: {name}: expected {wanted}, got {array.dtype}")
    of_sites = KEYS[name].level == "site"
    n_rows = int(offsets[-1]) if of_sites else len(offsets) - 1
    shape = (n_rows, *(size for size in KEYS[name].shape[1:] if isinstance(size, int)))
    if array.shape != shape:
        raise DatasetError(f"{path}: {name}: expected shape {shape}, got {array.shape}")
    if kinds != "fiu":
        if name == "species" and (array < 0).any():
            raise DatasetError(f"{path}: species: expected integers >= 0, got {array.min()}")
        return array.astype(bool if name == "pbc" else np.int64)
    bad = ~np.isfinite(array.reshape(n_rows, -1)).all(1)
    if bad.any():
        row = int(bad.argmax())
        where = f"configuration {row}"
        if of_sites:
            number = int(np.searchsorted(offsets, row, side="right")) - 1
            where = f"site {row - int(offsets[number])} of configuration {number}"
        raise DatasetError(f"{path}: {name} is not finite at {where}: {array[row].tolist()}")
    return array.astype(np.float64)
