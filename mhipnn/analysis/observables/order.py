"""Energy and C(r, t)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...configuration import Array
from ...errors import InputError
from ..correlation_length import decay_length, first_zero
from ..correlations import largest_distance, mean_and_error, pair_bins
from ..figures import correlation_profiles
from ..jackknife import jackknife
from ..map_figures import correlation_map
from ..relaxation import LARGEST_EXPONENT, LEAST_EXPONENT, RelaxationFit, logarithm, power_law
from ..time_figures import relaxation_plot
from .base import Findings, Recording, Row, last_estimate


class Energy:
    """Energy per site against time, with a power law and a logarithm fitted to its mean."""

    def start(self, recording: Recording) -> None:
        if not np.isfinite(recording.energies).all():
            raise InputError("energy: the trajectory holds energies that are not finite")
        self._recording = recording

    def add(self, frame: int, spins: Array) -> None:
        """The energies stand in the file."""

    def findings(self) -> Findings:
        recording = self._recording
        times, energies = recording.times, recording.samples(recording.energies, axis=1) / recording.n_sites
        mean = mean_and_error(energies, axis=1)
        rows = [
            Row(f"energy per site at t = {times[frame]:.4g}", last_estimate(energies[frame]), "t0") for frame in (0, -1)
        ]
        numbers: dict[str, Any] = {"times": times, "mean": mean.mean, "error": mean.error}
        fits: dict[str, RelaxationFit] = {}
        if (times > 0).sum() >= 4:
            found = {"power_law": power_law(times, mean.mean), "logarithm": logarithm(times, mean.mean)}
            numbers |= {name: fit._asdict() for name, fit in found.items()}
            law, log = found.values()
            if LEAST_EXPONENT * 1.01 < law.exponent < LARGEST_EXPONENT * 0.99:  # else there is no power law
                exponent = jackknife(lambda kept: power_law(times, kept.mean(0)).exponent, energies.T)
                rows.append(Row("exponent b of E + a t^-b", exponent))
                fits[f"power law: {law.limit:.4f} + {law.amplitude:.3g} $t^{{-{law.exponent:.3g}}}$"] = law
            fits[f"logarithm: {log.limit:.4f} - {log.amplitude:.3g} log $t$"] = log
        figures = {"energy": relaxation_plot(times, mean, fits)} if (times > 0).any() else {}
        return Findings(rows, numbers, figures)


class Correlation:
    """C(r, t) with its standard error over realisations, its first zero and its decay.

    Args:
        r_max: largest distance, mean spacings; None: 5, or half of the narrowest box if that is less.
        bin_width: mean spacings.
        n_times: profiles drawn, even in time.
    """

    def __init__(self, r_max: float | None = None, bin_width: float = 0.5, n_times: int = 5) -> None:
        self._r_max, self._bin_width, self._n_times = r_max, bin_width, n_times

    def start(self, recording: Recording) -> None:
        self._recording = recording
        reach = largest_distance(recording.configs, self._bin_width) if self._r_max is None else self._r_max
        self._pairs = [pair_bins(config, reach, self._bin_width) for config in recording.configs]
        self._found: list[Array] = []

    def add(self, frame: int, spins: Array) -> None:
        each = zip(self._pairs, spins, strict=True)
        self._found.append(np.stack([pairs.correlation(state[None])[0] for pairs, state in each]))

    def findings(self) -> Findings:
        value = self._recording.samples(np.stack(self._found), axis=1)
        times, r = self._recording.times, self._pairs[0].r
        profile = mean_and_error(value, axis=1)
        end = mean_and_error(value[-1], axis=0)
        nearest = int(np.argmax(end.n > 0))

        def mean_of(rows: Array) -> Array:
            return mean_and_error(rows, axis=0).mean

        zero = jackknife(lambda rows: first_zero(r, mean_of(rows)), value[-1])
        decay = jackknife(lambda rows: decay_length(r, mean_of(rows), end.error), value[-1])
        at = " at the end"
        rows = [
            Row(f"C(r = {r[nearest]:g}){at}", last_estimate(value[-1, :, nearest])),
            Row(f"first zero of C(r){at}", zero, "mean spacing"),
            Row(f"decay length of |C(r)|{at}", decay, "mean spacing"),
        ]
        shown = self._recording.instants(self._n_times, "correlation.n_times")
        numbers = {
            "r": r,
            "times": times[shown],
            "mean": profile.mean[shown],
            "error": profile.error[shown],
            "first_zero": zero._asdict(),
            "decay_length": decay._asdict(),
        }
        figures = {"correlations": correlation_profiles(r, times, profile, at=[float(times[k]) for k in shown])}
        if len(times) > 1:
            figures["correlation_map"] = correlation_map(r, times, profile.mean)
        return Findings(rows, numbers, figures)
