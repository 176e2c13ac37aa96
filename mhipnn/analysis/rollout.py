"""One quench, two potentials: do the learned spins order like the exact ones?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch

from ..configuration import Array, SpinConfiguration
from ..dynamics.frames import Trajectory
from ..dynamics.quench import Quench
from ..potential import FrozenPotential, Potential, torque
from .comparison.agreement import CorrelationAgreement, rms_distance
from .correlations import MeanAndError, RadialCorrelation, mean_and_error, trajectory_correlation
from .parity import nrmse, r_squared


@dataclass(frozen=True)
class RolloutComparison:
    """The same quench from the same spins under the same noise, with the exact and with the learned potential.

    Args:
        exact, learned: the trajectories, R realisations at the same T times.
        exact_correlation, learned_correlation: C(r, t) of every realisation, ``value`` (T, R, B).
        torques: (T, R, N, 3), exact ones along the exact trajectory.
        learned_torques: (T, R, N, 3), learned ones at the same spins, those of the exact trajectory.
        own_path: exact and learned torques along the learned trajectory, (T, R, N, 3) each.
    """

    exact: Trajectory
    learned: Trajectory
    exact_correlation: RadialCorrelation
    learned_correlation: RadialCorrelation
    torques: Array
    learned_torques: Array
    own_path: tuple[Array, Array]

    @property
    def times(self) -> Array:
        return self.exact.times

    @cached_property
    def exact_mean(self) -> MeanAndError:
        """C(r, t) over realisations, each (T, B)."""
        return mean_and_error(self.exact_correlation.value, axis=1)

    @cached_property
    def learned_mean(self) -> MeanAndError:
        """C(r, t) over realisations, each (T, B)."""
        return mean_and_error(self.learned_correlation.value, axis=1)

    @cached_property
    def torque_r2(self) -> Array:
        """R^2 of the learned torques at each time of the exact trajectory, (T,)."""
        return np.array([r_squared(*pair) for pair in zip(self.torques, self.learned_torques, strict=True)])

    @cached_property
    def own_torque_r2(self) -> Array:
        """R^2 of the learned torques at each time of the learned trajectory, (T,)."""
        return np.array([r_squared(*pair) for pair in zip(*self.own_path, strict=True)])

    @cached_property
    def agreement(self) -> CorrelationAgreement:
        """C(r, t) of the learned trajectories beside that of the exact ones."""
        return CorrelationAgreement(self.times, self.exact_mean, self.learned_mean)

    @cached_property
    def energy_deviation(self) -> Array:
        """(E_learned - E_exact)/N of the means over realisations, each potential along its own trajectory, (T,)."""
        return (self.learned.energies - self.exact.energies).mean(1) / self.exact.n_sites

    def summary(self) -> dict[str, float]:
        """The numbers of the comparison by name; energies in t0."""
        distance = rms_distance(self.learned.spins[-1], self.exact.spins[-1])
        return self.agreement.summary() | {
            "torque_r2": r_squared(self.torques, self.learned_torques),
            "torque_r2_min": float(self.torque_r2.min()),
            "torque_nrmse": nrmse(self.torques, self.learned_torques),
            "own_path_torque_r2": r_squared(*self.own_path),
            "own_path_torque_r2_min": float(self.own_torque_r2.min()),
            "max_energy_deviation_per_site": float(np.abs(self.energy_deviation).max()),
            "final_spin_rms_deviation": float(np.sqrt((distance**2).mean())),
            "realisations": float(self.exact.n_replicas),
        }


def compare_rollouts(
    exact: Potential,
    learned: Potential,
    configs: Sequence[SpinConfiguration],
    quench: Quench,
    seeds: Sequence[int],
    r_max: float | None = None,
    bin_width: float = 0.5,
    progress: Callable[[str, int, int], None] | None = None,
) -> RolloutComparison:
    """Run the quench with both potentials from the spins of ``configs`` and under the same noise.

    Args:
        exact, learned: the two potentials.
        configs: R realisations with N sites each.
        quench: shared by both.
        seeds: R integers >= 0, of the noise.
        r_max, bin_width: bins of C(r), mean spacings; see :func:`.correlations.trajectory_correlation`.
        progress: called after every step with ("exact" or "learned", steps made, steps in all).

    Raises:
        InputError, NonFiniteError: see :meth:`mhipnn.dynamics.quench.Quench.run`.
    """
    report = {name: None if progress is None else partial(progress, name) for name in ("exact", "learned")}
    trajectory, torques = driven(quench, exact, configs, seeds, report["exact"])
    rollout, own_torques = driven(quench, learned, configs, seeds, report["learned"])
    return RolloutComparison(
        exact=trajectory,
        learned=rollout,
        exact_correlation=trajectory_correlation(trajectory, r_max, bin_width),
        learned_correlation=trajectory_correlation(rollout, r_max, bin_width),
        torques=torques,
        learned_torques=torques_along(learned.prepare(configs), trajectory.spins),
        own_path=(torques_along(exact.prepare(configs), rollout.spins), own_torques),
    )


def turned_starts(
    comparison: RolloutComparison,
    exact: Potential,
    quench: Quench,
    seeds: Sequence[int],
    angle: float,
    r_max: float | None = None,
    bin_width: float = 0.5,
    progress: Callable[[int, int], None] | None = None,
) -> RolloutComparison:
    """The exact quench against itself, from spins turned by ``angle``: what small differences alone grow into.

    No learned potential can be expected to agree better than this for the angle that its errors amount to.

    Args:
        comparison: whose exact trajectory, made with ``exact``, ``quench`` and ``seeds``, is the one to compare with.
        angle: by which every spin of the start is turned about a random axis across it, radians.
        r_max, bin_width, progress: as in :func:`compare_rollouts`.
    """
    configs = [
        config.with_spins(turned(config.spins, angle, seed))
        for config, seed in zip(comparison.exact.configs, seeds, strict=True)
    ]
    rollout, torques = driven(quench, exact, configs, seeds, progress)
    return replace(
        comparison,
        learned=rollout,
        learned_correlation=trajectory_correlation(rollout, r_max, bin_width),
        learned_torques=comparison.torques,
        own_path=(torques, torques),
    )


def turned(spins: Array, angle: float, seed: int) -> Array:
    """Spins (N, 3), each turned by ``angle`` (radians) about a random axis across it."""
    across = np.cross(spins, np.random.default_rng(seed).standard_normal(spins.shape))
    length = np.linalg.norm(spins, axis=-1, keepdims=True)
    across *= length / np.linalg.norm(across, axis=-1, keepdims=True)
    return np.cos(angle) * spins + np.sin(angle) * across


def driven(
    quench: Quench,
    potential: Potential,
    configs: Sequence[SpinConfiguration],
    seeds: Sequence[int],
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Trajectory, Array]:
    """A quench, and the torques of the potential that drives it, (T, R, N, 3)."""
    frames = list(quench.frames(potential, configs, seeds, progress))
    trajectory = Trajectory.of(frames, configs)
    return trajectory, torque(trajectory.spins, np.stack([frame.fields for frame in frames]))


def torques_along(force: FrozenPotential, spins: Array) -> Array:
    """S_i x B_i of a potential at given states (T, R, N, 3) of R replicas, whoever made them; same shape, float64."""
    states = torch.from_numpy(spins).to(force.device, force.dtype)
    return torque(spins, np.stack([force(state)[1].detach().cpu().double().numpy() for state in states]))
