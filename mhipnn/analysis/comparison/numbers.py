"""The numbers of a comparison: the lines of its table, and what comparison.json holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..correlations import MeanAndError
from ..jackknife import Estimate
from .compare import ComparedRun, Comparison


@dataclass(frozen=True)
class Line:
    """One quantity of all runs: an estimate each, or words."""

    quantity: str
    unit: str
    values: list[Estimate | str]


def lines(result: Comparison) -> list[Line]:
    """The table; the reference has no distance from itself."""
    nearest = int(np.argmax(result.reference.mean_correlation.n[-1] > 0))
    others = result.runs[1:]
    none: list[Estimate | str] = ["-"]
    agreements = [result.agreement(run) for run in others]
    found = [
        Line("energy per site at the end", "t0", [_last(run.mean_energy) for run in result.runs]),
        Line("its difference from the reference", "t0",
             none + [_last(result.energy_difference(run)) for run in others]),
        Line("largest difference of the mean energy per site", "t0",
             none + [Estimate(_largest(result.energy_difference(run)), np.nan) for run in others]),
        Line(f"C(r = {result.r[nearest]:g}) at the end", "",
             [_last(MeanAndError(*(each[:, nearest] for each in run.mean_correlation))) for run in result.runs]),
        Line("rms distance of the spins at the end", "", none + [_last(run.distance) for run in others]),
        Line("largest deviation of C(r, t)", "", none + [
            Estimate(float(np.nanmax(np.abs(each.deviation))), np.nan) for each in agreements
        ]),
        Line("in standard errors", "", none + [_where(result, each.largest()) for each in agreements]),
    ]  # fmt: skip
    for words, errors, combined in (
        ("bins (r, t) of C within 1 standard error", 1.0, False),
        ("within 2 standard errors", 2.0, False),
        ("within 2 errors of the difference", 2.0, True),
    ):
        shares = [each.fraction_within(errors, combined) for each in agreements]
        found.append(Line(words, "", none + [f"{100 * one:.1f} %" if np.isfinite(one) else "-" for one in shares]))
    if any(run.audit is not None for run in result.runs):
        found.append(Line("torque R² by the audit", "", [_r2(run) for run in result.runs]))
        found.append(Line("at the worst time", "", [_worst(run) for run in result.runs]))
        found.append(Line("torque NRMSE by the audit", "", [_nrmse(run) for run in result.runs]))
    return found


def numbers(result: Comparison) -> dict[str, Any]:
    """For comparison.json; energies in t0, times in hbar/t0, r in mean spacings."""
    return {
        "replicas": result.n_replicas,
        "sites": result.n_sites,
        "times": result.times,
        "r": result.r,
        "reference": result.reference.run.name,
        "runs": {one.run.name: _numbers(result, one) for one in result.runs},
    }


def _numbers(result: Comparison, run: ComparedRun) -> dict[str, Any]:
    described, reference = run.run, result.reference
    made: dict[str, Any] = {
        "trajectory": str(described.path.resolve()),
        "potential": described.potential,
        "integrator": described.integrator,
        "time_step": described.time_step,
        "version": described.version,
        "energy_per_site": run.mean_energy._asdict(),
        "correlation": run.mean_correlation._asdict(),
    }
    if run.audit is not None:
        made["audit"] = {"reference": described.audit, **vars(run.audit)}
    if run is reference:
        return made
    agreement = result.agreement(run)
    largest, instant, r = agreement.largest()
    difference = result.energy_difference(run)
    return made | {
        "differs_in": described.differences(reference.run),
        "energy_per_site_difference": difference._asdict(),
        "max_energy_deviation_per_site": _largest(difference),
        "rms_distance": run.distance._asdict(),
        **agreement.summary(),
        "max_deviation_in_errors": largest,
        "max_deviation_at": {"time": float(result.times[instant]), "r": float(result.r[r])},
    }


def _last(values: MeanAndError) -> Estimate:
    return Estimate(float(values.mean[-1]), float(values.error[-1]))


def _largest(values: MeanAndError) -> float:
    return float(np.abs(values.mean).max())


def _where(result: Comparison, largest: tuple[float, int, int]) -> str:
    value, instant, r = largest
    return f"{value:.3g} at r = {result.r[r]:g}, t = {result.times[instant]:g}" if np.isfinite(value) else "-"


def _r2(run: ComparedRun) -> str:
    return "-" if run.audit is None else f"{run.audit.total_r2:.4f} ({run.run.audit})"


def _worst(run: ComparedRun) -> str:
    if run.audit is None:
        return "-"
    worst = int(run.audit.r2.argmin())
    return f"{run.audit.r2[worst]:.4f} at t = {run.audit.times[worst]:g}"


def _nrmse(run: ComparedRun) -> str:
    return "-" if run.audit is None else f"{100 * run.audit.total_nrmse:.2g} %"
