"""What a trajectory file says of the run that made it, and whether two files hold the same quench."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ...configuration import Array, SpinConfiguration
from ...dynamics.trajectory import TrajectoryReader
from ...errors import InputError

TOLERANCE = 1e-9
"""Of positions (mean spacings), spins and times: files of other machines may round otherwise."""

_COMPARED = ("system", "potential", "dynamics", "checkpoint", "seed")
_SITES = {
    "positions": "sites",
    "cell": "box",
    "pbc": "box",
    "species": "species",
    "moments": "moments",
    "spins": "first spins",
}


@dataclass(frozen=True)
class RecordedRun:
    """One run as its file describes it; "-" or None where the file says nothing.

    Args:
        path: of the file.
        name: for tables and figures.
        potential, integrator: in words.
        time_step: hbar/t0.
        version: of mhipnn.
        audit: what an audit compared with, in words, or None.
        settings: the configuration that made it and the precision of the stored spins, key -> value.
    """

    path: Path
    name: str
    potential: str
    integrator: str
    time_step: float | None
    version: str
    audit: str | None
    settings: dict[str, Any]

    @classmethod
    def of(cls, reader: TrajectoryReader) -> RecordedRun:
        metadata = _table(reader.metadata)
        config = _table(metadata.get("config"))
        potential, dynamics = _table(config.get("potential")), _table(config.get("dynamics"))
        step = dynamics.get("time_step")
        settings = dict(_flat({key: config[key] for key in _COMPARED if key in config}))
        return cls(
            path=reader.path,
            name=potential_name(potential) or reader.path.resolve().parent.name,
            potential=_potential_in_words(potential, _table(metadata.get("identity"))),
            integrator=_class_name(_table(dynamics.get("integrator"))) or "-",
            time_step=float(step) if isinstance(step, int | float) else None,
            version=str(metadata.get("version", "-")),
            audit=_audit_in_words(_table(config.get("audit"))),
            settings=settings | {"precision": str(reader.file["spins"].dtype)},
        )

    def differences(self, reference: RecordedRun) -> list[str]:
        """The settings that are others than those of the reference: "key: value, not value"."""
        keys = [key for key in [*reference.settings, *self.settings] if key != "checkpoint"]
        found = []
        if self.settings.get("potential._target_") != reference.settings.get("potential._target_"):
            found.append(f"potential: {self.name}, not {reference.name}")
            keys = [key for key in keys if not key.startswith("potential.")]
        for key in dict.fromkeys(keys):
            own, other = (run.settings.get(key, "nothing") for run in (self, reference))
            if own != other:
                found.append(f"{key.removesuffix('._target_')}: {_last_word(own)}, not {_last_word(other)}")
        if self.version != reference.version:
            found.append(f"version: {self.version}, not {reference.version}")
        return found

    def other_noise(self, reference: RecordedRun) -> bool:
        """Seeds are the same, but a step of another length draws other noise."""
        cold = all(run.settings.get("dynamics.temperature") in (0, None) for run in (self, reference))
        return self.time_step != reference.time_step and not cold


def with_own_names(runs: Sequence[RecordedRun]) -> list[RecordedRun]:
    """Runs of one potential are told apart by integrator, time step, number: whichever comes first and suffices."""
    names = [run.name for run in runs]
    for words in (lambda run: run.integrator, lambda run: f"dt = {run.time_step:g}" if run.time_step else "-"):
        twice = {name for name in names if names.count(name) > 1}
        for name in twice:
            alike = [number for number, other in enumerate(names) if other == name]
            if len({words(runs[number]) for number in alike}) > 1:
                for number in alike:
                    names[number] = f"{name}, {words(runs[number])}"
    numbered = [
        f"{name} ({names[:number].count(name) + 1})" if names[:number].count(name) else name
        for number, name in enumerate(names)
    ]
    return [replace(run, name=name) for run, name in zip(runs, numbered, strict=True)]


def require_same_quench(
    reference: TrajectoryReader,
    other: TrajectoryReader,
    replicas: Sequence[int],
    times: tuple[Array, Array],
) -> None:
    """Two files hold the same sites, first spins and seeds of the noise, recorded at the same times.

    Args:
        reference, other: the files.
        replicas: those that are compared.
        times: the instants of each that are.

    Raises:
        InputError: with the first of these that differs, and by how much.
    """
    difference = (
        _sites_differ(reference.configs, other.configs, replicas)
        or _seeds_differ(reference, other, replicas)
        or _times_differ(*times)
    )
    if difference:
        raise InputError(f"trajectory {other.path} cannot be compared with {reference.path}: {difference}")


def _sites_differ(
    reference: Sequence[SpinConfiguration], other: Sequence[SpinConfiguration], replicas: Sequence[int]
) -> str | None:
    sizes = [configs[0].n_sites for configs in (other, reference)]
    if sizes[0] != sizes[1]:
        return f"it has {sizes[0]} sites, not {sizes[1]}"
    for replica in replicas:
        for array, words in _SITES.items():
            one, two = (np.asarray(getattr(configs[replica], array), float) for configs in (reference, other))
            far = float(np.abs(one - two).max(initial=0))
            if not far <= TOLERANCE:
                return (
                    f"{words} of replica {replica} are others (by up to {far:.3g}); runs of one system, with the same "
                    "seed and replicas, can be compared"
                )
    return None


def _seeds_differ(reference: TrajectoryReader, other: TrajectoryReader, replicas: Sequence[int]) -> str | None:
    seeds = [_table(reader.metadata).get("noise_seeds") for reader in (reference, other)]
    if not all(isinstance(each, list) for each in seeds):
        return None
    one, two = ([each[k] for k in replicas if k < len(each)] for each in seeds)  # type: ignore[index, arg-type]
    return None if one == two else "its noise has other seeds; runs with the same seed can be compared"


def _times_differ(reference: Array, other: Array) -> str | None:
    n = min(len(reference), len(other))
    apart = np.flatnonzero(np.abs(reference[:n] - other[:n]) > TOLERANCE * np.maximum(1, reference[:n]))
    if len(apart):
        first = apart[0]
        return (
            f"its frame {first} is at t = {other[first]:g}, not {reference[first]:g}; runs that record at the same "
            "times (time_step x record_every) can be compared"
        )
    if len(reference) == len(other):
        return None
    return (
        f"it has {len(other)} frames, to t = {other[-1]:g}, not {len(reference)}, to t = {reference[-1]:g}; "
        f"stop={min(other[-1], reference[-1]):g} compares what both have"
    )


def potential_name(node: Mapping[str, Any]) -> str:
    """A word or two for a figure: exact, KPM, learned, heisenberg, learned + zeeman; "" for no node."""
    kind = _class_name(node)
    if kind == "SDModel":
        return {"exact": "exact", "kpm": "KPM"}.get(str(node.get("solver", "exact")), "electrons")
    if kind in ("load_potential", "load_ensemble"):
        return "learned"
    if kind == "Sum":
        terms = [potential_name(term) for term in node.values() if isinstance(term, Mapping)]
        return " + ".join(term for term in terms if term)
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", kind).lower().strip("_")


def _potential_in_words(node: Mapping[str, Any], identity: Mapping[str, Any]) -> str:
    if not node:
        return "-"
    settings = [f"{key} {_last_word(value)}" for key, value in _flat(node) if key != "_target_" and value is not None]
    weights = f", sha256 {str(identity['checkpoint'])[:12]}" if "checkpoint" in identity else ""
    return f"{potential_name(node)}: {', '.join(settings)}{weights}" if settings else potential_name(node)


def _audit_in_words(node: Mapping[str, Any]) -> str | None:
    if not node:
        return None
    given = _table(node.get("reference"))
    return (
        potential_name(given) if given else {"exact": "exact", "kpm": "KPM"}.get(str(node.get("solver")), "reference")
    )


def _table(value: Any) -> dict[str, Any]:
    """What a file says where a table should stand."""
    return dict(value) if isinstance(value, Mapping) else {}


def _class_name(node: Mapping[str, Any]) -> str:
    return str(node.get("_target_", "")).rpartition(".")[2]


def _last_word(value: Any) -> Any:
    """Of an import path; anything else as it is."""
    word = isinstance(value, str) and re.fullmatch(r"mhipnn(\.\w+)+", value)
    return value.rpartition(".")[2] if word else value


def _flat(node: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{above}{key}.")
        else:
            yield f"{above}{key}", value
