"""What the members of an ensemble say about a split, apart and together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ...analysis.calibration import Calibration
from ...configuration import Array
from ...data.base_module import LabelledDataModule
from ...nn.ensemble import EnsemblePotential, spread
from ..predictions import Predictions, predict


@dataclass(frozen=True)
class EnsemblePredictions:
    """The predictions of each member for the same C configurations with M sites in all."""

    members: Sequence[Predictions]

    @property
    def mean(self) -> Predictions:
        """Those of the ensemble: mean energies and torques beside the exact ones."""
        return replace(
            self.members[0],
            learned_energy=np.mean([member.learned_energy for member in self.members], axis=0),
            learned_torque=np.mean([member.learned_torque for member in self.members], axis=0),
        )

    @property
    def spread(self) -> Array:
        """Of the torques at each site, (M,), energy units; see :func:`mhipnn.nn.ensemble.spread`."""
        return spread(np.stack([member.learned_torque for member in self.members]))

    @property
    def error(self) -> Array:
        """|mean torque - exact torque| at each site, (M,)."""
        mean = self.mean
        return np.linalg.norm(mean.learned_torque - mean.torque, axis=-1)

    def of_sites(self, factor: float = 1.0) -> Calibration:
        """Spread and error of every site."""
        return Calibration(self.spread, self.error, factor)

    def of_configurations(self, factor: float = 1.0) -> Calibration:
        """Spread and error of every configuration, rms over its sites: what active learning ranks."""
        counts = np.diff(self.members[0].offsets).astype(np.int64)
        owners = np.repeat(np.arange(len(counts)), counts)
        filled = counts > 0  # the others have no torque that could be wrong

        def rms(values: Array) -> Array:
            return np.sqrt(np.bincount(owners, values**2, len(counts))[filled] / counts[filled])

        return Calibration(rms(self.spread), rms(self.error), factor)


def predict_ensemble(potential: EnsemblePotential, data: LabelledDataModule) -> dict[str, EnsemblePredictions]:
    """The validation split and all that are tested on; ``data`` has the cutoff and the precision of the members."""
    data.setup("validate")
    data.setup("test")
    loaders = dict(zip(data.split_names[1:], [data.val_dataloader(), *data.test_dataloader()], strict=True))
    return {
        split: EnsemblePredictions([predict(member.model, loader) for member in potential.members])
        for split, loader in loaders.items()
    }
