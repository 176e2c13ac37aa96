"""Spins of variable length: polynomials, fields along the spins, the limit |S| -> 0, and what is learned of them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from synthetic import CUTOFF, learn, pair_energy, r_squared

from mhipnn import SpinConfiguration
from mhipnn.data.graph import spin_graph
from mhipnn.data.statistics import Statistics
from mhipnn.dynamics import RK4, Heun, Quench
from mhipnn.nn.checkpoint import CheckpointRecord, load_model, save_model
from mhipnn.nn.energy_model import Prediction
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.nn.spin_correlation import solid_legendre
from mhipnn.structures import random_sites
from mhipnn.testing import EnergyModelContract
from mhipnn.training.loss import Field, Torque

SMALL: dict[str, Any] = dict(cutoff=2.2, n_features=4, n_interactions=2, n_sensitivities=3, n_onsite=1, l_max=3)


class TestMHIPWithLengths(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = SMALL | dict(spin_length=True)
    changes: ClassVar[dict[str, Any]] = dict(spin_length=False, l_max=2)
    spin_length = True

    def make_model(self, **arguments: Any) -> MHIP:
        return MHIP(**arguments)


def model(**options: Any) -> MHIP:
    torch.manual_seed(0)
    made = MHIP(**SMALL | dict(spin_length=True) | options).in_precision(torch.float64).eval()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, dtype=parameter.dtype)
    return made


def config(seed: int = 0, n_sites: int = 14) -> SpinConfiguration:
    """Lengths between 0.4 and 2, and one spin of length zero."""
    lengths = np.random.default_rng(seed).uniform(0.4, 2, n_sites)
    lengths[3] = 0
    made = random_sites(n_sites, 2, rng=seed)
    return made.with_spins(made.spins * lengths[:, None])


def run(made: MHIP, sites: SpinConfiguration, **options: Any) -> Prediction:
    return made(spin_graph(sites, made.cutoff, torch.float64), **dict(differentiable=False) | options)


def test_solid_harmonics_are_legendre_times_lengths():
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 20, 3))
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    x = (one * other).sum(-1)
    given = solid_legendre(torch.from_numpy(x)[None], torch.from_numpy(lengths**2)[None], 4)[0]
    for degree in range(5):
        expected = lengths**degree * np.polynomial.legendre.legval(x / lengths, np.eye(5)[degree])
        np.testing.assert_allclose(given[degree], expected, rtol=1e-11, atol=1e-12)
    assert solid_legendre(torch.zeros(1, 1), torch.zeros(1, 1), 3).flatten().tolist() == [1, 0, 0, 0]


def test_on_the_unit_sphere_it_is_the_network_without_lengths():
    """Then |S|^2 - 1 is nothing, and energies and torques are the same; the field along a spin is another one."""
    long, unit = model(), MHIP(**SMALL).in_precision(torch.float64)
    weights = {name: value for name, value in long.state_dict().items() if name != "spin_unit"}
    first = "interactions.0."
    message = weights[first + "message.weight"]
    weights[first + "message.weight"] = message.view(len(message), -1, 3)[..., 0]
    weights[first + "self_interaction.weight"] = weights[first + "self_interaction.weight"][:, :1]
    unit.load_state_dict(weights)
    sites = random_sites(14, 2, rng=0)
    one, other = run(long, sites), run(unit, sites)
    torch.testing.assert_close(one.energy, other.energy, rtol=1e-13, atol=0)
    torch.testing.assert_close(one.torque, other.torque, rtol=0, atol=1e-13)
    assert (one.field - other.field).abs().max() > 1e-3


def test_longitudinal_field_is_minus_the_derivative_by_the_length():
    made, sites, step = model(), config(), 1e-5
    field = run(made, sites).field.numpy()
    for site in (0, 5):
        along = np.zeros_like(sites.spins)
        along[site] = sites.spins[site] / np.linalg.norm(sites.spins[site])
        up, down = (float(run(made, sites.with_spins(sites.spins + s * along)).energy) for s in (step, -step))
        derivative = float((along * field).sum())
        assert abs(derivative) > 1e-3
        assert (up - down) / (2 * step) == pytest.approx(-derivative, rel=1e-7)


def test_nothing_is_singular_where_a_spin_vanishes():
    """At S = 0 energy, field and curvature are finite and the limits of those nearby."""
    made, sites = model(), config()
    at_zero = run(made, sites)
    assert np.abs(at_zero.field[3].numpy()).max() > 1e-3  # the exchange field of the neighbours
    for length in (1e-4, 1e-8, 1e-160):
        spins = sites.spins.copy()
        spins[3] = [0, length, 0]
        near = run(made, sites.with_spins(spins))
        assert near.field.isfinite().all()
        torch.testing.assert_close(near.field, at_zero.field, rtol=0, atol=20 * length + 1e-14)
    graph = spin_graph(sites, made.cutoff, torch.float64)
    made(graph, forces=True, differentiable=True).field.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in made.parameters() if parameter.grad is not None)


def test_gradients_for_training_on_fields_are_those_of_the_full_backward_pass():
    """The shortcut of a training without forces leaves out what parameters do not need, and nothing else."""
    gradients = []
    for forces in (False, True):
        made = model()
        run(made, config(), forces=forces, differentiable=True).field.square().sum().backward()
        gradients.append([p.grad for p in made.parameters() if p.grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-12)


def test_lengths_count_in_the_rms_length_of_the_training_spins():
    """Moments in another unit: the same energies, and fields in energy per that unit."""
    values = {field.name: 1.0 for field in fields(Statistics)} | {"tangential_rms": 0.3, "radial_std": 0.4 * 3**0.5}
    small, large = model(), model()
    small.fit_scale(Statistics(**values))
    in_other_units = {"spin_length": 2.5, "tangential_rms": 0.3 / 2.5, "radial_std": 0.4 * 3**0.5 / 2.5}
    large.fit_scale(Statistics(**values | in_other_units))
    assert float(small.scale) == pytest.approx(0.5)
    assert float(large.spin_unit) == pytest.approx(2.5)
    sites = config()
    one, other = run(small, sites), run(large, sites.with_spins(2.5 * sites.spins))
    torch.testing.assert_close(one.energy, other.energy, rtol=1e-12, atol=0)
    torch.testing.assert_close(one.field, 2.5 * other.field, rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(one.torque, other.torque, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("spin_length", [True, False])
def test_a_landau_potential_is_learned_and_without_lengths_it_is_not(spin_length):
    """E = sum_i (a |S_i|^2 + b |S_i|^4) - sum J(r) S_i.S_j: the field along a spin is mostly Landau's."""
    law = pair_energy(lambda r, *_: 1.5 * np.exp(1 - r), a=-1.0, b=0.5)

    def sites(seed):
        made = random_sites(16, 2, rng=seed)
        return made.with_spins(made.spins * np.random.default_rng(seed).uniform(0.3, 1.6, (16, 1)))

    torch.manual_seed(0)
    made = MHIP(cutoff=CUTOFF, n_features=12, n_interactions=1, n_sensitivities=6, spin_length=spin_length)
    learn(made, law, [sites(seed) for seed in range(40)], [Torque(), Field()])
    reached = r_squared(made, law, [sites(seed) for seed in range(100, 110)])
    if spin_length:
        assert reached["longitudinal"] > 0.97
        assert reached["torque"] > 0.98
    else:
        assert reached["longitudinal"] < 0.7


@pytest.mark.parametrize("integrator", [Heun(), RK4()])
def test_dynamics_keep_every_length(integrator):
    """The field along a spin does not stretch it, and a spin of length zero stays where it is."""
    sites, made = config(), model(l_max=1)
    made.scale.fill_(0.05)
    quench = Quench(duration=2.0, time_step=0.1, damping=0.5, integrator=integrator)
    spins = quench.run(NetworkPotential(made), [sites], [0]).spins[:, 0]
    before = np.linalg.norm(sites.spins, axis=-1)
    for frame in spins:
        np.testing.assert_allclose(np.linalg.norm(frame, axis=-1), before, rtol=1e-12)
    assert np.abs(spins[-1] - spins[0]).max() > 0.05


def test_noise_minds_lengths_but_not_sites_without_a_spin():
    sites = random_sites(9, 2, rng=0)
    spins = sites.spins.copy()
    spins[2] = 0
    warm = Quench(duration=0.2, time_step=0.1, temperature=0.1, damping=0.5)
    moved = warm.run(NetworkPotential(model(l_max=1)), [replace(sites, spins=spins)], [0]).spins[-1, 0]
    np.testing.assert_allclose(np.linalg.norm(moved, axis=-1), np.linalg.norm(spins, axis=-1), atol=1e-12)


def test_checkpoint_holds_the_unit_of_spins_and_others_are_as_before(tmp_path):
    made = model()
    made.spin_unit.fill_(1.7)
    save_model(tmp_path / "a.ckpt", made, CheckpointRecord("mhip", SMALL | dict(spin_length=True), "float64"))
    again = load_model(tmp_path / "a.ckpt")[0].eval()
    assert torch.equal(run(again, config()).field, run(made, config()).field)
    assert set(made.state_dict()) - set(MHIP(**SMALL).state_dict()) == {"spin_unit"}
