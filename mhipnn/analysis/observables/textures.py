"""Textures in the plane: topological charge, chirality, domains, pictures and films."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...configuration import Array
from ...errors import InputError
from ..chirality import scalar_chirality, topological_charge, vector_chirality
from ..correlations import mean_and_error
from ..domains import domains, neighbour_bonds, order_labels, sign_labels
from ..texture_figures import spin_animation, spin_texture
from ..time_figures import time_series
from ..triangulation import triangulate
from .base import Findings, Recording, Row, last_estimate, three_numbers


class Topology:
    """Topological charge Q and mean chiralities on Delaunay triangles, of 2-D systems."""

    def start(self, recording: Recording) -> None:
        self._recording = recording
        self._meshes = [triangulate(config) for config in recording.configs]
        self._bonds = [mesh.bonds()[0] for mesh in self._meshes]
        self._found: list[Array] = []

    def add(self, frame: int, spins: Array) -> None:
        rows = [
            (
                topological_charge(mesh, state),
                np.sqrt((scalar_chirality(mesh, state) ** 2).mean()),
                np.sqrt((vector_chirality(bonds, state) ** 2).sum(-1).mean()),
            )
            for mesh, bonds, state in zip(self._meshes, self._bonds, spins, strict=True)
        ]
        self._found.append(np.array(rows))

    def findings(self) -> Findings:
        values = np.stack(self._found)  # (T, R, 3)
        times, end, samples = self._recording.times, " at the end", self._recording.samples
        names = ("topological charge Q", "rms scalar chirality", "rms vector chirality")
        rows = [Row(name + end, last_estimate(samples(values[-1, :, k]))) for k, name in enumerate(names)]
        rows.append(Row(f"<Q^2>/N{end}", last_estimate(samples(values[-1, :, 0] ** 2) / self._recording.n_sites)))
        scalar, vector = (mean_and_error(samples(values[..., k], axis=1), axis=1) for k in (1, 2))
        figure = time_series(
            times,
            {r"scalar, $\mathbf{S}_1\cdot(\mathbf{S}_2\times\mathbf{S}_3)$": scalar,
             r"vector, $|\mathbf{S}_i\times\mathbf{S}_j|$": vector},
            "rms chirality",
        )  # fmt: skip
        numbers = {"times": times, "charge": values[..., 0], "closed": self._meshes[0].closed}
        numbers |= {"rms_scalar_chirality": scalar.mean, "rms_vector_chirality": vector.mean}
        return Findings(rows, numbers, {"chirality": figure})


class DomainCount:
    """Number and mean size of domains: sites joined by neighbours that point the same way, or are ordered alike.

    Args:
        axis: three numbers: domains of equal sign of S.n; None: of equal local order, c_i = <S_i.S_j> over neighbours
            above the threshold (aligned) or below minus it (opposite).
        threshold: of |S.n| or |c_i|; sites below are in no domain.
        cutoff: neighbours are closer than this, mean spacings.
    """

    def __init__(self, axis: list[float] | None = None, threshold: float = 0.3, cutoff: float = 1.5) -> None:
        self._axis, self._threshold, self._cutoff = three_numbers("domains.axis", axis), threshold, cutoff

    def start(self, recording: Recording) -> None:
        self._recording = recording
        if not self._cutoff > 0 or self._threshold < 0:
            raise InputError(f"domains: cutoff {self._cutoff} must be > 0 and threshold {self._threshold} >= 0")
        self._bonds = [neighbour_bonds(config, self._cutoff) for config in recording.configs]
        self._found: list[Array] = []

    def add(self, frame: int, spins: Array) -> None:
        rows = []
        for bonds, state in zip(self._bonds, spins, strict=True):
            if self._axis is None:
                labels = order_labels(state, bonds, self._threshold)
            else:
                labels = sign_labels(state, self._axis, self._threshold)
            found = domains(labels, bonds)
            rows.append((found.n, found.mean_size, (labels >= 0).mean()))
        self._found.append(np.array(rows, float))

    def findings(self) -> Findings:
        values = np.stack(self._found)
        times, end, samples = self._recording.times, " at the end", self._recording.samples
        rows = [
            Row(f"domains{end}", last_estimate(samples(values[-1, :, 0]))),
            Row(f"mean size of the domain of a site{end}", last_estimate(samples(values[-1, :, 1])), "sites"),
            Row(f"share of sites in domains{end}", last_estimate(samples(values[-1, :, 2]))),
        ]
        size = mean_and_error(samples(values[..., 1], axis=1), axis=1)
        numbers = {"times": times, "count": values[..., 0], "mean_size": values[..., 1], "share": values[..., 2]}
        figure = time_series(times, {"size": size}, "mean size of a site's domain (sites)")
        return Findings(rows, numbers, {"domains": figure})


class Texture:
    """Pictures of one replica at several instants.

    Args:
        times: number of instants, even in time, or a list of times, hbar/t0; None: 2.
        replica: from 0.
    """

    def __init__(self, times: int | list[float] | None = None, replica: int = 0) -> None:
        self._times, self._replica = 2 if times is None else times, replica

    def start(self, recording: Recording) -> None:
        self._recording = recording
        _check_replica("texture", self._replica, recording)
        self._instants = recording.instants(self._times, "texture.times")
        self._panels: dict[str, Array] = {}

    def add(self, frame: int, spins: Array) -> None:
        if frame in self._instants:
            self._panels[rf"t = {self._recording.times[frame]:.3g} $\hbar/t_0$"] = spins[self._replica].copy()

    def findings(self) -> Findings:
        return Findings(figures={"texture": spin_texture(self._recording.configs[self._replica], self._panels)})


class Animation:
    """A film of one replica, ``spins.gif`` or ``spins.mp4``.

    Args:
        format: gif or mp4 (which needs ffmpeg).
        replica: from 0.
        most_frames: frames of the film, even in time.
        frames_per_second: of the film.
    """

    def __init__(
        self, format: str = "gif", replica: int = 0, most_frames: int = 60, frames_per_second: int = 12
    ) -> None:
        self._format, self._replica = format, replica
        self._most, self._speed = most_frames, frames_per_second

    def start(self, recording: Recording) -> None:
        self._recording = recording
        _check_replica("animation", self._replica, recording)
        if self._format not in ("gif", "mp4") or self._most < 1 or self._speed < 1:
            raise InputError(
                f"animation: format {self._format!r} must be gif or mp4, most_frames {self._most} and "
                f"frames_per_second {self._speed} at least 1"
            )
        self._instants = recording.instants(self._most, "animation.most_frames")
        self._kept: list[tuple[float, Array]] = []

    def add(self, frame: int, spins: Array) -> None:
        if frame in self._instants:
            self._kept.append((float(self._recording.times[frame]), spins[self._replica].astype(np.float32)))

    def findings(self) -> Findings:
        path: Path = self._recording.folder / f"spins.{self._format}"
        config = self._recording.configs[self._replica]
        return Findings(files=[spin_animation(config, self._kept, path, self._speed)])


def _check_replica(name: str, replica: int, recording: Recording) -> None:
    if not 0 <= replica < recording.n_replicas:
        raise InputError(f"{name}: replica {replica} does not exist; there are 0 to {recording.n_replicas - 1}")
