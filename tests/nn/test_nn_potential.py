"""A network as a potential: one configuration, a batch of replicas, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mhipnn import SpinConfiguration
from mhipnn.errors import InputError, NonFiniteError
from mhipnn.nn.heisenberg import Heisenberg
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.potential import Potential
from mhipnn.structures import random_sites, random_spins


def network(cls=MHIP, dtype=torch.float64, **arguments) -> NetworkPotential:
    torch.manual_seed(2)
    small = {"n_features": 5, "n_sensitivities": 4, "n_onsite": 1} if cls is MHIP else {"n_sensitivities": 4}
    model = cls(**{"cutoff": 2.5} | small | arguments).in_precision(torch.float64)
    model.scale.fill_(0.3)
    model.offset.fill_(-2.0)
    return NetworkPotential(model, dtype=dtype)


@pytest.mark.parametrize("cls", [MHIP, Heisenberg])
def test_prepared_replicas_equal_single_evaluations(cls):
    potential = network(cls)
    assert isinstance(potential, Potential)
    configs = [random_sites(15, 2, rng=seed) for seed in range(4)]
    rng = np.random.default_rng(0)
    spins = np.stack([random_spins(15, rng) for _ in configs])
    frozen = potential.prepare(configs)  # the spins that these carry are ignored
    energies, fields = frozen(torch.from_numpy(spins))
    assert energies.shape == (4,)
    assert not energies.requires_grad
    assert not fields.requires_grad
    for index, config in enumerate(configs):
        single = potential.evaluate(config.with_spins(spins[index]))
        assert float(energies[index]) == pytest.approx(single.energy, rel=1e-12)
        np.testing.assert_allclose(fields[index].numpy(), single.field, rtol=0, atol=1e-12)
        assert single.energy == pytest.approx(single.site_energy.sum(), rel=1e-12)
        np.testing.assert_allclose(single.torque, np.cross(spins[index], single.field), atol=1e-14)


@pytest.mark.parametrize("cls", [MHIP, Heisenberg])
def test_field_forces_and_sign_by_finite_differences(cls):
    potential, config, step = network(cls), random_sites(10, 2, rng=1), 1e-5
    evaluation = potential.evaluate(config)
    for site, axis in ((0, 0), (3, 1), (7, 2)):
        energies = []
        for sign in (1, -1):
            spins = config.spins.copy()
            spins[site, axis] += sign * step
            energies.append(potential.evaluate(config.with_spins(spins)).energy)
        assert evaluation.field[site, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-8)
    for site, axis in ((0, 0), (3, 1)):
        energies = []
        for sign in (1, -1):
            positions = config.positions.copy()
            positions[site, axis] += sign * step
            moved = SpinConfiguration(positions, config.cell, config.pbc, config.spins)
            energies.append(potential.evaluate(moved).energy)
        assert evaluation.forces[site, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-8)
    assert potential.evaluate(config, forces=False).forces is None


def test_single_precision_is_close_and_works_on_its_own_tensors():
    config = random_sites(20, 2, rng=3)
    double, single = network(), network(dtype=torch.float32)
    assert single.prepare([config])(torch.zeros(1, 20, 3))[1].dtype == torch.float32
    exact, rounded = double.evaluate(config), single.evaluate(config)
    deviation = np.abs(exact.field - rounded.field).max()
    assert 0 < deviation < 1e-5 * np.abs(exact.field).max() * 10
    assert exact.energy == pytest.approx(rounded.energy, rel=1e-6)


def test_total_energy_keeps_its_digits_in_single_precision():
    potential = network(dtype=torch.float32)
    potential.model.offset.fill_(-1e6 / 3)
    config = random_sites(10, 2, rng=0)
    learned = potential.evaluate(config)
    assert learned.energy == pytest.approx(learned.site_energy.sum(), rel=1e-14)
    assert (learned.site_energy + 1e6 / 3 == 0).sum() == 0  # the learned part is not lost beside the offset


def test_sizes_must_agree():
    with pytest.raises(InputError, match=r"one size, got \[10, 12\]"):
        network().prepare([random_sites(10, 2, rng=0), random_sites(12, 2, rng=0)])
    with pytest.raises(InputError, match="none"):
        network().prepare([])


def test_unknown_species_is_named_with_its_site():
    config = random_sites(10, 2, rng=0)
    species = np.zeros(10, int)
    species[6] = 2
    strange = SpinConfiguration(config.positions, config.cell, config.pbc, config.spins, species)
    for call in (lambda p: p.evaluate(strange), lambda p: p.prepare([strange])):
        with pytest.raises(InputError, match=r"0 \.\. 1, got 2 at site 6"):
            call(network(n_species=2))


def test_non_finite_field_names_its_site():
    potential = network(Heisenberg)
    # The field on site 2 is J times a long spin and overflows; sites 0 and 1 have no neighbours.
    potential.model.exchange.weight.data.fill_(1e300)
    positions = np.array([[0.0, 0, 0], [30.0, 0, 0], [60.0, 0, 0], [61.0, 0, 0]])
    spins = np.array([[0, 0, 1.0], [0, 0, 1.0], [0, 0, 1.0], [1e12, 0, 0]])
    with pytest.raises(NonFiniteError, match="site 2"):
        potential.evaluate(SpinConfiguration(positions, 100 * np.eye(3), np.zeros(3, bool), spins))
