"""A trained network as a potential: numpy in and out, or batched tensors at frozen sites."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..configuration import SpinConfiguration
from ..data.graph import SpinGraph, spin_graph
from ..errors import InputError, NonFiniteError
from ..potential import Evaluation, torque
from .energy_model import EnergyModel
from .frozen import FrozenNetwork


class NetworkPotential:
    """The ``Potential`` of a trained ``EnergyModel``.

    Args:
        model: the network; its parameters are frozen here.
        device, dtype: where and in which precision it runs (default: as the model is).
        metadata: what the network was trained on (dataset definition, units).
    """

    def __init__(
        self,
        model: EnergyModel,
        device: str | torch.device | None = None,
        dtype: torch.dtype | None = None,
        metadata: dict | None = None,
    ) -> None:
        parameter = next(model.parameters())
        self.device = torch.device(device or parameter.device)
        self.dtype = dtype or parameter.dtype
        self.model = model.to(self.device).in_precision(self.dtype).eval().requires_grad_(False)
        self.metadata = metadata or {}

    def evaluate(self, config: SpinConfiguration, forces: bool = True) -> Evaluation:
        """Energy, site energies, fields, torques (and forces) of one configuration.

        Raises:
            InputError: a species that the network was not built for.
            NonFiniteError: names the first site whose field is not finite.
        """
        prediction = self.model(self._graph(config), forces=forces, differentiable=False)
        field = prediction.field.double().cpu().numpy()
        _require_finite(field, "this configuration")
        return Evaluation(
            energy=float(prediction.energy),
            site_energy=prediction.site_energy.cpu().numpy(),
            field=field,
            torque=torque(config.spins, field),
            forces=None if prediction.forces is None else prediction.forces.double().cpu().numpy(),
        )

    def prepare(self, configs: Sequence[SpinConfiguration]) -> FrozenNetwork:
        """Freeze the sites of R configurations of N sites each; geometry and sensitivities are computed once."""
        sizes = {config.n_sites for config in configs}
        if len(sizes) != 1:
            raise InputError(f"prepare: expected configurations of one size, got {sorted(sizes) or 'none'}")
        for config in configs:
            self._require_known_species(config)
        return FrozenNetwork(self.model, configs, self.device, self.dtype)

    def _graph(self, config: SpinConfiguration) -> SpinGraph:
        self._require_known_species(config)
        return spin_graph(config, self.model.cutoff, dtype=self.dtype).to(self.device)

    def _require_known_species(self, config: SpinConfiguration) -> None:
        if config.species.max() >= self.model.n_species:
            raise InputError(
                f"species: the network knows 0 .. {self.model.n_species - 1}, got {config.species.max()} "
                f"at site {int(config.species.argmax())}"
            )


def _require_finite(field: np.ndarray, where: str) -> None:
    bad = ~np.isfinite(field).all(-1)
    if bad.any():
        raise NonFiniteError(f"network: the field at site {int(np.argmax(bad))} of {where} is not finite")
