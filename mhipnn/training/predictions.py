"""What a model says about every configuration of a split, beside the exact labels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from ..analysis.parity import nrmse, r_squared
from ..configuration import Array
from ..data.graph import SpinGraph
from ..nn.energy_model import EnergyModel
from ..potential import torque


@dataclass(frozen=True)
class Predictions:
    """C configurations with M spins in all.

    ``energy`` and ``learned_energy`` (C,) are per site; ``torque`` and ``learned_torque`` (M, 3), of sites with a spin;
    ``offsets`` (C + 1,) marks those of each configuration; ``realisation`` and ``time`` (C,).
    """

    energy: Array
    learned_energy: Array
    torque: Array
    learned_torque: Array
    offsets: Array
    realisation: Array
    time: Array

    def summary(self) -> dict[str, float]:
        """Accuracy over the whole split; energies in the dataset's unit."""
        error = self.learned_energy - self.energy
        return {
            "torque_r2": r_squared(self.torque, self.learned_torque),
            "torque_nrmse": nrmse(self.torque, self.learned_torque),
            "energy_mae_per_site": float(np.abs(error).mean()),
            "energy_r2": r_squared(self.energy, self.learned_energy),
            "configurations": float(len(self.energy)),
        }

    def rows(self) -> list[dict[str, float]]:
        """One row a configuration, for a table."""
        rows = []
        for index in range(len(self.energy)):
            sites = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
            exact, learned = self.torque[sites], self.learned_torque[sites]
            rows.append(
                {
                    "realisation": int(self.realisation[index]),
                    "time": float(self.time[index]),
                    "sites": sites.stop - sites.start,
                    "energy_per_site": float(self.energy[index]),
                    "learned_energy_per_site": float(self.learned_energy[index]),
                    "torque_r2": r_squared(exact, learned) if exact.size else float("nan"),
                    "torque_nrmse": nrmse(exact, learned) if exact.size else float("nan"),
                }
            )
        return rows


def predict(model: EnergyModel, batches: Iterable[SpinGraph]) -> Predictions:
    """Evaluate a model on batches of labelled graphs, on the model's device."""
    device = next(model.parameters()).device
    energies, learned, torques, learned_torques, counts, realisations, times = ([] for _ in range(7))
    for cpu_graph in batches:
        graph = cpu_graph.to(device)
        prediction = model(graph, differentiable=False)
        spins = graph.spins.double().cpu().numpy()
        magnetic, starts = (spins**2).sum(-1) > 0, graph.ptr.cpu().numpy()
        sites = np.diff(starts)
        energies.append(graph.energy.cpu().numpy() / sites)
        learned.append(prediction.energy.double().cpu().numpy() / sites)
        torques.append(torque(spins, graph.field.double().cpu().numpy())[magnetic])
        learned_torques.append(torque(spins, prediction.field.double().cpu().numpy())[magnetic])
        counts.append(np.diff(np.concatenate([[0], np.cumsum(magnetic)])[starts]))
        realisations.append(graph.realisation.cpu().numpy())
        times.append(graph.time.double().cpu().numpy())
    return Predictions(
        energy=np.concatenate(energies),
        learned_energy=np.concatenate(learned),
        torque=np.concatenate(torques),
        learned_torque=np.concatenate(learned_torques),
        offsets=np.concatenate([[0], np.cumsum(np.concatenate(counts))]),
        realisation=np.concatenate(realisations),
        time=np.concatenate(times),
    )
