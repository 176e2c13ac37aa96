"""The baselines against closed forms and against loops over triplets, which share no code with the package."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from mhipnn import SpinConfiguration
from mhipnn.data.graph import spin_graph
from mhipnn.errors import ConfigError
from mhipnn.nn.bp import BP
from mhipnn.nn.checkpoint import CheckpointRecord, load_model
from mhipnn.nn.heisenberg import Heisenberg, HeisenbergBiquadratic
from mhipnn.nn.neighbourhood import neighbourhood
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.structures import random_sites


def test_two_spins_with_exchange_and_biquadratic_coupling():
    """E = -scale [J c + K (3 c^2 - 1)/2] + 2 const, B_1 = scale (J + 3 K c) S_2, and the force along r."""
    cutoff, r, c = 2.5, 1.3, -0.35
    spins = np.array([[0.0, 0.0, 1.0], [np.sqrt(1 - c * c), 0.0, c]])
    pair = SpinConfiguration([[0.0, 0, 0], [r, 0, 0]], 50 * np.eye(3), False, spins)
    model = HeisenbergBiquadratic(cutoff, n_sensitivities=3).in_precision(torch.float64)
    weights = np.array([[0.4, -1.1, 0.7], [0.9, 0.2, -0.5]])
    with torch.no_grad():
        model.scale.fill_(0.7)
        model.offset.fill_(-1.5)
        model.constant.fill_(0.2)
        model.exchange.weight.copy_(torch.tensor(weights))
    centre, width = (getattr(model.sensitivity, name).detach().numpy() for name in ("inverse_centre", "width"))

    def couplings(distance):
        gaussian = np.exp(-((1 / distance - centre) ** 2) / (2 * width**2))
        return weights @ gaussian * np.cos(np.pi * distance / (2 * cutoff)) ** 2

    def energy(distance):
        J, K = couplings(distance)
        return -0.7 * (J * c + K * (3 * c**2 - 1) / 2) + 2 * (0.7 * 0.2 - 1.5)

    evaluation = NetworkPotential(model).evaluate(pair)
    assert evaluation.energy == pytest.approx(energy(r), rel=1e-12)
    J, K = couplings(r)
    np.testing.assert_allclose(evaluation.field, 0.7 * (J + 3 * K * c) * spins[::-1], atol=1e-12)
    slope = (energy(r + 1e-5) - energy(r - 1e-5)) / 2e-5
    np.testing.assert_allclose(evaluation.forces, [[slope, 0, 0], [-slope, 0, 0]], atol=1e-8)


def test_without_the_biquadratic_coupling_it_is_heisenberg():
    config = random_sites(12, 2, rng=4)
    both = HeisenbergBiquadratic(2.2, 4).in_precision(torch.float64)
    with torch.no_grad():
        both.exchange.weight[1] = 0
    one = Heisenberg(2.2, 4).in_precision(torch.float64)
    state = both.state_dict()
    one.load_state_dict(state | {"exchange.weight": state["exchange.weight"][:1]})
    fields = [NetworkPotential(model).evaluate(config).field for model in (both, one)]
    np.testing.assert_allclose(*fields, atol=1e-14)


def by_loops(config, cutoff, centres, zeta_max, n_species):
    """The symmetry functions of every site, term by term as they are written down."""
    n_radial, width = len(centres), (cutoff - 0.7) / (len(centres) - 1)
    shifts = [np.array(n) @ config.cell for n in itertools.product(range(-3, 4), range(-3, 4), [0])]
    rows = []
    for i, S_i in enumerate(config.spins):
        near = []
        for j, shift in itertools.product(range(config.n_sites), shifts):
            d = config.positions[j] + shift - config.positions[i]
            r = np.linalg.norm(d)
            if 1e-9 < r < cutoff:
                g = np.exp(-((r - centres) ** 2) / (2 * width**2)) * np.cos(np.pi * r / (2 * cutoff)) ** 2
                near.append((g, d / r, config.spins[j], config.species[j]))
        radial = np.zeros((n_radial, 3, n_species))
        for g, _, S_j, a in near:
            x = S_i @ S_j
            radial[:, :, a] += np.outer(g, [1, x, (3 * x * x - 1) / 2])
        pairs = list(itertools.combinations_with_replacement(range(n_species), 2))
        angular = np.zeros((3, len(pairs), n_radial, 2, zeta_max))
        for (g_j, u_j, S_j, a), (g_k, u_k, S_k, b) in itertools.product(near, near):
            if (a, b) not in pairs:
                continue
            for w, weight in enumerate((1, S_j @ S_k, (S_i @ S_j) * (S_i @ S_k))):
                for s, sign in enumerate((-1, 1)):
                    for zeta in range(1, zeta_max + 1):
                        value = (1 + sign * (u_j @ u_k)) ** zeta
                        angular[w, pairs.index((a, b)), :, s, zeta - 1] += weight * value * g_j * g_k
        rows.append(np.concatenate([radial.ravel(), angular.ravel()]))
    return np.array(rows)


@pytest.mark.parametrize(("dimension", "n_species", "zeta_max"), [(2, 1, 2), (3, 1, 3), (2, 2, 1)])
def test_symmetry_functions_are_the_loops_over_triplets(dimension, n_species, zeta_max):
    """Also with images of a site in a box that is smaller than the cutoff, and for a site without neighbours."""
    config = random_sites(6, dimension, rng=3)
    cell = config.cell
    if dimension == 3:  # the loops have no images along z
        cell = np.diag([*np.diag(cell)[:2], 50.0])
    positions = np.concatenate([config.positions, [[0.3, 0.2, 20.0]]])
    spins = np.random.default_rng(1).normal(size=(7, 3))
    config = SpinConfiguration(positions, cell, (True, True, False), spins, np.arange(7) % n_species)
    model = BP(2.4, 3, zeta_max, 4, n_species, r_inner=0.7).in_precision(torch.float64)
    given = model._features(spin_graph(config, model.cutoff, torch.float64)).numpy()
    centres = model.functions.centre.numpy()
    np.testing.assert_allclose(centres, [0.7, 1.55, 2.4], rtol=1e-7)
    expected = by_loops(config, 2.4, centres, zeta_max, n_species)
    assert given.shape == expected.shape == (7, model.functions.n_features)
    np.testing.assert_allclose(given, expected, rtol=1e-12, atol=1e-12)
    assert np.abs(expected[:6]).max(0).min() > 1e-3  # every function was seen


def graphs_of(configs, model, dtype=torch.float64):
    return [spin_graph(config, model.cutoff, dtype) for config in configs]


def test_features_are_standardised_by_the_training_graphs():
    model = BP(2.4, 4, n_hidden=5).in_precision(torch.float64)
    graphs = graphs_of([random_sites(20, 2, rng=seed) for seed in range(9)], model)
    raw = np.concatenate([model._features(graph).numpy() for graph in graphs])
    model.fit_features(graphs)
    np.testing.assert_allclose(model.feature_mean, raw.mean(0), rtol=1e-12)
    np.testing.assert_allclose(model.feature_scale, raw.std(0), rtol=1e-9)


def test_what_is_the_same_on_a_perfect_lattice_is_not_blown_up():
    """Functions of positions alone are constant there, and the rounding of single precision is no information."""
    grid = np.array([[x, y, 0.0] for x in range(5) for y in range(5)])
    rng = np.random.default_rng(0)
    spins = rng.normal(size=(2, 25, 3))
    configs = [SpinConfiguration(grid, 5 * np.eye(3), (True, True, False), each) for each in spins]
    model = BP(2.4, 4)
    model.fit_features(graphs_of(configs, model, torch.float32))
    features = model._features(graphs_of(configs[:1], model, torch.float32)[0])
    standardised = (features - model.feature_mean) / model.feature_scale
    of_positions = features.std(0) < 1e-4 * features.abs().mean(0)
    assert int(of_positions.sum()) == 4 + 4 * 4  # radial l = 0, angular w = 1
    assert standardised[:, of_positions].abs().max() < 1e-5
    assert standardised[:, ~of_positions].std(0).min() > 0.3
    lonely = SpinConfiguration([[0.0, 0, 0]], 50 * np.eye(3), False, [[0, 0, 1.0]])
    model.fit_features(graphs_of([lonely], model, torch.float32))
    assert (model.feature_scale == 1).all()


def test_the_means_travel_with_the_checkpoint(tmp_path):
    model = BP(2.4, 3, n_hidden=4)
    config = random_sites(16, 2, rng=0)
    model.fit_features(graphs_of([config], model, torch.float32))
    record = CheckpointRecord("bp", dict(cutoff=2.4, n_radial=3, n_hidden=4), "float32")
    state = {f"model.{name}": value for name, value in model.state_dict().items()}
    torch.save({"mhipnn": record.to_dict(), "state_dict": state}, tmp_path / "bp.ckpt")
    loaded, _ = load_model(tmp_path / "bp.ckpt")
    fields = [NetworkPotential(each).evaluate(config).field for each in (model, loaded)]
    np.testing.assert_array_equal(*fields)
    assert float(model.feature_mean.abs().max()) > 0


def test_species_of_the_centre_and_of_the_neighbours_matter():
    torch.manual_seed(0)
    model = BP(2.4, 3, n_hidden=6, n_species=2).in_precision(torch.float64)
    config = random_sites(12, 2, rng=0)

    def site_energies(species):
        mixed = SpinConfiguration(config.positions, config.cell, config.pbc, config.spins, species)
        return NetworkPotential(model).evaluate(mixed).site_energy

    alone = np.zeros(12, int)
    alone[0] = 1
    changes = np.abs(site_energies(alone) - site_energies(np.zeros(12, int)))
    near = neighbourhood(graph := spin_graph(config, model.cutoff, torch.float64), graph.positions)
    of_zero = set(near.index[0, : near.counts[0]].tolist()) | {0}
    assert changes[list(of_zero)].min() > 1e-8
    assert changes[[i for i in range(12) if i not in of_zero]].max(initial=0) == 0


@pytest.mark.parametrize("bad", [dict(n_radial=0), dict(zeta_max=0), dict(n_hidden=0), dict(r_inner=4.0)])
def test_bp_refuses(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        BP(**bad)
