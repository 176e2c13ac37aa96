"""Configurations solved together are solved as if alone, and the sums of a CPU are those of a GPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mhipnn.electrons import SDModel, sd_model
from mhipnn.electrons.hamiltonian import fill_blocks
from mhipnn.electrons.level_sums import bond_orders, bond_orders_of_matrices, site_sums, site_sums_of_matrices
from mhipnn.potential import evaluate_all
from mhipnn.structures import random_sites

NAMES = ("energy", "site_energy", "field", "torque", "forces", "density", "mu")


@pytest.mark.parametrize("batch", [2**22, 4 * 9**2 * 2])
def test_together_as_alone_to_the_bit(batch, monkeypatch):
    monkeypatch.setattr(sd_model, "BATCH", batch)  # the second: two of the small ones at a time
    sizes = (9, 9, 9, 14, 9, 9, 9, 6, 6, 6)
    configs = [random_sites(n, rng=seed) for seed, n in enumerate(sizes)]
    model = SDModel(3.0, 0.9, 0.05)
    for alone, together in zip(map(model.evaluate, configs), evaluate_all(model, configs), strict=True):
        for name in NAMES:
            np.testing.assert_array_equal(getattr(together, name), getattr(alone, name))
    assert all(labels.forces is None for labels in model.evaluate_all(configs, forces=False))


@pytest.fixture
def frozen():
    """Three replicas in a skewless small box, where sites see several images of each other."""
    return SDModel(1.5, 0.8, 0.3).prepare([random_sites(7, rng=seed) for seed in range(3)])


def test_sums_over_levels_agree(frozen):
    rng = np.random.default_rng(0)
    spins = torch.from_numpy(rng.normal(size=(3, 7, 3)))
    state = frozen.state(spins)
    m = int(state.n_occupied.max())
    arrays = (state.levels_first, state.n_occupied, state.occupation, state.omega)
    of_matrices = site_sums_of_matrices(state.levels_first[:, :m], state.occupation[:, :m], state.omega[:, :m])
    for one, other in zip(site_sums(*arrays), of_matrices, strict=True):
        assert one.shape == other.shape
        assert (one - other).abs().max() < 1e-13
    ends = frozen.bonds.receiver, frozen.bonds.source
    order = bond_orders(state.levels_first, state.n_occupied, state.occupation, *ends)
    other = bond_orders_of_matrices(state.levels_first[:, :m], state.occupation[:, :m], *ends)
    assert order.abs().max() > 0.1
    assert (order - other).abs().max() < 1e-13


def test_matrices_agree(frozen):
    spins = torch.from_numpy(np.random.default_rng(1).normal(size=(3, 7, 3)))
    H = torch.zeros(3, 7, 2, 7, 2, dtype=torch.complex128)
    fill_blocks(H, frozen.hopping, 1.5 * spins)
    assert torch.equal(frozen.matrix(spins), H.view(3, 14, 14))
    assert (H.view(3, 14, 14) - H.view(3, 14, 14).mH).abs().max() == 0
