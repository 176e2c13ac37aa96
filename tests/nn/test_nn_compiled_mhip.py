"""The hand-written field of an mhip at frozen sites: its kernels against PyTorch, the whole against autograd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import silu
from torch.nn.utils import parameters_to_vector

from mhipnn import SpinConfiguration
from mhipnn.data.graph import spin_graph
from mhipnn.nn.activation import SiLU
from mhipnn.nn.interaction import OnSite
from mhipnn.nn.kernels import cpu_refinement, cpu_silu
from mhipnn.nn.kernels.compiled import kernel
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.neighbourhood import neighbourhood
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.structures import random_sites
from mhipnn.threads import torch_threads

CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5}


def close(given, expected, dtype):
    scale = max(float(expected.abs().max()), 1.0) if expected.numel() else 1.0
    torch.testing.assert_close(given, expected, rtol=0, atol=CLOSE[dtype] * scale)


@kernel
def _silu_of(x, out):
    cpu_silu.silu(out, 0, x, 0, len(x))


@kernel
def _silu_adjoint_of(g, x, out):
    cpu_silu.silu_adjoint(out, 0, g, 0, x, 0, len(x))


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_silu_to_the_last_digits_everywhere(dtype):
    x = torch.cat([torch.linspace(-80, 80, 4001), torch.tensor([0.0, 1e30, torch.inf, torch.nan])]).to(dtype)
    g, exact, epsilon = torch.linspace(-2, 2, len(x), dtype=dtype), x.double(), torch.finfo(dtype).eps
    out = np.empty_like(x.numpy())
    _silu_of(x.numpy(), out)
    torch.testing.assert_close(torch.from_numpy(out), silu(exact).to(dtype), rtol=4 * epsilon, atol=0, equal_nan=True)
    _silu_adjoint_of(g[:-2].numpy(), x[:-2].numpy(), out[:-2])
    wanted = torch.ops.aten.silu_backward(g.double(), exact).to(dtype)[:-2]
    torch.testing.assert_close(torch.from_numpy(out[:-2]), wanted, rtol=8 * epsilon, atol=8 * epsilon)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize(("n_sites", "n_in", "n", "n_onsite"), [(150, 1, 24, 2), (70, 24, 24, 0), (1, 3, 17, 1)])
def test_refinement_is_that_of_the_modules(n_sites, n_in, n, n_onsite, dtype, threads):
    torch.manual_seed(0)
    own, readout = torch.nn.Linear(n_in, n, dtype=dtype), torch.nn.Linear(n, 1, dtype=dtype)
    onsite = torch.nn.Sequential(*(OnSite(n, SiLU()).to(dtype) for _ in range(n_onsite))).eval()
    message, z = (torch.randn(n_sites, width, dtype=dtype, requires_grad=True) for width in (n, n_in))
    expected = onsite(silu(message + own(z)))
    terms, of_out = readout(expected), torch.randn(n_sites, n, dtype=dtype)
    gradients = torch.autograd.grad((of_out * expected).sum() + terms.sum(), (message, z))

    layers = [own, *(part for layer in onsite for part in (layer.expand, layer.project)), readout]
    parameters = parameters_to_vector(p for layer in layers for p in layer.parameters()).detach().numpy()
    given, out = torch.empty(1 + n_onsite, n_sites, n, dtype=dtype), torch.empty(n_sites, n, dtype=dtype)
    term, of_message, of_z = torch.empty(n_sites, dtype=dtype), torch.empty_like(out), torch.empty_like(z)
    x, features = message.detach().numpy(), z.detach().numpy()
    with torch_threads(threads):
        cpu_refinement.refine(x, features, parameters, given.numpy(), out.numpy(), term.numpy())
        arrays = (of_out.numpy(), parameters, given.numpy(), of_message.numpy(), of_z.detach().numpy())
        cpu_refinement.adjoint(*arrays)
    for found, wanted in ((out, expected), (term[:, None], terms), (of_message, gradients[0]), (of_z, gradients[1])):
        close(found.detach(), wanted.detach(), dtype)


OPTIONS = [
    {},
    {"n_features": 5, "n_interactions": 3, "n_sensitivities": 4, "n_onsite": 0, "l_max": 3},
    {"n_features": 3, "n_interactions": 1, "n_sensitivities": 5, "n_onsite": 1, "l_max": 1},
    {"n_features": 6, "n_interactions": 3, "n_sensitivities": 4, "n_species": 2},
    {"n_features": 4, "n_sensitivities": 4, "l_max": 0},
    {"n_features": 6, "n_interactions": 1, "n_sensitivities": 4, "shared_mu": True},
]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize("options", OPTIONS)
def test_compiled_fields_are_those_of_autograd(options, dtype, threads):
    torch.manual_seed(0)
    model = MHIP(cutoff=2.5, **options).in_precision(dtype).requires_grad_(False).eval()
    config = random_sites(150, 2, rng=3)
    config = replace(config, species=np.arange(150) % model.n_species)
    frozen = NetworkPotential(model).prepare([config])
    spins = torch.from_numpy(config.spins).to(dtype)[frozen._order]
    with torch_threads(threads):
        for _ in range(2):  # buffers are used again
            terms, gradient = frozen._compiled(spins)
            for found, wanted in zip((terms, gradient), frozen._by_autograd(spins), strict=True):
                close(found, wanted, dtype)
            spins = torch.nn.functional.normalize(spins + 0.3, dim=-1)


def test_compiled_fields_without_neighbours_and_of_one_site():
    model = MHIP(cutoff=1.0, n_features=4, n_sensitivities=3).in_precision(torch.float64).requires_grad_(False)
    for positions in (np.array([[1.0, 1.0, 0.0]]), np.array([[1.0, 1.0, 0.0], [5.0, 5.0, 0.0]])):
        spins = np.tile([0.0, 0.0, 1.0], (len(positions), 1))
        config = SpinConfiguration(positions, 10 * np.eye(3), np.array([True, True, False]), spins)
        graph = spin_graph(config, 1.0, torch.float64)
        neighbours = neighbourhood(graph, graph.positions)
        terms, gradient = model.compiled(neighbours, model.couplings(neighbours))(graph.spins)
        close(terms, model.site_terms(graph.spins, neighbours, model.couplings(neighbours)), torch.float64)
        assert not gradient.any()
