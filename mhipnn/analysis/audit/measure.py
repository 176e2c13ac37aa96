"""How wrong is my simulation: the torques of a reference along the trajectory of another potential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...configuration import Array, SpinConfiguration
from ...dynamics.frames import Frame
from ...dynamics.observers import Look
from ...dynamics.trajectory import TrajectoryReader
from ...errors import ConfigError
from ...nn.ensemble import EnsemblePotential
from ...potential import FrozenPotential, Potential, torque

_SUMS = ("error2", "torque2", "torque_mean")


@dataclass(frozen=True)
class Audit:
    """Torques of the run against those of a reference at the same spins, on all sites of the replicas that it looks at.

    Of every replica and frame, NaN where it did not look: mean squares of the torque's error and of the reference's
    torque and the mean of the latter (over the 3 N components), and both torques of ``samples`` sites.

    Args:
        reference: what is true.
        every: look at every so many frames, the first and those after; 0: only where the committee disagrees.
        spread: look at a frame where the rms torque spread of the committee exceeds this, energy (None: not asked).
        committee: the ensemble that drives the run, where ``spread`` is given.
        replicas: look at so many of them (default: all); the first of each temperature and group come first.
        samples: sites whose torques are kept, for the picture.

    Raises:
        ConfigError: a number out of range, a spread without a committee, nothing to look at.
    """

    reference: Potential
    every: int = 4
    spread: float | None = None
    committee: Potential | None = None
    replicas: int | None = None
    samples: int = 64

    def __post_init__(self) -> None:
        for name, least in (("every", 0), ("samples", 0)):
            if int(getattr(self, name)) != getattr(self, name) or getattr(self, name) < least:
                raise ConfigError(f"audit.{name}={getattr(self, name)}: give a whole number >= {least}")
        if self.replicas is not None and (int(self.replicas) != self.replicas or self.replicas < 1):
            raise ConfigError(f"audit.replicas={self.replicas}: give a whole number >= 1, or null for all")
        if self.spread is not None and not self.spread >= 0:
            raise ConfigError(f"audit.spread={self.spread}: give a torque >= 0, or null")
        if self.spread is not None and not isinstance(self.committee, EnsemblePotential):
            raise ConfigError(
                f"audit.spread={self.spread} needs a committee: potential=learned with the folder of an ensemble, or a "
                "list of checkpoints"
            )
        if self.every == 0 and self.spread is None:
            raise ConfigError("audit.every=0 and audit.spread=null: the audit would look at nothing; give one of them")

    def shapes(self, configs: Sequence[SpinConfiguration]) -> dict[str, tuple[int, ...]]:
        kept = (len(self._sampled(configs[0].n_sites)), 3)
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(_SUMS, ())
        shapes |= {"reference": kept, "own": kept}
        return shapes if self.spread is None else shapes | {"spread": ()}

    def prepare(self, configs: Sequence[SpinConfiguration], rows: slice) -> Look:
        own = configs[rows]
        watched = own[: self.replicas]
        reference = self.reference.prepare(watched)
        committee: Any = None if self.spread is None or self.committee is None else self.committee.prepare(own)
        sampled = self._sampled(own[0].n_sites)

        def look(frame: Frame) -> dict[str, Array]:
            values = {name: np.full((len(own), *shape), np.nan) for name, shape in self.shapes(configs).items()}
            wanted = self.every > 0 and frame.number % self.every == 0
            if committee is not None and self.spread is not None:
                spins = torch.from_numpy(frame.spins).to(committee.device, committee.dtype)
                spread = committee.torque_spread(spins).double().cpu().numpy()
                values["spread"] = np.sqrt((spread**2).mean(1))
                wanted = wanted or bool(values["spread"].max() > self.spread)
            if wanted:
                n = len(watched)
                for name, value in _compared(reference, frame.spins[:n], frame.fields[:n], sampled).items():
                    values[name][:n] = value
            return values

        return look

    def _sampled(self, n_sites: int) -> np.ndarray:
        """Sites spread over all of them, the same at all times."""
        return np.unique(np.linspace(0, n_sites - 1, min(self.samples, n_sites)).astype(int))


def _compared(reference: FrozenPotential, spins: Array, fields: Array, sampled: np.ndarray) -> dict[str, Array]:
    field = reference(torch.from_numpy(spins).to(reference.device, reference.dtype))[1].double().cpu().numpy()
    true, found = torque(spins, field), torque(spins, fields)
    return {
        "error2": ((found - true) ** 2).mean((1, 2)),
        "torque2": (true**2).mean((1, 2)),
        "torque_mean": true.mean((1, 2)),
        "reference": true[:, sampled],
        "own": found[:, sampled],
    }


@dataclass(frozen=True)
class AuditScores:
    """How far the torques of a run were from the reference's.

    Args:
        times: (A,) of the frames that it looked at, hbar/t0.
        r2, nrmse: (A,) over the replicas of each, see :mod:`.parity`.
        total_r2, total_nrmse: over all of them.
    """

    times: Array
    r2: Array
    nrmse: Array
    total_r2: float
    total_nrmse: float


def audit_scores(
    reader: TrajectoryReader,
    name: str = "audit",
    frames: Sequence[int] | None = None,
    replicas: Sequence[int] | None = None,
) -> AuditScores | None:
    """From the sums in a trajectory, of some frames and replicas or of all; None: none of them was looked at."""
    if f"streams/{name}/error2" not in reader.file:
        return None
    kept = np.ix_(
        range(reader.n_frames) if frames is None else frames, range(reader.n_replicas) if replicas is None else replicas
    )
    sums = [np.asarray(reader.file[f"streams/{name}/{quantity}"])[kept] for quantity in _SUMS]
    looked = np.isfinite(sums[0]).any(1)
    if not looked.any():
        return None
    errors, squares, means = (np.nanmean(each[looked], axis=1) for each in sums)
    return AuditScores(
        times=reader.times[kept[0][:, 0]][looked],
        r2=_r2(errors, squares, means),
        nrmse=np.sqrt(errors / squares),
        total_r2=float(_r2(errors.mean(), squares.mean(), means.mean())),
        total_nrmse=float(np.sqrt(errors.mean() / squares.mean())),
    )


@dataclass(frozen=True)
class AuditResult(AuditScores):
    """What an audit found, with what its figure shows.

    Args:
        reference, own: torques of the sampled sites, (n, 3) each, energy.
        spread: (T, R) rms torque spread of the committee, or None.
        all_times: (T,) of all frames.
    """

    reference: Array
    own: Array
    all_times: Array
    spread: Array | None = None

    @classmethod
    def read(cls, reader: TrajectoryReader, name: str = "audit") -> AuditResult | None:
        """From the streams of a trajectory; None: it was not audited, or at no frame."""
        scores = audit_scores(reader, name)
        if scores is None:
            return None
        streams = reader.streams()
        kept = [streams[f"{name}/{which}"].reshape(-1, 3) for which in ("reference", "own")]
        there = np.isfinite(kept[0]).all(1)
        return cls(
            **vars(scores),
            reference=kept[0][there],
            own=kept[1][there],
            all_times=reader.times,
            spread=streams.get(f"{name}/spread"),
        )

    def numbers(self) -> dict[str, Any]:
        """For metrics.json."""
        worst = int(self.r2.argmin())
        return {
            "audit/torque_r2": self.total_r2,
            "audit/torque_nrmse": self.total_nrmse,
            "audit/torque_r2_min": float(self.r2[worst]),
            "audit/worst_time": float(self.times[worst]),
            "audit/times": self.times.tolist(),
            "audit/torque_r2_of_time": self.r2.tolist(),
            "audit/torque_nrmse_of_time": self.nrmse.tolist(),
        }


def _r2(error2: Any, square: Any, mean: Any) -> Any:
    """R^2 = 1 - <(y - y^)^2>/(<y^2> - <y>^2)."""
    return 1 - error2 / (square - mean**2)
