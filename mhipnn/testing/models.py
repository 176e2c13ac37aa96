"""What every energy model must hold, as a class of pytest tests to inherit.

from mhipnn.testing import EnergyModelContract

class TestMine(EnergyModelContract):
    arguments = {"cutoff": 2.5, "n_features": 8}
    changes = {"n_features": 6}            # every option, with a value that must change the output

    def make_model(self, **arguments):
        return Mine(**arguments)
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation
from torch_geometric.data import Batch

from ..configuration import SpinConfiguration
from ..data.graph import spin_graph
from ..nn.energy_model import EnergyModel, Prediction
from ..nn.neighbourhood import neighbourhood
from ..nn.network_potential import NetworkPotential
from ..structures import random_sites

RELATIVE = 1e-12
ROTATION = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()


class EnergyModelContract:
    """Symmetries, gradients and limits of an ``EnergyModel``, in float64 to 1e-12."""

    arguments: ClassVar[dict[str, Any]] = {}
    changes: ClassVar[dict[str, Any]] = {}
    spin_length: ClassVar[bool] = False
    """Whether |S_i| is an input: spins have different lengths then, and one alone has a field along itself."""
    additive: ClassVar[bool] = True
    """Whether systems far apart add; not if their sites share a chemical potential."""

    @abstractmethod
    def make_model(self, **arguments: Any) -> EnergyModel:
        """A new model with these keyword arguments."""

    # ------------------------------------------------------------------ symmetries

    @pytest.mark.parametrize("dimension", [2, 3])
    def test_spin_rotation(self, dimension: int) -> None:
        model, config = self._model(), self._config(dimension)
        before, after = self._run(model, config), self._run(model, config.with_spins(config.spins @ ROTATION.T))
        close(after.energy, before.energy)
        close(after.field, before.field @ torch.tensor(ROTATION.T))
        close(after.forces, before.forces)

    @pytest.mark.parametrize("matrix", [ROTATION, np.diag([1.0, 1.0, -1.0]), np.diag([-1.0, -1.0, -1.0])])
    def test_space_rotation_and_reflection(self, matrix: np.ndarray) -> None:
        model, config = self._model(), self._config(3)
        turned = replace(config, positions=config.positions @ matrix.T, cell=config.cell @ matrix.T)
        before, after = self._run(model, config), self._run(model, turned)
        close(after.energy, before.energy)
        close(after.field, before.field)
        close(after.forces, before.forces @ torch.tensor(matrix.T))

    def test_translation(self) -> None:
        model, config = self._model(), self._config(2)
        moved = replace(config, positions=config.positions + [3.7, -12.2, 0.4])
        before, after = self._run(model, config), self._run(model, moved)
        close(after.energy, before.energy)
        close(after.field, before.field, 1e-11)  # rounding of the moved coordinates

    def test_permutation(self) -> None:
        model, config = self._model(), self._config(2)
        order = np.random.default_rng(3).permutation(config.n_sites)
        before, after = self._run(model, config), self._run(model, config.take(order))
        close(after.energy, before.energy)
        close(after.site_energy, before.site_energy[order])
        close(after.field, before.field[order])

    def test_time_reversal(self) -> None:
        model, config = self._model(), self._config(2)
        before, after = self._run(model, config), self._run(model, config.with_spins(-config.spins))
        close(after.energy, before.energy)
        close(after.field, -before.field)

    def test_two_far_systems_add_and_batches_do_not_mix(self) -> None:
        model, small, large = self._model(), self._cluster(5, seed=1), self._cluster(9, seed=2)
        alone = [self._run(model, config) for config in (small, large)]
        graphs = [self._graph(model, config) for config in (small, large)]
        batch = model(Batch.from_data_list(graphs), forces=True, differentiable=False)
        far = large.positions + [1000.0, 0, 0]
        spins, species = (np.concatenate([getattr(c, name) for c in (small, large)]) for name in ("spins", "species"))
        both = SpinConfiguration(np.concatenate([small.positions, far]), small.cell, False, spins, species)
        joint = self._run(model, both)
        close(batch.energy, torch.cat([a.energy for a in alone]))
        if self.additive:
            close(joint.energy, batch.energy.sum()[None])
        for name in ("field", "site_energy", "torque", "forces"):
            separate = torch.cat([getattr(a, name) for a in alone])
            close(getattr(batch, name), separate)
            if self.additive:
                close(getattr(joint, name), separate, 1e-10)  # positions near 1000 have fewer digits

    # ------------------------------------------------------------------ gradients

    def test_gradients_are_those_of_the_energy(self) -> None:
        model, config = self._model(), self._config(2)
        prediction = self._run(model, config)
        rng, step = np.random.default_rng(5), 1e-5
        for name, gradient in (("spins", prediction.field), ("positions", prediction.forces)):
            direction = rng.normal(size=(config.n_sites, 3))
            ahead, behind = (
                float(self._run(model, replace(config, **{name: getattr(config, name) + sign * direction})).energy)
                for sign in (step, -step)
            )
            expected = -float((gradient.numpy() * direction).sum())
            assert (ahead - behind) / (2 * step) == pytest.approx(expected, rel=1e-6, abs=1e-7), name

    def test_gradcheck_and_gradgradcheck(self) -> None:
        model, config = self._model(), self._cluster(4, seed=7)
        graph = self._graph(model, config)
        model.requires_grad_(False)

        def energy(spins: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
            neighbours = neighbourhood(graph, positions)
            return model.site_terms(spins, neighbours, model.couplings(neighbours)).sum()

        inputs = (graph.spins.clone().requires_grad_(), graph.positions.clone().requires_grad_())
        assert torch.autograd.gradcheck(energy, inputs)
        assert torch.autograd.gradgradcheck(energy, inputs)

    def test_every_parameter_gets_a_gradient(self) -> None:
        model, graph = self._model(), self._graph(self._model(), self._config(2))
        prediction = model(graph, forces=True, differentiable=True)
        loss = prediction.energy.square().sum() + prediction.torque.square().sum() + prediction.forces.square().sum()
        loss.backward()
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().max() > 0, name

    def test_every_option_changes_the_output(self) -> None:
        config = self._config(2)
        reference = self._run(self._model(), config)
        for option, value in self.changes.items():
            changed = self._run(self._model(**{option: value}), config)
            assert (changed.field - reference.field).abs().max() > 1e-8, option

    # ------------------------------------------------------------------ limits

    def test_smooth_at_the_cutoff(self) -> None:
        model = self._model()

        def pair(distance: float) -> Prediction:
            spins = np.array([[0.0, 0.6, 0.8], [1.0, 0.0, 0.0]])
            spins[1] = [0.8, 0.0, 0.6]
            return self._run(model, SpinConfiguration([[0.0, 0, 0], [distance, 0, 0]], 50 * np.eye(3), False, spins))

        outside = pair(model.cutoff + 1e-9)
        for step in (1e-3, 1e-4):
            inside = pair(model.cutoff - step)
            assert abs(float(inside.energy - outside.energy)) < 100 * step**2
            assert inside.forces.abs().max() < 100 * step
            assert (inside.field - outside.field).abs().max() < 100 * step**2
        assert outside.forces.abs().max() == 0
        self._expect_no_field(outside)

    def test_one_site_no_edges_and_an_isolated_site_in_a_batch(self) -> None:
        model = self._model()
        single = SpinConfiguration(np.zeros((1, 3)), 50 * np.eye(3), False, [[0, 0, 1.0]])
        alone = self._run(model, single)
        assert alone.energy.isfinite().all()
        assert alone.forces.abs().max() == 0
        self._expect_no_field(alone)
        apart = SpinConfiguration([[0.0, 0, 0], [20.0, 0, 0], [40.0, 0, 0]], 99 * np.eye(3), False, np.eye(3))
        close(self._run(model, apart).energy, 3 * alone.energy)
        config = self._config(2)
        batch = Batch.from_data_list([self._graph(model, c) for c in (config, single, config)])
        together = model(batch, forces=True, differentiable=False)
        close(together.energy[1:2], alone.energy)
        close(together.energy[[0]], self._run(model, config).energy)
        close(together.energy[0], together.energy[2])
        assert together.field.isfinite().all()

    def test_cell_smaller_than_the_cutoff_equals_its_supercell(self) -> None:
        model, rng = self._model(), np.random.default_rng(11)
        cell = np.array([[1.3, 0, 0], [0.4, 1.2, 0], [0, 0, 1.0]])
        spins = rng.normal(size=(2, 3))
        small = SpinConfiguration([[0.0, 0, 0], [0.7, 0.6, 0]], cell, (True, True, False), spins)
        shifts = [i * cell[0] + j * cell[1] for i in range(3) for j in range(3)]
        large = SpinConfiguration(
            np.concatenate([small.positions + shift for shift in shifts]),
            cell * [[3], [3], [1]],
            small.pbc,
            np.tile(spins, (9, 1)),
        )
        one, nine = self._run(model, small), self._run(model, large)
        close(nine.energy, 9 * one.energy)
        close(nine.site_energy[:2], one.site_energy)

    def test_float32_is_close_to_float64(self) -> None:
        config = self._config(2)
        double = self._run(self._model(), config)
        single_model = self._model().in_precision(torch.float32)
        single = single_model(spin_graph(config, single_model.cutoff, torch.float32), differentiable=False)
        close(single.field.double(), double.field, 1e-4)

    def test_frozen_sites_give_the_same_energy_and_fields(self) -> None:
        model, configs = self._model(), [self._varied(random_sites(24, 2, rng=seed)) for seed in (2, 5)]
        wanted = [self._run(model, config) for config in configs]
        frozen = NetworkPotential(model).prepare(configs)
        energies, fields = frozen(torch.from_numpy(np.stack([config.spins for config in configs])))
        for energy, field, prediction in zip(energies, fields, wanted, strict=True):
            close(energy[None], prediction.energy)
            close(field, prediction.field)

    # ------------------------------------------------------------------ helpers

    def _model(self, **changes: Any) -> EnergyModel:
        torch.manual_seed(0)
        model = self.make_model(**(self.arguments | changes)).in_precision(torch.float64).eval()
        with torch.no_grad():  # a fitted scale, and no parameter that happens to start at zero
            model.scale.fill_(0.7)
            model.offset.fill_(-1.3)
            generator = torch.Generator().manual_seed(1)
            for parameter in model.parameters():
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype)
        return model

    def _config(self, dimension: int) -> SpinConfiguration:
        return self._varied(random_sites(24 if dimension == 2 else 30, dimension, rng=dimension))

    def _cluster(self, n_sites: int, seed: int) -> SpinConfiguration:
        """A few sites without periods, about one length apart."""
        return replace(self._varied(random_sites(n_sites, 3, rng=seed)), cell=100 * np.eye(3), pbc=False)

    def _varied(self, config: SpinConfiguration) -> SpinConfiguration:
        """With all species of the model, and with spins of different lengths if it feels them."""
        config = replace(config, species=np.arange(config.n_sites) % self.arguments.get("n_species", 1))
        lengths = 1 + 0.5 * np.sin(np.arange(config.n_sites)) if self.spin_length else np.ones(config.n_sites)
        return config.with_spins(config.spins * lengths[:, None])

    def _expect_no_field(self, alone: Prediction) -> None:
        """On spins without neighbours: none that turns them, and none at all if lengths are no input."""
        assert alone.torque.abs().max() < 1e-15
        assert self.spin_length or alone.field.abs().max() == 0

    @staticmethod
    def _graph(model: EnergyModel, config: SpinConfiguration) -> Any:
        return spin_graph(config, model.cutoff, torch.float64)

    def _run(self, model: EnergyModel, config: SpinConfiguration) -> Prediction:
        return model(self._graph(model, config), forces=True, differentiable=False)


def close(given: Any, expected: Any, relative: float = RELATIVE) -> None:
    """Largest deviation against the largest value."""
    scale = max(float(expected.abs().max()), 1e-3)
    deviation = float((given - expected).abs().max())
    assert deviation <= relative * scale, f"deviates by {deviation / scale:.2e} of {scale:.3g}"
