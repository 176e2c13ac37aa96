"""Two times and two replicas: aging, Edwards-Anderson overlap, spin-glass susceptibility."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...configuration import Array
from ...errors import InputError
from ..aging import TwoTime, aging_exponent, collapse_spread, waiting_times
from ..correlations import MeanAndError, nearest_instants
from ..glass import common_disorder, overlap_tensor, spin_glass_susceptibility
from ..jackknife import Estimate, jackknife
from ..time_figures import aging_plot, time_series
from .base import Findings, Recording, Row, last_estimate


class Aging:
    """A(t, t_w) for several waiting times, and the mu of the best collapse in t/t_w^mu.

    Args:
        waiting_times: hbar/t0; None: five, even on a logarithmic scale up to a quarter of the run.
    """

    def __init__(self, waiting_times: list[float] | None = None) -> None:
        self._wanted = waiting_times

    def start(self, recording: Recording) -> None:
        if len(recording.times) < 4:
            raise InputError(f"aging: needs four frames or more, got {len(recording.times)}")
        self._recording = recording
        if self._wanted is None:
            self._frames = nearest_instants(recording.times, waiting_times(recording.times))
        else:
            if not isinstance(self._wanted, list):
                raise InputError(f"aging.waiting_times is {self._wanted}; give a list of times, hbar/t0")
            self._frames = recording.instants(self._wanted, "aging.waiting_times")
        self._start: dict[int, Array] = {}
        self._curves: dict[int, list[Array]] = {frame: [] for frame in self._frames}

    def add(self, frame: int, spins: Array) -> None:
        if frame in self._frames:
            self._start[frame] = spins.copy()
        for first, then in self._start.items():
            self._curves[first].append(np.einsum("rna,rna->r", then, spins) / spins.shape[1])

    def findings(self) -> Findings:
        times = self._recording.times
        curves = [
            TwoTime(float(times[frame] - times[0]), times[frame:] - times[frame], np.stack(values))
            for frame, values in self._curves.items()
            if len(values) > 1
        ]
        rows: list[Row] = []
        numbers: dict[str, Any] = {"waiting_times": [curve.waiting_time for curve in curves]}
        for curve in curves:
            half = np.array([_half_time(curve.lag, curve.value[:, r]) for r in range(curve.value.shape[1])])
            estimate = last_estimate(self._recording.samples(half))
            rows.append(Row(f"t at which A(t, t_w = {curve.waiting_time:.3g}) = 1/2", estimate, "hbar/t0"))
        curves = [replace(curve, value=self._recording.samples(curve.value, axis=1)) for curve in curves]
        aged = [curve for curve in curves if curve.waiting_time > 0]
        mu = None
        try:
            collapse_spread(aged, 0.0)
            every = np.arange(float(self._recording.n_realisations))
            mu = jackknife(lambda kept: aging_exponent([_of(curve, kept) for curve in aged]), every)
            rows.append(Row("mu of the best collapse in t/t_w^mu", mu))
            numbers |= {"mu": mu._asdict(), "spread_at_mu": collapse_spread(aged, mu.value)}
        except InputError as reason:
            numbers["no_collapse"] = str(reason)
        return Findings(rows, numbers, {"aging": aging_plot(curves, mu)})


def _of(curve: TwoTime, realisations: Array) -> TwoTime:
    return replace(curve, value=curve.value[:, realisations.astype(int)])


def _half_time(lag: Array, value: Array) -> float:
    """Where A first falls to 1/2, by a straight line between instants; NaN if it does not."""
    below = np.flatnonzero(value < 0.5)
    if not len(below) or below[0] == 0:
        return float("nan")
    k = below[0]
    return float(lag[k - 1] + (lag[k] - lag[k - 1]) * (value[k - 1] - 0.5) / (value[k - 1] - value[k]))


class EdwardsAnderson:
    """q_EA = (1/N) sum_i |<S_i>|^2 over the frames from ``since`` on, and the overlap tensor of the first and last.

    Args:
        since: hbar/t0; None: the second half of the recording.
    """

    def __init__(self, since: float | None = None) -> None:
        self._since = since

    def start(self, recording: Recording) -> None:
        times = recording.times
        since = (times[0] + times[-1]) / 2 if self._since is None else self._since
        self._used = np.flatnonzero(times >= since)
        if len(self._used) < 2:
            raise InputError(f"edwards_anderson: needs two frames or more from t = {since:g} on, got {len(self._used)}")
        self._from = float(times[self._used[0]])
        self._samples = recording.samples
        self._sum = np.zeros((recording.n_replicas, recording.n_sites, 3))

    def add(self, frame: int, spins: Array) -> None:
        if frame >= self._used[0]:
            self._sum += spins
        if frame == self._used[0]:
            self._first = spins.copy()
        self._last = spins

    def findings(self) -> Findings:
        n = len(self._used)
        q_ea = ((self._sum / n) ** 2).sum(-1).mean(-1)
        tensor = overlap_tensor(self._first, self._last)
        square = (tensor**2).sum((-2, -1))
        rows = [
            Row(f"q_EA over t >= {self._from:.4g} ({n} frames, bias up to 1/{n})", last_estimate(self._samples(q_ea))),
            Row("q^2 of its first and last frame", last_estimate(self._samples(square))),
        ]
        numbers = {"q_ea": q_ea, "frames": n, "since": self._from, "overlap_tensor": tensor, "q_squared": square}
        return Findings(rows, numbers)


class SpinGlass:
    """chi_SG(t) = N <q^2> of replicas with the same disorder and different noise; 1 at infinite temperature."""

    def start(self, recording: Recording) -> None:
        self._times = recording.times
        self._groups = common_disorder(recording.configs)
        self._found: list[MeanAndError] = []
        if not self._groups:
            spin_glass_susceptibility(np.zeros((1, 1, 3)), [])  # says why

    def add(self, frame: int, spins: Array) -> None:
        self._found.append(spin_glass_susceptibility(spins, self._groups))

    def findings(self) -> Findings:
        mean, error = (np.array([getattr(each, name) for each in self._found]) for name in ("mean", "error"))
        series = MeanAndError(mean, error, np.full(len(mean), len(self._groups)))
        end = Estimate(float(mean[-1]), float(error[-1]))
        rows = [Row(f"chi_SG at t = {self._times[-1]:.4g} ({len(self._groups)} disorders)", end)]
        figure = time_series(self._times, {"chi_SG": series}, r"$\chi_{SG}=N\langle q^2\rangle$", level=1.0)
        return Findings(rows, {"times": self._times, "mean": mean, "error": error}, {"spin_glass": figure})
