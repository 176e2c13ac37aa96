"""Energy and C(r, t)."""

from __future__ import annotations

import numpy as np

from ...configuration import Array
from ...errors import InputError
from ..correlation_length import decay_length, first_zero
from ..correlations import half_width, mean_and_error, spin_correlation
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
        times, energies = recording.times, recording.energies / recording.n_sites
        mean = mean_and_error(energies, axis=1)
        rows = [
            Row(f"energy per site at t = {times[frame]:.4g}", last_estimate(energies[frame]), "t0") for frame in (0, -1)
        ]
        numbers = {"times": times, "mean": mean.mean, "error": mean.error}
        fits: dict[str, RelaxationFit] = {}
        if (times > 0).sum() >= 4:
            fits = {"power law": power_law(times, mean.mean), "logarithm": logarithm(times, mean.mean)}
            best = min(fits, key=lambda name: fits[name].rms)
            fit = fits["power law"]
            shown = f"{fit.limit:.4f} + {fit.amplitude:.3g} $t^{{-{fit.exponent:.3g}}}$"
            slope = f"{fits['logarithm'].limit:.4f} - {fits['logarithm'].amplitude:.3g} log $t$"
            numbers |= {name.replace(" ", "_"): fits[name]._asdict() for name in fits} | {"better_fit": best}
            exponent = jackknife(lambda rows: power_law(times, rows.mean(0)).exponent, energies.T)
            if LEAST_EXPONENT * 1.01 < exponent.value < LARGEST_EXPONENT * 0.99:  # else there is no power law
                rows.append(Row("exponent b of E + a t^-b", exponent))
            fits = {f"power law: {shown}": fit, f"logarithm: {slope}": fits["logarithm"]}
        figures = {"energy": relaxation_plot(times, mean, fits)} if (times > 0).any() else {}
        return Findings(rows, numbers, figures)


class Correlation:
    """C(r, t) with its standard error over realisations, its first zero and its decay.

    Args:
        r_max: largest distance, mean spacings; None: 5, or half of the narrowest box if that is less.
        bin_width: mean spacings.
        n_times: profiles drawn, even in time.
    """

    _BUFFER = 16

    def __init__(self, r_max: float | None = None, bin_width: float = 0.5, n_times: int = 5) -> None:
        self._r_max, self._bin_width, self._n_times = r_max, bin_width, n_times

    def start(self, recording: Recording) -> None:
        self._recording = recording
        if self._r_max is None:
            widths = [half_width(config) for config in recording.configs]
            self._r_max = max(self._bin_width, min([5.0, *widths]))
        self._waiting: list[Array] = []
        self._found: list[Array] = []
        self._flush(recording.configs[0].spins[None, None].repeat(recording.n_replicas, 1))  # checks the settings
        self._found.clear()

    def add(self, frame: int, spins: Array) -> None:
        # the pairs are looked up once for several frames
        self._waiting.append(spins)
        if len(self._waiting) == self._BUFFER:
            self._flush(np.stack(self._waiting))
            self._waiting = []

    def _flush(self, spins: Array) -> None:
        each = [
            spin_correlation(config, spins[:, replica], float(self._r_max or 0), self._bin_width)
            for replica, config in enumerate(self._recording.configs)
        ]
        self._r = each[0].r
        self._found.append(np.stack([one.value for one in each], axis=1))

    def findings(self) -> Findings:
        if self._waiting:
            self._flush(np.stack(self._waiting))
        value, times, r = np.concatenate(self._found), self._recording.times, self._r
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
