"""hippynn's network with our weights is our network (where hippynn is installed), and its absence is told."""

from __future__ import annotations

import sys

import hippynn_peer
import pytest
import torch
from rich.console import Console
from systems import batch_of_random_sites

from mhipnn.nn.mhip import MHIP

KERNEL = "_pytorch_raw_wrapped"  # needs no compilation


def test_energies_forces_and_gradients_are_equal():
    if hippynn_peer.load() is None:
        pytest.skip("hippynn is not installed")
    torch.manual_seed(0)
    model = MHIP(cutoff=2.5, n_features=7, n_sensitivities=6, n_onsite=1, l_max=0).in_precision(torch.float64)
    graph = batch_of_random_sites(3, 12, 2.5, torch.float64)
    peer = hippynn_peer.HippynnNetwork(model, KERNEL)
    ours = model(graph, forces=True, differentiable=True)
    theirs = peer(graph, True)
    assert ours.forces.abs().max() > 1e-3
    for value, wanted in zip(theirs, (ours.energy, ours.forces), strict=True):
        torch.testing.assert_close(value, wanted, rtol=1e-10, atol=1e-11)
    (theirs[0].square().sum() + theirs[1].square().sum()).backward()
    (ours.energy.square().sum() + ours.forces.square().sum()).backward()
    layer, interaction = peer.network.interaction_layers[1], model.interactions[1]
    for value, wanted in (
        (layer.int_weights.grad, interaction.message.weight.grad.view(7, 6, 7).transpose(0, 1)),
        (layer.selfint.bias.grad, interaction.self_interaction.bias.grad),
        # mu = 1/c and sigma = 1/w
        (layer.sensitivity.mu.grad[0], -model.sensitivities[1].inverse_centre.grad / layer.sensitivity.mu[0] ** 2),
        (layer.sensitivity.sigma.grad[0], -model.sensitivities[1].width.grad / layer.sensitivity.sigma[0] ** 2),
    ):
        torch.testing.assert_close(value, wanted.detach(), rtol=1e-9, atol=1e-10)


def test_a_magnetic_network_is_refused():
    if hippynn_peer.load() is None:
        pytest.skip("hippynn is not installed")
    with pytest.raises(ValueError, match="l_max = 0, got 2"):
        hippynn_peer.HippynnNetwork(MHIP(), KERNEL)


def test_without_hippynn_there_is_a_hint(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "hippynn", None)
    assert hippynn_peer.available(None, torch.device("cpu"), Console()) == []
    assert "pip install hippynn==0.1.3" in capsys.readouterr().out
