"""What a network is worth in dynamics: its torques along its own rollouts, along exact ones, and on the test split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...analysis.parity import nrmse, r_squared
from ...analysis.rollout import driven, torques_along
from ...atomic import atomic_path
from ...configuration import Array
from ...data.base_module import LabelledDataModule
from ...dynamics.frames import Trajectory
from ...dynamics.quench import Quench
from ...nn.network_potential import NetworkPotential
from ...potential import Potential
from ..predictions import predict
from ..rollout import LLGRollout

NUMBERS = (
    "rollout_torque_nrmse",
    "rollout_torque_r2",
    "exact_path_torque_nrmse",
    "exact_path_torque_r2",
    "test_torque_nrmse",
    "test_torque_r2",
)


class Yardstick:
    """Quenches of held-out realisations from uncorrelated spins, the same for every network.

    Args:
        data: the dataset; the first ``n_realisations`` of its test split are quenched.
        quench: the dynamics.
        n_realisations: how many.
        cache: npz file that keeps the exact quench, whose electrons are the expensive part.
    """

    def __init__(self, data: LabelledDataModule, quench: Quench, n_realisations: int, cache: Path) -> None:
        self.data = data
        self.quench = quench
        chooser = LLGRollout(quench, n_realisations)
        self.starts = chooser.starts(data.configurations("test"), data.labelled("test").realisation)
        self.seeds = [chooser.seed + number for number in range(len(self.starts))]
        self.exact: Potential = data.potential()  # type: ignore[assignment]
        self._frozen = self.exact.prepare(self.starts)
        self.trajectory, self.torques = self._exact_quench(cache)

    def measure(self, network: NetworkPotential) -> dict[str, float]:
        """The `NUMBERS` of one network.

        rollout_*: exact against learned torques at the states of the *learned* quench; exact_path_*: the same at the
        states of the exact one; test_*: on the labels of the test split. NRMSE is rms error over rms exact torque.
        """
        learned, learned_torques = driven(self.quench, network, self.starts, self.seeds)
        exact_torques = torques_along(self._frozen, learned.spins)
        on_exact_path = torques_along(network.prepare(self.starts), self.trajectory.spins)
        test = predict(network.model, self.data.test_dataloader()[0]).summary()
        return {
            "rollout_torque_nrmse": nrmse(exact_torques, learned_torques),
            "rollout_torque_r2": r_squared(exact_torques, learned_torques),
            "exact_path_torque_nrmse": nrmse(self.torques, on_exact_path),
            "exact_path_torque_r2": r_squared(self.torques, on_exact_path),
            "test_torque_nrmse": test["torque_nrmse"],
            "test_torque_r2": test["torque_r2"],
        }

    def _exact_quench(self, cache: Path) -> tuple[Trajectory, Array]:
        """The exact trajectory and its torques (T, R, N, 3), from the cache if they are there."""
        if not cache.exists():
            made, torques = driven(self.quench, self.exact, self.starts, self.seeds)
            with atomic_path(cache) as partial, partial.open("wb") as file:
                np.savez(file, times=made.times, spins=made.spins, energies=made.energies, torques=torques)
        with np.load(cache, allow_pickle=False) as kept:
            return Trajectory(kept["times"], kept["spins"], kept["energies"], self.starts), kept["torques"]
