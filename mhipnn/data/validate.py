"""What can be wrong with labels that have the right shapes: doubles, leaks, spin lengths, labels of another energy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..configuration import Array
from ..errors import UserError
from ..potential import Potential, torque
from .files_split import site_groups
from .labelled import LabelledConfigurations, concatenate
from .statistics import rms

Verdict = Literal["ok", "note", "problem"]
UNIT_TOLERANCE = 1e-5
"""|S| of data in single precision may miss 1 by this much."""
OUTLIER = 8.0
"""Distance from the median, in standard deviations as estimated from the median deviation."""


@dataclass(frozen=True)
class Finding:
    """The result of one check: a verdict, one line, and the configurations (split, number) that it is about."""

    check: str
    verdict: Verdict
    message: str
    where: tuple[tuple[str, int], ...] = ()

    def examples(self, n: int = 4) -> str:
        """The first few of them, for a table."""
        shown = ", ".join(f"{split} {number}" for split, number in self.where[:n])
        return shown + (f", ... ({len(self.where)})" if len(self.where) > n else "")


@dataclass(frozen=True)
class Validation:
    """All findings, and what the figure shows: {name: {split: (C,)}} and stored against recomputed fields."""

    findings: tuple[Finding, ...]
    observables: Mapping[str, Mapping[str, Array]]
    stored_field: Array = field(default_factory=lambda: np.zeros((0, 3)))
    recomputed_field: Array = field(default_factory=lambda: np.zeros((0, 3)))

    @property
    def sound(self) -> bool:
        """Whether no check found a problem."""
        return all(finding.verdict != "problem" for finding in self.findings)


def validate(
    splits: Mapping[str, LabelledConfigurations],
    potential: Potential | None = None,
    n_recomputed: int = 3,
    tolerance: float = 1e-3,
    seed: int = 0,
) -> Validation:
    """Check the labels of a dataset.

    Args:
        splits: {split: configurations}.
        potential: the exact potential behind the labels, if it is known.
        n_recomputed: configurations (the first of as many splits, then others) whose labels are computed again.
        tolerance: allowed error; of energies per site and fields relative to the rms field, of torques and finite
            differences relative to the rms torque.
        seed: of the directions of the finite differences.
    """
    whole = concatenate(list(splits.values()))
    names = [(split, number) for split, labelled in splits.items() for number in range(len(labelled))]
    observables = _observables(splits)
    findings = [
        *_duplicates(whole, names),
        _leaks(whole, names),
        _spin_lengths(whole, names),
        *(_outliers(observable, values) for observable, values in observables.items()),
    ]
    if potential is None:
        nothing = Finding("energy and field", "note", "no exact potential is known: not recomputed (data.potential)")
        return Validation((*findings, nothing), observables)
    chosen = _spread(names, n_recomputed)
    recomputed, stored_field, recomputed_field = _recomputed(whole, names, chosen, potential, tolerance, seed)
    return Validation((*findings, *recomputed), observables, stored_field, recomputed_field)


def _observables(splits: Mapping[str, LabelledConfigurations]) -> dict[str, dict[str, Array]]:
    made: dict[str, dict[str, Array]] = {"energy per site": {}, "rms torque": {}, "rms field": {}}
    for split, labelled in splits.items():
        made["energy per site"][split] = labelled.energy_per_site
        made["rms torque"][split] = _rms_of_each(labelled, torque(labelled.spins, labelled.field))
        made["rms field"][split] = _rms_of_each(labelled, labelled.field)
        if labelled.forces is not None:
            made.setdefault("rms force", {})[split] = _rms_of_each(labelled, labelled.forces)
    return made


def _rms_of_each(labelled: LabelledConfigurations, vectors: Array) -> Array:
    squares = np.add.reduceat((vectors**2).mean(-1), labelled.offsets[:-1])
    return np.sqrt(squares / labelled.n_sites)


def _duplicates(whole: LabelledConfigurations, names: list[tuple[str, int]]) -> list[Finding]:
    """Equal sites and spins, to 1e-8; in two splits they make a test that tests nothing."""
    sites = site_groups(whole)
    seen: dict[bytes, int] = {}
    repeated, across = [], []
    for index in range(len(whole)):
        spins = whole.spins[whole.sites(index)].round(8) + 0.0
        first = seen.setdefault(bytes(sites[index]) + spins.tobytes(), index)
        if first != index:
            repeated.append(names[index])
            if names[first][0] != names[index][0]:
                across.append(names[index])
    result = [_counted("duplicates", repeated, "configurations repeat an earlier one")]
    return [*result, _counted("duplicates across splits", across, "repeat one of another split")] if across else result


def _leaks(whole: LabelledConfigurations, names: list[tuple[str, int]]) -> Finding:
    """Sites of the training split in another one: the same disorder on both sides."""
    sites = site_groups(whole)
    if len(np.unique(sites)) == 1:
        return Finding("leaks", "note", "all configurations share their sites (a crystal): nothing to tell them by")
    trained = {int(group) for group, (split, _) in zip(sites, names, strict=True) if split == "train"}
    leaking = [
        name for group, name in zip(sites, names, strict=True) if name[0] != "train" and int(group) in trained
    ]  # fmt: skip
    return _counted("leaks", leaking, "held-out configurations stand on sites of the training split")


def _spin_lengths(whole: LabelledConfigurations, names: list[tuple[str, int]]) -> Finding:
    """Spins that are not unit vectors: a problem in a few configurations, a property of the data in most of them.

    Sites of a species that nowhere carries a spin are as they should be.
    """
    length = np.linalg.norm(whole.spins, axis=-1)
    never = np.setdiff1d(whole.species, whole.species[whole.magnetic])
    deviation = np.where(np.isin(whole.species, never), 0.0, np.abs(length - 1))
    worst = np.maximum.reduceat(deviation, whole.offsets[:-1])
    bad = [names[index] for index in np.flatnonzero(worst > UNIT_TOLERANCE)]
    measure = f"largest ||S| - 1| = {deviation.max():.2g}"
    if len(never):
        measure += f"; no spin on species {', '.join(map(str, never))}"
    what = "configurations have spins that are not unit vectors (data.unit_spins=true makes them so"
    if 2 * len(bad) > len(whole):
        what += ", model.spin_length=true learns from their lengths"
        return _counted("spin lengths", bad, f"{what})", measure, "note")
    return _counted("spin lengths", bad, f"{what})", measure)


def _outliers(observable: str, values: Mapping[str, Array]) -> Finding:
    """Configurations far from the median of their split; a note, because large systems and quenches differ."""
    found, worst = [], 0.0
    for split, of_split in values.items():
        centre = np.median(of_split)
        # 1.4826 median deviations are a standard deviation of a normal distribution.
        spread = max(1.4826 * float(np.median(np.abs(of_split - centre))), 1e-9 * abs(float(centre)), 1e-300)
        distance = np.abs(of_split - centre) / spread
        if len(of_split) >= 5:
            worst = max(worst, float(distance.max()))
            found += [(split, int(index)) for index in np.flatnonzero(distance > OUTLIER)]
    what = f"configurations are more than {OUTLIER:g} deviations from the median"
    return _counted(f"outliers: {observable}", found, what, f"farthest {worst:.1f} deviations", "note")


def _recomputed(
    whole: LabelledConfigurations,
    names: list[tuple[str, int]],
    chosen: list[int],
    potential: Potential,
    tolerance: float,
    seed: int,
) -> tuple[list[Finding], Array, Array]:
    """Labels against the potential, and fields against differences of its energy, which knows nothing of fields."""
    rng = np.random.default_rng(seed)
    stored: list[Array] = []
    again: list[Array] = []
    errors: dict[str, list[float]] = {"energy": [], "field": [], "torque": [], "differences": []}
    for index in chosen:
        config, of_file = whole.configuration(index), whole.field[whole.sites(index)]
        try:
            exact = potential.evaluate(config, forces=False)
            difference = _difference_error(potential, config, of_file, rng)
        except UserError as error:
            message = f"the potential refuses {names[index][0]} {names[index][1]}: {error}"
            return [Finding("energy and field", "problem", message, (names[index],))], *_stacked(stored, again)
        stored.append(of_file)
        again.append(exact.field)
        # Torques may be a hundredth of the fields, whose radial part is a convention: they have a scale of their own.
        turns = torque(config.spins, of_file)
        scale = max(rms(of_file), 1e-300)
        torque_scale = max(rms(turns), 1e-3 * scale)
        errors["energy"].append(abs(exact.energy - float(whole.energy[index])) / config.n_sites / scale)
        errors["field"].append(float(np.abs(exact.field - of_file).max()) / scale)
        errors["torque"].append(float(np.abs(exact.torque - turns).max()) / torque_scale)
        errors["differences"].append(difference / torque_scale)
    meanings = {
        "energy": ("recomputed energy", "have another energy per site than the potential", "field"),
        "field": ("recomputed field", "have other fields than the potential", "field"),
        "torque": ("recomputed torque", "have other torques than the potential", "torque"),
        "differences": ("finite differences", "have fields that are not -dE/dS of the potential's energy", "torque"),
    }
    findings = []
    for name, (check, what, scale_name) in meanings.items():
        bad = [names[index] for index, error in zip(chosen, errors[name], strict=True) if not error <= tolerance]
        measure = f"largest error {max(errors[name], default=0.0):.2g} of the rms {scale_name}"
        findings.append(_counted(check, bad, f"of {len(chosen)} {what}", measure))
    return findings, *_stacked(stored, again)


def _difference_error(potential: Potential, config: Any, field_of_file: Array, rng: np.random.Generator) -> float:
    r"""|(E(S + h d) - E(S - h d))/2h + \sum_i B_i.d_i| for a random unit direction d normal to the spins."""
    direction = torque(config.spins, rng.normal(size=config.spins.shape))
    direction /= max(float(np.linalg.norm(direction)), 1e-300)
    h = 1e-3
    up, down = (
        potential.evaluate(config.with_spins(config.spins + sign * h * direction), forces=False).energy
        for sign in (1, -1)
    )
    return abs((up - down) / (2 * h) + float((field_of_file * direction).sum()))


def _spread(names: list[tuple[str, int]], n: int) -> list[int]:
    """Numbers of n configurations: one of each split first."""
    order = sorted(range(len(names)), key=lambda index: (names[index][1], index))
    return order[:n]


def _stacked(stored: list[Array], again: list[Array]) -> tuple[Array, Array]:
    empty: NDArray[np.float64] = np.zeros((0, 3))
    return np.concatenate([empty, *stored]), np.concatenate([empty, *again])


def _counted(
    check: str, where: list[tuple[str, int]], what: str, measure: str = "", bad: Verdict = "problem"
) -> Finding:
    said = f"{len(where)} {what}" if where else "none"
    return Finding(check, bad if where else "ok", f"{said}; {measure}" if measure else said, tuple(where))
