"""The layers against loops, closed forms and numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from mhipnn import SpinConfiguration
from mhipnn.data.graph import spin_graph
from mhipnn.data.statistics import Statistics
from mhipnn.errors import ConfigError
from mhipnn.nn.heisenberg import Heisenberg
from mhipnn.nn.interaction import Interaction
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.neighbourhood import Neighbourhood, neighbourhood
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.nn.sensitivity import Sensitivity
from mhipnn.nn.spin_correlation import legendre, legendre_of_neighbours
from mhipnn.structures import random_sites

SMALL = dict(cutoff=2.2, n_features=4, n_interactions=2, n_sensitivities=3, n_onsite=1)


def pairs(config, cutoff):
    """(i, j, r) of all pairs and periodic images within the cutoff, by brute force."""
    shifts = [a * config.cell[0] + b * config.cell[1] for a in range(-3, 4) for b in range(-3, 4)]
    for i, R_i in enumerate(config.positions):
        for j, R_j in enumerate(config.positions):
            for shift in shifts:
                r = np.linalg.norm(R_j + shift - R_i)
                if 1e-9 < r < cutoff:
                    yield i, j, r


def slots(distances) -> Neighbourhood:
    """One site with neighbours at these distances."""
    distance = torch.tensor(np.array([distances]), dtype=torch.float64)
    zeros = torch.zeros(distance.shape, dtype=torch.int64)
    return Neighbourhood(zeros, torch.tensor([distance.shape[1]]), distance, zeros[:, 0])


def sensitivity_formula(r, layer):
    """s_nu(r) written out in numpy."""
    centre, width = layer.inverse_centre.detach().numpy(), layer.width.detach().numpy()
    return np.exp(-((1 / r - centre) ** 2) / (2 * width**2)) * np.cos(np.pi * r / (2 * layer.cutoff)) ** 2


def test_legendre_is_numpys():
    x = np.linspace(-1, 1, 23)
    for l_max in range(6):
        values = legendre(torch.from_numpy(x)[None], l_max)[0].numpy()
        assert values.shape == (l_max + 1, 23)
        for degree in range(l_max + 1):
            expected = np.polynomial.legendre.legval(x, np.eye(l_max + 1)[degree])
            np.testing.assert_allclose(values[degree], expected, atol=1e-14)


def test_sensitivities_are_the_formula_and_vanish_beyond_the_cutoff():
    layer = Sensitivity(5, cutoff=2.5, r_inner=0.8).double()
    r = np.array([0.7, 0.8, 1.0, 1.7, 2.3, 2.499])
    values = layer(slots(r)).detach().numpy()[0].T
    np.testing.assert_allclose(values, [sensitivity_formula(x, layer) for x in r], rtol=1e-12)
    assert (layer(slots([2.5, 2.6, 100.0])) == 0).all()
    np.testing.assert_allclose(1 / layer.inverse_centre.detach().numpy()[[0, -1]], [2.5, 0.8], rtol=1e-6)
    assert values[1].argmax() == 4  # at r_inner the innermost one is the largest


@pytest.mark.parametrize("bad", [dict(n_sensitivities=0), dict(r_inner=0.0), dict(r_inner=3.0)])
def test_sensitivities_refuse(bad):
    with pytest.raises(ConfigError, match="r_inner"):
        Sensitivity(**dict(n_sensitivities=3, cutoff=2.5) | bad)


def test_interaction_layer_is_the_sum_of_the_design():
    """z_i[b] <- f(sum_j sum_nu sum_l s_nu P_l V[nu, l, b, a] z_j[a] + W z_i + b), loops over j, nu, l, a."""
    torch.manual_seed(0)
    l_max, n_nu, n_in, n_out = 2, 3, 2, 4
    config = random_sites(8, 2, rng=5)
    radial = Sensitivity(n_nu, cutoff=2.2).double()
    layer = Interaction(n_in, n_out, n_nu * (l_max + 1), nn.Tanh()).double()
    z = torch.rand(8, n_in).double()
    graph = spin_graph(config, 2.2, torch.float64)
    neighbours = neighbourhood(graph, graph.positions)
    polynomials = legendre_of_neighbours(graph.spins, neighbours, l_max)
    given = layer(z, radial(neighbours), polynomials, neighbours).detach().numpy()

    V = layer.message.weight.detach().numpy().reshape(n_out, n_nu, l_max + 1, n_in)
    W, bias = (p.detach().numpy() for p in (layer.self_interaction.weight, layer.self_interaction.bias))
    expected = z.numpy() @ W.T + bias
    for i, j, r in pairs(config, 2.2):
        s = sensitivity_formula(r, radial)
        x = config.spins[i] @ config.spins[j]
        for nu in range(n_nu):
            for degree, P in enumerate((1.0, x, 1.5 * x**2 - 0.5)):
                for b in range(n_out):
                    for a in range(n_in):
                        expected[i, b] += s[nu] * P * V[b, nu, degree, a] * float(z[j, a])
    np.testing.assert_allclose(given, np.tanh(expected), atol=1e-13)


def test_heisenberg_is_the_double_sum_and_positive_exchange_is_ferromagnetic():
    config = random_sites(12, 2, rng=4)
    model = Heisenberg(cutoff=2.2, n_sensitivities=4).in_precision(torch.float64)
    with torch.no_grad():
        model.scale.fill_(0.7)
        model.offset.fill_(-1.5)
        model.constant.fill_(0.2)
        model.exchange.weight.fill_(0.5)
    evaluation = NetworkPotential(model).evaluate(config)
    energy, field = 12 * (0.7 * 0.2 - 1.5), np.zeros((12, 3))
    for i, j, r in pairs(config, 2.2):
        J = 0.7 * 0.5 * sensitivity_formula(r, model.sensitivity).sum()
        energy -= 0.5 * J * config.spins[i] @ config.spins[j]
        field[i] += J * config.spins[j]
    assert evaluation.energy == pytest.approx(energy, rel=1e-12)
    np.testing.assert_allclose(evaluation.field, field, atol=1e-12)
    # J > 0: the field on a spin points along its neighbour, and parallel spins lie lowest.
    pair = SpinConfiguration([[0.0, 0, 0], [1.0, 0, 0]], 50 * np.eye(3), [False] * 3, [[1.0, 0, 0], [0, 0, 1.0]])
    on_first = NetworkPotential(model).evaluate(pair).field[0]
    assert on_first[2] > 0
    assert np.abs(on_first[:2]).max() < 1e-15


def test_without_legendre_orders_there_is_no_field():
    config = random_sites(12, 2, rng=0)
    for l_max in (0, 1):
        torch.manual_seed(0)
        evaluation = NetworkPotential(MHIP(**SMALL, l_max=l_max).in_precision(torch.float64)).evaluate(config)
        assert (np.abs(evaluation.field).max() == 0) == (l_max == 0)
        assert np.abs(evaluation.forces).max() > 0


def test_species_matter_and_one_species_is_the_first_column():
    config = random_sites(12, 2, rng=0)
    torch.manual_seed(0)
    two = MHIP(**SMALL, n_species=2).in_precision(torch.float64)
    one = MHIP(**SMALL).in_precision(torch.float64)
    weights = dict(two.state_dict())
    first = "interactions.0."
    # (b, (l nu), a) with a = 0, the first species
    message = weights[first + "message.weight"]
    weights[first + "message.weight"] = message.view(len(message), -1, 2)[..., 0]
    weights[first + "self_interaction.weight"] = weights[first + "self_interaction.weight"][:, :1]
    one.load_state_dict(weights)

    def energy(model, species):
        mixed = SpinConfiguration(config.positions, config.cell, config.pbc, config.spins, species)
        return NetworkPotential(model).evaluate(mixed).energy

    zeros, alternating = np.zeros(12, int), np.arange(12) % 2
    assert energy(two, zeros) == pytest.approx(energy(one, zeros), rel=1e-13)
    assert abs(energy(two, alternating) - energy(two, zeros)) > 1e-6
    assert abs(energy(two, alternating) - energy(two, 1 - alternating)) > 1e-6


def test_scale_and_offset_are_those_of_the_training_split():
    values = dict.fromkeys(Statistics.__dataclass_fields__, 1.0)
    values |= {"tangential_rms": 0.25, "energy_per_site_mean": -3.0}
    model = MHIP(**SMALL)
    model.fit_scale(Statistics(**values))
    assert (float(model.scale), float(model.offset)) == (0.25, -3.0)
    assert model.offset.dtype == torch.float64
    config = random_sites(8, 2, rng=0)
    graph = spin_graph(config, 2.2)
    prediction = model(graph, differentiable=False)
    expected = 0.25 * prediction.terms.double().sum() - 3.0 * 8
    assert float(prediction.energy) == pytest.approx(float(expected), rel=1e-6)


@pytest.mark.parametrize("bad", [dict(cutoff=0.0), dict(n_species=0), dict(n_features=0), dict(l_max=-1)])
def test_mhip_refuses(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        MHIP(**bad)


def test_separate_sensitivities_that_are_alike_are_shared_ones():
    """Before training the sets of all orders are equal; then weights in another order give the same energy."""
    torch.manual_seed(0)
    shared = MHIP(**SMALL, l_max=2).in_precision(torch.float64).eval()
    separate = MHIP(**SMALL, l_max=2, separate_sensitivities=True).in_precision(torch.float64).eval()
    weights = dict(separate.state_dict())
    for name, value in shared.state_dict().items():
        if name.endswith("message.weight"):  # [b, (nu, l, a)] -> [b, (l, nu, a)]
            n_a = value.shape[1] // (SMALL["n_sensitivities"] * 3)
            value = value.view(len(value), -1, 3, n_a).transpose(1, 2).flatten(1)
        if not name.startswith("sensitivities"):
            weights[name] = value
    separate.load_state_dict(weights)
    config = random_sites(20, 2, rng=0)
    graph = spin_graph(config, 2.2, torch.float64)
    expected, given = shared(graph, differentiable=False), separate(graph, differentiable=False)
    torch.testing.assert_close(given.field, expected.field, rtol=1e-12, atol=1e-14)
    by_blocks = NetworkPotential(separate).evaluate(config).field
    np.testing.assert_allclose(by_blocks, expected.field.numpy(), atol=1e-12)
    with torch.no_grad():
        separate.sensitivities[0].width[:3] *= 1.1  # of l = 0 alone
    assert (separate(graph, differentiable=False).field - expected.field).abs().max() > 1e-6
