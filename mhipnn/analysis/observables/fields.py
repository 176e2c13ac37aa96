"""Fields and torques of a potential along a trajectory."""

from __future__ import annotations

import numpy as np
import torch

from ...configuration import Array
from ...errors import InputError
from ...potential import Potential, torque
from ..relaxation import distribution
from ..time_figures import distributions
from .base import Findings, Recording, Row, last_estimate


class Fields:
    """Distributions of |B_i| and |S_i x B_i| at several instants.

    Args:
        potential: whose fields; needed.
        times: number of instants, even in time, or a list of times, hbar/t0; None: 3.
        bins: of the histograms.
    """

    def __init__(
        self, potential: Potential | None = None, times: int | list[float] | None = None, bins: int = 30
    ) -> None:
        self._potential, self._times, self._bins = potential, 3 if times is None else times, bins

    def start(self, recording: Recording) -> None:
        if self._potential is None:
            raise InputError("fields: no potential; add potential=exact, or potential=learned checkpoint=best.ckpt")
        if self._bins < 2:
            raise InputError(f"fields: bins is {self._bins}; give 2 or more")
        self._recording = recording
        self._instants = recording.instants(self._times, "fields.times")
        self._force = self._potential.prepare(recording.configs)
        self._found: dict[float, tuple[Array, Array]] = {}

    def add(self, frame: int, spins: Array) -> None:
        if frame in self._instants:
            force = self._force
            _, found = force(torch.tensor(spins, device=force.device, dtype=force.dtype))
            field = found.detach().cpu().double().numpy()
            sizes = (np.linalg.norm(value, axis=-1) for value in (field, torque(spins, field)))
            self._found[float(self._recording.times[frame])] = tuple(sizes)  # type: ignore[assignment]

    def findings(self) -> Findings:
        names = (r"field $|\mathbf{B}_i|$", r"torque $|\mathbf{S}_i\times\mathbf{B}_i|$")
        panels, numbers, rows = [], {}, []
        for k, (name, key) in enumerate(zip(names, ("field", "torque"), strict=True)):
            top = max(float(sizes[k].max()) for sizes in self._found.values()) or 1.0
            curves = {
                f"t = {time:.3g}": distribution(sizes[k], self._bins, (0.0, top), self._recording.realisations)
                for time, sizes in self._found.items()
            }
            panels.append((name, curves))
            numbers[key] = {time: each._asdict() for time, each in curves.items()}
            end = list(self._found)[-1]
            rms = self._recording.samples(np.sqrt((self._found[end][k] ** 2).mean(-1)))
            rows.append(Row(f"rms {key} at t = {end:.4g}", last_estimate(rms), "t0"))
        return Findings(rows, numbers, {"fields": distributions(panels)})
