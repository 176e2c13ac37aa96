"""The plain form is the network: energies, fields, forces and gradients of a loss in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from plain_mhip import PlainMHIP
from torch_geometric.data import Batch

from mhipnn import SpinConfiguration, random_sites
from mhipnn.data.graph import spin_graph
from mhipnn.nn.mhip import MHIP


def ragged_batch() -> Batch:
    """Dense, sparse and single sites, of two species."""
    pair = SpinConfiguration(np.array([[0.0, 0, 0], [1.1, 0, 0]]), np.eye(3), False, np.eye(3)[:2])
    lonely = SpinConfiguration(np.zeros((1, 3)), np.eye(3), False, np.eye(3)[:1])
    batch = Batch.from_data_list(
        [spin_graph(config, 2.5, torch.float64) for config in (random_sites(20, rng=1), pair, lonely)]
    )
    batch.species = torch.arange(batch.num_nodes) % 2
    return batch


@pytest.mark.parametrize("l_max", [0, 1, 3])
def test_plain_form_equals_the_model(l_max):
    torch.manual_seed(l_max)
    model = MHIP(cutoff=2.5, n_features=14, n_sensitivities=9, l_max=l_max, n_species=2).in_precision(torch.float64)
    model.scale.fill_(1.7)
    model.offset.fill_(-0.3)
    graph, gradients = ragged_batch(), []
    for network in (model, PlainMHIP(model)):
        prediction = network(graph, forces=True, differentiable=True)
        loss = sum(value.square().sum() for value in prediction)
        gradients.append(torch.autograd.grad(loss, model.parameters()))
    evaluations = [network(graph, forces=True, differentiable=False) for network in (model, PlainMHIP(model))]
    assert not evaluations[1].energy.requires_grad
    for ours, plain in (*zip(*evaluations, strict=True), *zip(*gradients, strict=True)):
        torch.testing.assert_close(plain, ours, rtol=1e-10, atol=1e-10)
