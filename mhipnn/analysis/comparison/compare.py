"""Runs of one quench beside each other: what another potential, integrator or time step does to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from ...configuration import Array
from ...dynamics.trajectory import TrajectoryReader
from ...errors import ConfigError, InputError
from ..audit.measure import AuditScores, audit_scores
from ..correlations import MeanAndError, largest_distance, mean_and_error, pair_bins
from ..realisations import over_copies, recorded_realisations
from ..selection import existing, select_frames, select_replicas
from .agreement import CorrelationAgreement, rms_distance
from .recorded_run import RecordedRun, require_same_quench, with_own_names

MOST_RUNS = 6
"""That a figure can tell apart."""


@dataclass(frozen=True)
class ComparedRun:
    """What is kept of one run; memory that the number of sites does not enter.

    Args:
        run: as its file describes it.
        energies: per site, (T, K), t0; of K realisations, as all below, means over their copies.
        correlation: C(r) of every instant, (T, K, B).
        distances: rms distance of the spins from those of the reference, (T, K); see :func:`.agreement.rms_distance`.
        audit: the error of its torques, if it was audited.
    """

    run: RecordedRun
    energies: Array
    correlation: Array
    distances: Array
    audit: AuditScores | None

    @cached_property
    def mean_energy(self) -> MeanAndError:
        """(T,) each."""
        return mean_and_error(self.energies, axis=1)

    @cached_property
    def mean_correlation(self) -> MeanAndError:
        """(T, B) each."""
        return mean_and_error(self.correlation, axis=1)

    @cached_property
    def distance(self) -> MeanAndError:
        """sqrt of the mean square over realisations, with its standard error to first order, (T,) each."""
        square = mean_and_error(self.distances**2, axis=1)
        root = np.sqrt(square.mean)
        return MeanAndError(root, square.error / (2 * np.maximum(root, np.finfo(float).tiny)), square.n)


@dataclass(frozen=True)
class Comparison:
    """Runs of one quench; the first of them is the reference.

    Args:
        times: (T,), hbar/t0.
        r: (B,), middles of the bins of C, mean spacings.
        n_sites: of a realisation.
        runs: two or more.
    """

    times: Array
    r: Array
    n_sites: int
    runs: list[ComparedRun]

    @property
    def reference(self) -> ComparedRun:
        return self.runs[0]

    @property
    def n_replicas(self) -> int:
        return self.reference.energies.shape[1]

    def agreement(self, run: ComparedRun) -> CorrelationAgreement:
        """C(r, t) of a run beside that of the reference."""
        return CorrelationAgreement(self.times, self.reference.mean_correlation, run.mean_correlation)

    def energy_difference(self, run: ComparedRun) -> MeanAndError:
        """E/N of a run minus that of the reference, realisation by realisation, (T,) each."""
        return mean_and_error(run.energies - self.reference.energies, axis=1)


def compare_trajectories(
    paths: Sequence[str | Path],
    names: Sequence[str] | None = None,
    start: float | None = None,
    stop: float | None = None,
    frames: int | None = None,
    replicas: Sequence[int] | None = None,
    r_max: float | None = None,
    bin_width: float = 0.5,
    track: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Comparison:
    """Read trajectories of one quench frame by frame, side by side.

    Args:
        paths: of two to six trajectories, the reference first.
        names: for tables and figures (default: their potentials, and what tells those of one potential apart).
        start, stop, frames, replicas: the part that is compared, as for ``mhipnn.analyze``.
        r_max, bin_width: of C(r), mean spacings; see :func:`.correlations.trajectory_correlation`.
        track: wraps the numbers of the frames, for a progress bar.

    Raises:
        ConfigError: no such file, too few or too many of them, names that are not as many, or alike.
        InputError: runs of different quenches; no instant after t = 0; no pairs within r_max.
        DatasetError: a file that is not a trajectory.
    """
    _check_count(paths, names)
    with ExitStack() as stack:
        readers = [stack.enter_context(TrajectoryReader(existing(path))) for path in paths]
        first = readers[0]
        chosen = []
        for reader in readers:
            with _of(reader):
                chosen.append(select_frames(reader.times, start, stop, frames))
        kept = _common_replicas(readers, replicas)
        times = first.times[chosen[0]]
        for reader, own in zip(readers, chosen, strict=True):
            require_same_quench(first, reader, kept, (times, reader.times[own]))
        if not times[-1] > 0:
            raise InputError(f"trajectory {first.path}: a comparison needs an instant after t = 0, where runs part")
        reach = largest_distance(first.configs, bin_width) if r_max is None else r_max
        pairs = [pair_bins(first.configs[replica], reach, bin_width) for replica in kept]
        if not any(one.count.any() for one in pairs):
            raise InputError(f"correlation.r_max={reach:g}: no pair of sites is that close; give a larger distance")
        correlation = np.empty((len(readers), len(times), len(kept), len(pairs[0].r)))
        distances = np.empty((len(readers), len(times), len(kept)))
        for number in track(range(len(times))):
            theirs = first.spins(chosen[0][number])[kept]
            for which, reader in enumerate(readers):
                spins = theirs if which == 0 else reader.spins(chosen[which][number])[kept]
                distances[which, number] = rms_distance(spins, theirs)
                for k, state in enumerate(spins):
                    correlation[which, number, k] = pairs[k].correlation(state[None])[0]
        numbers = recorded_realisations(first.metadata, first.configs)
        samples = partial(over_copies, realisations=[numbers[replica] for replica in kept], axis=1)
        described = with_own_names([RecordedRun.of(reader) for reader in readers])
        runs = [
            ComparedRun(
                run=run if names is None else replace(run, name=str(names[which])),
                energies=samples(reader.energies[np.ix_(chosen[which], kept)]) / first.n_sites,
                correlation=samples(correlation[which]),
                distances=np.sqrt(samples(distances[which] ** 2)),
                audit=audit_scores(reader, frames=chosen[which], replicas=kept),
            )
            for which, (reader, run) in enumerate(zip(readers, described, strict=True))
        ]
        return Comparison(times, pairs[0].r, first.n_sites, runs)


def _check_count(paths: Sequence[str | Path], names: Sequence[str] | None) -> None:
    if not 2 <= len(paths) <= MOST_RUNS:
        raise ConfigError(
            f"trajectory: a list of {len(paths)}; give 2 to {MOST_RUNS} runs to compare, the reference first, or one "
            "file without brackets"
        )
    if names is not None and (len(names) != len(paths) or len({str(name) for name in names}) < len(paths)):
        raise ConfigError(f"names={list(names)}: give {len(paths)} different ones, one a trajectory")


def _common_replicas(readers: Sequence[TrajectoryReader], wanted: Sequence[int] | None) -> list[int]:
    """The replicas that are compared, which all runs must have."""
    each = []
    for reader in readers:
        with _of(reader):
            each.append(select_replicas(reader, wanted))
    for reader, own in zip(readers, each, strict=True):
        if own != each[0]:
            few = min(len(one) for one in each)
            raise InputError(
                f"trajectory {reader.path} cannot be compared with {readers[0].path}: it has {len(own)} replicas, not "
                f"{len(each[0])}; replicas=[0,...,{few - 1}] compares those of both"
            )
    return each[0]


@contextmanager
def _of(reader: TrajectoryReader) -> Iterator[None]:
    """Which of the files a mistake is about."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"{reader.path}: {error}") from None
