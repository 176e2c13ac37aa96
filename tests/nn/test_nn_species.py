"""Several species: radial functions for every pair, and species that carry no spin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from synthetic import CUTOFF, graphs_of, learn, pair_energy, r_squared

from mhipnn import SpinConfiguration
from mhipnn.data.graph import spin_graph
from mhipnn.errors import ConfigError
from mhipnn.nn.energy_model import EnergyModel, Prediction
from mhipnn.nn.heisenberg import Heisenberg
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.neighbourhood import neighbourhood
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.nn.pair_sensitivity import PairSensitivity
from mhipnn.nn.sensitivity import Sensitivity
from mhipnn.structures import random_sites
from mhipnn.testing import EnergyModelContract
from mhipnn.training.loss import Torque

SMALL: dict[str, Any] = dict(cutoff=2.2, n_features=4, n_interactions=2, n_sensitivities=3, n_onsite=1, n_species=2)


class TestMHIPWithPairs(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = SMALL | dict(pair_sensitivities=True)
    changes: ClassVar[dict[str, Any]] = dict(pair_sensitivities=False, n_species=3)

    def make_model(self, **arguments: Any) -> MHIP:
        return MHIP(**arguments)


class TestMHIPWithASpeciesWithoutSpin(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = SMALL | dict(magnetic=[False, True], spin_length=True)
    changes: ClassVar[dict[str, Any]] = dict(magnetic=[True, False])
    spin_length = True

    def make_model(self, **arguments: Any) -> MHIP:
        return MHIP(**arguments)


class TestHeisenbergWithPairs(EnergyModelContract):
    arguments: ClassVar[dict[str, Any]] = dict(cutoff=2.2, n_sensitivities=3, n_species=2, pair_sensitivities=True)
    changes: ClassVar[dict[str, Any]] = dict(pair_sensitivities=False)

    def make_model(self, **arguments: Any) -> Heisenberg:
        return Heisenberg(**arguments)


def model(**options: Any) -> MHIP:
    torch.manual_seed(0)
    return MHIP(**SMALL | options).in_precision(torch.float64).eval()


def config(seed: int = 0, n_sites: int = 14) -> SpinConfiguration:
    made = random_sites(n_sites, 2, rng=seed)
    return replace(made, species=np.random.default_rng(seed).integers(0, 2, n_sites))


def run(made: EnergyModel, sites: SpinConfiguration) -> Prediction:
    return made(spin_graph(sites, made.cutoff, torch.float64), forces=True, differentiable=False)


# ---------------------------------------------------------------------- pairs of species


def test_pair_sensitivities_are_their_formula_and_start_as_shared_ones():
    torch.manual_seed(0)
    pairs, shared = PairSensitivity(2, 3, 2.2).double(), Sensitivity(3, 2.2).double()
    graph = spin_graph(config(), 2.2, torch.float64)
    neighbours = neighbourhood(graph, graph.positions)
    plain = shared(neighbours)
    assert torch.equal(pairs(neighbours), plain)
    with torch.no_grad():
        pairs.pair_weight.normal_()
    given, weight = pairs(neighbours), pairs.pair_weight
    assert given.shape == plain.shape
    for i in range(neighbours.n_sites):
        for k in range(int(neighbours.counts[i])):
            a, b = int(graph.species[i]), int(graph.species[neighbours.index[i, k]])
            torch.testing.assert_close(given[i, :, k], (1 + weight[a, :, b]) * plain[i, :, k], rtol=1e-12, atol=0)


def test_receiver_and_sender_are_told_apart():
    """Two sites: what an A hears of a B hangs on the weights [A, B] alone."""
    pair = SpinConfiguration([[0.0, 0, 0], [1.0, 0, 0]], 50 * np.eye(3), False, np.eye(3)[:2], [0, 1])
    made = model(pair_sensitivities=True, n_interactions=1)
    before = run(made, pair).site_energy
    with torch.no_grad():
        made.sensitivities[0].pair_weight[0, :, 1] += 0.3
    after = run(made, pair).site_energy
    assert abs(after[0] - before[0]) > 1e-6
    assert after[1] == before[1]


def test_compiled_fields_know_the_pairs():
    made = model(pair_sensitivities=True)
    with torch.no_grad():
        for layer in made.sensitivities:
            layer.pair_weight.normal_(std=0.5)
    frozen = NetworkPotential(made).prepare([config()])
    assert frozen._compiled is not None
    spins = torch.from_numpy(config().spins)[frozen._order]
    for found, wanted in zip(frozen._compiled(spins), frozen._by_autograd(spins), strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=1e-12)


EXCHANGE = np.array([[1.0, -0.8], [-0.8, 0.4]])
LAW = pair_energy(lambda r, a, b: EXCHANGE[a, b] * np.exp((1 - r) * np.where(a == b, 1, 3)))
NARROW = dict(cutoff=CUTOFF, n_features=1, n_interactions=1, n_sensitivities=6, n_onsite=0, l_max=1, n_species=2)


@pytest.mark.parametrize(("pair_sensitivities", "low", "high"), [(True, 0.98, 1.0), (False, -1.0, 0.5)])
def test_an_exchange_for_every_pair_is_learned(pair_sensitivities, low, high):
    """One feature leaves a shared radial function no room to tell receivers apart; nor has a Heisenberg model any."""
    torch.manual_seed(0)
    network = MHIP(**NARROW, pair_sensitivities=pair_sensitivities)
    heisenberg = Heisenberg(CUTOFF, 6, n_species=2, pair_sensitivities=pair_sensitivities)
    for made, rate in ((network, 1e-2), (heisenberg, 5e-2)):
        learn(made, LAW, [config(seed, 16) for seed in range(40)], [Torque()], rate=rate)
        assert low < r_squared(made, LAW, [config(seed, 16) for seed in range(100, 110)])["torque"] <= high


# ---------------------------------------------------------------------- species without a spin


@pytest.mark.parametrize("spin_length", [False, True])
def test_what_stands_in_place_of_a_spin_that_is_not_there_does_not_matter(spin_length):
    made, sites = model(magnetic=[True, False], spin_length=spin_length), config()
    empty = sites.species == 1
    one = run(made, sites)
    assert (one.field[empty] == 0).all()
    assert (one.torque[empty] == 0).all()
    assert one.field[~empty].abs().max() > 1e-3
    assert one.forces[empty].abs().max() > 1e-3  # they are neighbours all the same
    for spins in (np.where(empty[:, None], 0, sites.spins), np.where(empty[:, None], [0, 3.0, -1.0], sites.spins)):
        other = run(made, sites.with_spins(spins))
        assert torch.equal(other.energy, one.energy)
        assert torch.equal(other.field, one.field)


def test_messages_of_order_one_and_above_pass_between_spins_only():
    """P_0 stays 1, and P_2(0) = -1/2 is not sent in the name of a spin that is not there."""
    made, sites = model(magnetic=[True, False], l_max=3), config()
    graph = spin_graph(sites, made.cutoff, torch.float64)
    neighbours = neighbourhood(graph, graph.positions)
    invariants = made.spin_invariants(made.seen_spins(graph.spins, neighbours), neighbours)
    assert (invariants[:, 0] == 1).all()
    both = ((graph.species[:, None] == 0) & (graph.species[neighbours.index] == 0))[:, None]
    assert (invariants[:, 1:].masked_fill(both, 0) == 0).all()
    plain = model(l_max=3).spin_invariants(graph.spins, neighbours)
    filled = (neighbours.mask[:, None] > 0) & both
    torch.testing.assert_close(invariants[filled.expand_as(plain)], plain[filled.expand_as(plain)], rtol=0, atol=1e-14)


def test_without_its_spin_a_species_that_is_not_there_changes_nothing():
    made, plain = model(magnetic=[True, False]), model()
    plain.load_state_dict(made.state_dict())
    sites = replace(config(), species=np.zeros(14, int))
    one, other = run(made, sites), run(plain, sites)
    torch.testing.assert_close(one.energy, other.energy, rtol=1e-13, atol=0)
    torch.testing.assert_close(one.torque, other.torque, rtol=0, atol=1e-13)


@pytest.mark.parametrize("magnetic", [[True], [True, False, True], [False, False], [1, 0], "yes", True])
def test_magnetic_refuses(magnetic):
    with pytest.raises(ConfigError, match="magnetic: expected true or false for each of 2 species"):
        MHIP(**SMALL, magnetic=magnetic)


def test_a_magnet_with_a_species_without_spin_is_learned():
    """Labels of sites without a spin are in no scale and no loss: NaN-free, and the same with rubbish there."""
    J = np.array([[1.0, 0.0], [0.0, 0.0]])
    law = pair_energy(lambda r, a, b: J[a, b] * np.exp(1 - r))

    def sites(seed):
        made = config(seed, 16)
        return made.with_spins(np.where((made.species == 1)[:, None], 0, made.spins))

    def with_rubbish(made):
        label = law(made)
        return replace(label, field=label.field + np.where((made.species == 1)[:, None], 100.0, 0.0))

    scales = [graphs_of(each, [sites(seed) for seed in range(4)])[1] for each in (law, with_rubbish)]
    assert scales[0] == scales[1]
    torch.manual_seed(0)
    made = MHIP(CUTOFF, 6, 1, 6, 1, 1, n_species=2, magnetic=[True, False])
    learn(made, with_rubbish, [sites(seed) for seed in range(40)], [Torque()])
    assert r_squared(made, law, [sites(seed) for seed in range(100, 110)])["torque"] > 0.98
