"""S(q) at a few instants, S(q, omega) over all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...configuration import Array
from ...errors import InputError
from ..correlation_length import second_moment_length, shell_width_length
from ..correlations import mean_and_error
from ..dynamic_structure_factor import MIN_FRAMES, dynamic_structure_factor, evenly_spaced
from ..jackknife import Estimate, jackknife
from ..map_figures import spectrum_map, structure_maps, structure_profiles
from ..structure_factor import allowed_waves, on_grid, shell_average, spin_amplitudes, structure_factor_at
from .base import Findings, Recording, Row, three_numbers


class StructureFactor:
    """S(q) at several instants: a map where two directions are periodic, its average over shells, its peak and width.

    Args:
        q_max: inverse mean spacing.
        times: number of instants, even in time, or a list of times, hbar/t0; None: 4.
        shell_width: inverse mean spacing; None: 2 pi over the longest period.
        lattice_constant: a of a chain, square or cubic lattice along the axes: then the correlation length is that of
            Ornstein and Zernike's form with 2 sin(a q/2)/a; None: that of the shells, for sites without a lattice.
    """

    def __init__(
        self,
        q_max: float = 7.0,
        times: int | list[float] | None = None,
        shell_width: float | None = None,
        lattice_constant: float | None = None,
    ) -> None:
        self._q_max, self._times = q_max, 4 if times is None else times
        self._width, self._lattice = shell_width, lattice_constant

    def start(self, recording: Recording) -> None:
        self._recording = recording
        one = recording.configs[0]
        if not one.pbc.any():
            raise InputError("structure_factor: the system has no period, and so no allowed wave vectors")
        if any(not np.allclose(config.cell, one.cell) for config in recording.configs):
            raise InputError("structure_factor: the replicas have different boxes, and so different wave vectors")
        self._plane = one.pbc.sum() == 2
        self._waves, self._q = allowed_waves(one, self._q_max, square=bool(self._plane))
        if len(self._q) < 3:
            raise InputError(f"structure_factor: q_max = {self._q_max:g} is below the second allowed wave vector")
        if self._width is None:
            self._width = 2 * np.pi / np.linalg.norm(one.cell[one.pbc], axis=1).max()
        self._instants = recording.instants(self._times, "structure_factor.times")
        self._found: dict[int, Array] = {}

    def add(self, frame: int, spins: Array) -> None:
        if frame in self._instants:
            self._found[frame] = np.stack(
                [
                    structure_factor_at(config, state, self._waves)
                    for config, state in zip(self._recording.configs, spins, strict=True)
                ]
            )

    def findings(self) -> Findings:
        times = self._recording.times[self._instants]
        found = np.stack([self._found[frame] for frame in self._instants])  # (I, R, Q)
        values = self._recording.samples(found, axis=1)  # (I, K, Q)
        ball = np.linalg.norm(self._q, axis=1) <= self._q_max * (1 + 1e-9)
        shells, averages = shell_average(self._q[ball], values[..., ball], float(self._width or 0))
        profiles = [mean_and_error(each, axis=0) for each in averages]
        end = " at the end"
        peak = int(np.argmax(profiles[-1].mean[1:])) + 1  # q = 0 is the magnetisation
        if self._lattice is None:
            length = jackknife(lambda rows: shell_width_length(shells[1:], rows.mean(0)[1:]), averages[-1])
        else:
            spacing = self._lattice
            length = jackknife(lambda rows: second_moment_length(self._q, rows.mean(0), spacing), values[-1])
        rows = [
            Row(f"|q| of the largest shell of S(q){end}", Estimate(float(shells[peak]), np.nan), "1/mean spacing"),
            Row(f"S there{end}", jackknife(lambda rows: float(rows[:, peak].mean()), averages[-1])),
            Row(f"correlation length from S(q){end}", length, "mean spacing"),
        ]
        numbers: dict[str, Any] = {
            "times": times,
            "shells": shells,
            "mean": np.stack([profile.mean for profile in profiles]),
            "error": np.stack([profile.error for profile in profiles]),
            "correlation_length": length._asdict(),
        }
        figures = {"structure_factor": structure_profiles(shells, times.tolist(), profiles)}
        if self._plane:
            panels = [
                (f"t = {time:.3g}", *on_grid(self._waves, self._q, each.mean(0)))
                for time, each in list(zip(times, values, strict=True))[:: max(1, len(times) - 1)]
            ]
            figures["structure_map"] = structure_maps(panels, self._q_max)
        return Findings(rows, numbers, figures)


class Spectrum:
    """S(q, omega) of the evenly spaced frames, by shells of |q| or along one direction of the reciprocal lattice.

    Args:
        q_max: inverse mean spacing.
        window: of scipy.signal.
        axis: three numbers: what turns counter-clockwise about it is at positive omega; None: sum over components.
        direction: three integers m: the wave vectors n m, n = ..., -1, 0, 1, ...; None: averages over shells.
        per_shell: wave vectors taken of each shell at most.
    """

    def __init__(
        self,
        q_max: float = 3.5,
        window: str = "hann",
        axis: list[float] | None = None,
        direction: list[int] | None = None,
        per_shell: int = 8,
    ) -> None:
        self._q_max, self._window, self._axis = q_max, window, three_numbers("spectrum.axis", axis)
        if per_shell < 1:
            raise InputError(f"spectrum.per_shell is {per_shell}; give 1 or more")
        self._direction, self._per_shell = direction, per_shell

    def start(self, recording: Recording) -> None:
        self._recording = recording
        one = recording.configs[0]
        self._n = evenly_spaced(recording.times)
        if self._n < MIN_FRAMES:
            raise InputError(
                f"spectrum: S(q, omega) needs {MIN_FRAMES} evenly spaced frames or more, got {self._n}; "
                "record more often (dynamics.record_every)"
            )
        if any(not np.allclose(config.cell, one.cell) for config in recording.configs):
            raise InputError("spectrum: the replicas have different boxes, and so different wave vectors")
        waves, q = allowed_waves(one, self._q_max)
        if self._direction is not None:
            self._waves, self._q = _along(self._direction, waves, q)
        else:
            width = 2 * np.pi / np.linalg.norm(one.cell[one.pbc], axis=1).max() if one.pbc.any() else 1.0
            chosen = _spread(q, width, self._per_shell)
            self._waves, self._q, self._width = waves[chosen], q[chosen], width
        # unknown windows and bad axes are told before a long file is read
        nothing = np.zeros((MIN_FRAMES, 3, 1), complex)
        dynamic_structure_factor(np.arange(float(MIN_FRAMES)), nothing, self._window, self._axis)
        self._found = np.empty((self._n, recording.n_replicas, 3, len(self._waves)), complex)

    def add(self, frame: int, spins: Array) -> None:
        if frame < self._n:
            for replica, config in enumerate(self._recording.configs):
                self._found[frame, replica] = spin_amplitudes(config, spins[replica], self._waves)

    def findings(self) -> Findings:
        times = self._recording.times[: self._n]
        omega, each = dynamic_structure_factor(times, self._found, self._window, self._axis)  # (R, Q, W)
        spectrum = self._recording.samples(each)  # (K, Q, W)
        if self._direction is not None:
            unit = np.asarray(self._direction, float) @ np.linalg.inv(self._recording.configs[0].cell).T
            unit /= np.linalg.norm(unit)
            q, values = self._q @ unit, spectrum
        else:
            q, moved = shell_average(self._q, np.moveaxis(spectrum, 2, 1), self._width)
            values = np.moveaxis(moved, 2, 1)
        order = np.argsort(q)
        mean, error, _ = mean_and_error(values[:, order], axis=0)
        peaks, resolution = omega[mean.argmax(1)], float(omega[1] - omega[0])
        peaks = np.abs(peaks) if self._axis is None else peaks
        numbers = {
            "q": q[order],
            "peak_omega": peaks,
            "resolution": resolution,
            "largest_omega": float(np.pi / (times[1] - times[0])),
            "window": self._window,
            "omega": omega,
            "mean": mean,
            "error": error,
        }
        figure = spectrum_map(q[order], omega, mean, both_signs=self._axis is not None)
        top = int(np.argmax(np.where(np.abs(q[order]) > 1e-9, mean.sum(1), 0)))
        rows = [
            Row(f"omega of the peak at q = {q[order][top]:.3g}", Estimate(float(peaks[top]), resolution), "t0/hbar")
        ]
        return Findings(rows, numbers, {"spectrum": figure})


def _along(direction: list[int], waves: NDArray[np.int64], q: Array) -> tuple[NDArray[np.int64], Array]:
    step = np.asarray(three_numbers("spectrum.direction", direction)).astype(int)
    if step.tolist() != list(direction):
        raise InputError(f"spectrum.direction is {direction}; give three whole numbers")
    multiple = (waves @ step) / (step @ step)
    on_line = (np.abs(waves - multiple[:, None] * step).max(1) < 1e-9) & (np.abs(multiple - np.round(multiple)) < 1e-9)
    if on_line.sum() < 2:
        raise InputError(f"spectrum: no wave vector along {list(direction)} is allowed up to q_max; raise q_max")
    return waves[on_line], q[on_line]


def _spread(q: Array, width: float, n: int) -> NDArray[np.int64]:
    """Up to n wave vectors of each shell, even in the order of their angles."""
    shell = (np.linalg.norm(q, axis=1) / width + 1e-9).astype(int)
    chosen = []
    for number in np.unique(shell):
        members = np.flatnonzero(shell == number)
        members = members[np.lexsort((q[members, 2], np.arctan2(q[members, 1], q[members, 0])))]
        chosen.append(members[np.unique(np.linspace(0, len(members) - 1, min(n, len(members))).astype(int))])
    return np.concatenate(chosen)
