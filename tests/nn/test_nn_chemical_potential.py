"""One chemical potential for all sites, against the physics that it stands for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mhipnn import SDModel, SpinConfiguration
from mhipnn.data.graph import spin_graph
from mhipnn.nn.chemical_potential import shared_terms, shift
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.neighbourhood import Neighbourhood, neighbourhood
from mhipnn.structures import random_sites
from mhipnn.structures.spins import random_spins

NOTHING = torch.zeros(0)


def one_system(batch=None, n_graphs=1):
    return Neighbourhood(NOTHING, NOTHING, NOTHING, NOTHING, batch=batch, n_graphs=n_graphs)


def readings(n_sites, seed=0):
    return torch.randn(n_sites, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_term_is_the_maximum_over_the_chemical_potential():
    r = readings(7)
    b, c = r[:, 0], torch.nn.functional.softplus(1 + r[:, 1])
    delta = torch.linspace(-20, 20, 400001, dtype=torch.float64)
    best, at = (-b.sum() * delta - 0.5 * c.sum() * delta**2).max(0)
    assert float(shared_terms(r, one_system()).sum()) == pytest.approx(float(best), abs=1e-8)
    assert float(shift(b, c, one_system())[3]) == pytest.approx(float(delta[at]), abs=1e-4)


def test_batches_do_not_share_it_and_joined_systems_gain_by_exchanging_electrons():
    r, batch = readings(9, 1), torch.tensor([0] * 4 + [1] * 5)
    apart = shared_terms(r, one_system(batch, 2))
    torch.testing.assert_close(apart[:4], shared_terms(r[:4], one_system()))
    torch.testing.assert_close(apart[4:], shared_terms(r[4:], one_system()))
    assert shared_terms(r, one_system()).sum() < apart.sum()
    twice = shared_terms(torch.cat([r, r]), one_system())
    torch.testing.assert_close(twice.sum(), 2 * shared_terms(r, one_system()).sum())


def test_the_shift_is_felt_by_far_spins_as_it_is_in_a_metal():
    """Two clusters out of each other's reach: a turned spin of one changes fields in the other, by an electron each."""
    model = MHIP(cutoff=2.0, n_features=5, n_sensitivities=4, n_onsite=1, shared_mu=True).in_precision(torch.float64)
    alone = MHIP(cutoff=2.0, n_features=5, n_sensitivities=4, n_onsite=1).in_precision(torch.float64)
    near = random_sites(12, 3, rng=0).positions
    positions = np.concatenate([near, near + [1000.0, 0, 0]])
    spins = random_spins(24, np.random.default_rng(1))
    turned = spins.copy()
    turned[0] = -turned[0]
    configs = [SpinConfiguration(positions, 9999 * np.eye(3), False, s) for s in (spins, turned)]
    exact = SDModel(J=3.0, filling=0.8, temperature=0.05)
    for felt, fields in (
        (True, [exact.evaluate(config).field[12:] for config in configs]),
        (True, [model(spin_graph(c, 2.0, torch.float64), differentiable=False).field[12:].numpy() for c in configs]),
        (False, [alone(spin_graph(c, 2.0, torch.float64), differentiable=False).field[12:].numpy() for c in configs]),
    ):
        assert (np.abs(fields[1] - fields[0]).max() > 1e-6) == felt


def test_it_is_learned_where_nothing_else_could_know():
    """Sites without neighbours whose energy (sum_i m_i)^2 / 2N depends on all of them."""
    n_sites = 6
    losses = {}
    for shared in (True, False):
        torch.manual_seed(0)
        model = MHIP(cutoff=1.0, n_features=8, n_sensitivities=2, n_onsite=1, n_species=2, shared_mu=shared)
        model = model.in_precision(torch.float64)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        rng = np.random.default_rng(0)
        graphs, targets = [], []
        for _ in range(12):
            species = rng.integers(0, 2, n_sites)
            positions = 10.0 * np.arange(n_sites)[:, None] * [1.0, 0, 0]
            config = SpinConfiguration(positions, 99 * np.eye(3), False, np.eye(3)[[2] * n_sites], species)
            graphs.append(spin_graph(config, 1.0, torch.float64))
            targets.append((species - 0.5).sum() ** 2 / (2 * n_sites) * 10)
        for _ in range(150):
            energies = []
            for graph in graphs:
                neighbours = neighbourhood(graph, graph.positions)
                energies.append(model.site_terms(graph.spins, neighbours, model.couplings(neighbours)).sum())
            loss = (torch.stack(energies) - torch.tensor(targets)).square().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        losses[shared] = float(loss.detach()) / float(np.var(targets))
    assert losses[True] < 0.02
    assert losses[False] > 0.5
