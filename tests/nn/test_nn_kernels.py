"""The compiled kernels against PyTorch, in both precisions, at every size that can occur."""

from __future__ import annotations

import multiprocessing
import os
import threading
import warnings

import numpy as np
import pytest
import torch
from numba import prange
from torch_geometric.data import Batch

from mhipnn.data.graph import spin_graph
from mhipnn.nn import message_blocks
from mhipnn.nn.kernels import compiled, cpu_layer, cpu_message, reference
from mhipnn.nn.message_blocks import message_by_blocks
from mhipnn.nn.message_sum import message_sum
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.mhip_eq import MHIPEQ
from mhipnn.nn.mhip_ts import MHIPTS
from mhipnn.nn.neighbourhood import Neighbourhood, neighbourhood
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.nn.sensitivity import Sensitivity
from mhipnn.nn.spin_correlation import legendre, legendre_of_neighbours
from mhipnn.structures import random_sites
from mhipnn.threads import torch_threads

# sites, sensitivities, invariants, features, slots: the default, odd remainders of every tile, few features, the least
SIZES = [
    (150, 12, 3, 24, 38),
    (140, 5, 2, 33, 9),
    (70, 20, 1, 17, 40),
    (130, 7, 3, 2, 20),
    (3, 1, 1, 1, 1),
    (1, 3, 2, 70, 2),
    (4, 2, 3, 5, 0),
]
CLOSE = {torch.float64: 1e-12, torch.float32: 1e-5}


def random_case(n_sites, n_nu, n_l, n_features, width, dtype=torch.float64, seed=0):
    """s, P, z, cotangents, and neighbours with ragged counts (zero among them)."""
    torch.manual_seed(seed)
    counts = torch.randint(0, width + 1, (n_sites,))
    neighbours = Neighbourhood(
        index=torch.randint(0, n_sites, (n_sites, width)),
        counts=counts,
        distance=torch.rand(n_sites, width, dtype=dtype) + 0.8,
        species=torch.zeros(n_sites, dtype=torch.int64),
    )
    s, P = (torch.randn(n_sites, n, width, dtype=dtype) for n in (n_nu, n_l))
    z, c = torch.randn(n_sites, n_features, dtype=dtype), torch.randn(n_sites, n_nu * n_l, n_features, dtype=dtype)
    return s, P, z, c, neighbours


def close(given, expected, dtype):
    given, expected = given.detach(), expected.detach()
    assert given.shape == expected.shape
    if expected.numel():
        scale = max(float(expected.abs().max()), 1.0)
        assert float((given - expected).abs().max()) <= CLOSE[dtype] * scale


def by_loops(s, P, z, neighbours):
    """The sum as the equation says it."""
    summed = np.zeros((len(s), s.shape[1], P.shape[1], z.shape[1]))
    for i in range(len(s)):
        for k in range(int(neighbours.counts[i])):
            j = int(neighbours.index[i, k])
            summed[i] += np.einsum("n,l,a->nla", s[i, :, k].numpy(), P[i, :, k].numpy(), z[j].numpy())
    return torch.from_numpy(summed.reshape(len(s), -1, z.shape[1]))


@pytest.mark.parametrize("sizes", SIZES)
def test_reference_is_the_equation(sizes):
    s, P, z, _, neighbours = random_case(*sizes)
    close(reference.message_sum(s, P, z, neighbours.index, neighbours.counts), by_loops(s, P, z, neighbours), z.dtype)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize("sizes", SIZES)
def test_message_sum_and_adjoint_equal_the_reference(sizes, dtype, threads):
    s, P, z, c, neighbours = random_case(*sizes, dtype=dtype)
    where = (neighbours.index, neighbours.counts)
    with torch_threads(threads):
        close(cpu_message.message_sum(s, P, z, *where), reference.message_sum(s, P, z, *where), dtype)
        close(cpu_message.message_sum(s, P, z, *where, into=c.clone()),
              reference.message_sum(s, P, z, *where, into=c.clone()), dtype)  # fmt: skip
        for for_s, for_P, for_z in (
            (True, True, True),
            (False, True, True),
            (True, False, False),
            (False, True, False),
        ):
            given, expected = ((torch.ones_like(z) if for_z else None) for _ in range(2))
            results = cpu_message.adjoint(s, P, z, c, *where, for_s, for_P, given)
            wanted = reference.adjoint(s, P, z, c, *where, for_s, for_P, expected)
            for result, want in zip((*results, given), (*wanted, expected), strict=True):
                assert (result is None) == (want is None)
                if want is not None:
                    close(result, want, dtype)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize("sizes", SIZES)
def test_layer_is_the_sum_times_its_weight(sizes, dtype, threads):
    s, P, z, c, neighbours = random_case(*sizes, dtype=dtype)
    where, weight = (neighbours.index, neighbours.counts), torch.randn(7, c[0].numel(), dtype=dtype)
    gradient = torch.randn(len(s), 7, dtype=dtype)
    with torch_threads(threads):
        given, expected = torch.ones_like(z), torch.ones_like(z)
        summed = reference.message_sum(s, P, z, *where).flatten(1)
        close(cpu_layer.message(s, P, z, weight, *where), summed @ weight.t(), dtype)
        results = cpu_layer.adjoint(s, P, z, weight, gradient, *where, True, True, given)
        wanted = reference.adjoint(s, P, z, (gradient @ weight).view_as(c), *where, True, True, expected)
        for result, want in zip((*results, given), (*wanted, expected), strict=True):
            close(result, want, dtype)


def test_message_sum_is_differentiable_twice():
    s, P, z, _, neighbours = random_case(4, 2, 2, 3, 3)
    inputs = [tensor.requires_grad_() for tensor in (s, P, z)]
    assert torch.autograd.gradcheck(lambda *x: message_sum(*x, neighbours), inputs)
    assert torch.autograd.gradgradcheck(lambda *x: message_sum(*x, neighbours), inputs)


def test_blocks_equal_the_whole_for_other_devices(monkeypatch):
    """The code of GPUs walks through blocks; here with PyTorch's kernels."""
    s, P, z, c, neighbours = random_case(23, 3, 2, 5, 6)
    weight = torch.randn(4, c[0].numel(), dtype=z.dtype)
    inputs = [tensor.requires_grad_() for tensor in (s, P, z)]
    expected = message_by_blocks(*inputs, weight, neighbours)
    gradients = torch.autograd.grad(expected.sin().sum(), inputs)
    monkeypatch.setattr(message_blocks, "on_cpu", lambda tensor: False)
    for size in (1, 7, 23, 100):
        blocked = Neighbourhood(neighbours.index, neighbours.counts, neighbours.distance, neighbours.species, size)
        given = message_by_blocks(*inputs, weight, blocked)
        close(given, expected, z.dtype)
        for gradient, want in zip(torch.autograd.grad(given.sin().sum(), inputs), gradients, strict=True):
            close(gradient, want, z.dtype)


@pytest.mark.parametrize("l_max", [0, 1, 2, 5])
def test_legendre_of_neighbours(l_max):
    _, _, _, _, neighbours = random_case(6, 1, 1, 1, 4)
    neighbours.index[2, 0] = 2  # its own image
    neighbours.counts[2] = 4
    spins = torch.randn(6, 3, dtype=torch.float64).requires_grad_()
    dots = (neighbours.gather(spins) * spins[:, None]).sum(-1)
    filled = neighbours.mask[:, None]
    close(legendre_of_neighbours(spins, neighbours, l_max) * filled, legendre(dots, l_max) * filled, torch.float64)
    if l_max:
        assert torch.autograd.gradcheck(lambda x: legendre_of_neighbours(x, neighbours, l_max) * filled, spins)
        assert torch.autograd.gradgradcheck(lambda x: legendre_of_neighbours(x, neighbours, l_max) * filled, spins)


def test_sensitivities_and_their_derivatives():
    _, _, _, _, neighbours = random_case(5, 1, 1, 1, 4)
    layer = Sensitivity(3, cutoff=2.0).double()
    filled, names = neighbours.mask[:, None], [name for name, _ in layer.named_parameters()]

    def values(distance, *parameters):
        moved = Neighbourhood(neighbours.index, neighbours.counts, distance, neighbours.species)
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), moved) * filled

    inputs = [tensor.detach().clone().requires_grad_() for tensor in (neighbours.distance, *layer.parameters())]
    assert torch.autograd.gradcheck(values, inputs)

    def slopes(*x):  # by the distances: what forces are made of, differentiable by all
        weights = torch.linspace(1, 2, values(*x).numel(), dtype=torch.float64).view_as(values(*x))
        return torch.autograd.grad((weights * values(*x)).sum(), x[0], create_graph=True)[0]

    assert torch.autograd.gradcheck(slopes, inputs)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (MHIP, {}),
        (MHIPTS, {"n_vectors": 3}),
        (MHIPEQ, {"n_vectors": 3}),
        (MHIPEQ, {"n_vectors": 2, "shared_mu": True}),
    ],
)
def test_derivatives_for_training_do_not_depend_on_what_is_left_out(kind, options):
    """``fields_only`` drops derivatives by spins of derivatives by spins, and nothing that a parameter needs."""
    torch.manual_seed(0)
    model = kind(cutoff=2.5, n_features=6, n_sensitivities=4, n_onsite=1, **options).in_precision(torch.float64)
    graph = spin_graph(random_sites(20, 2, rng=0), 2.5, torch.float64)
    gradients = []
    for fields_only in (True, False):
        model.zero_grad()
        spins = graph.spins.clone().requires_grad_()
        neighbours = neighbourhood(graph, graph.positions, fields_only=fields_only)
        energy = model.site_terms(spins, neighbours, model.couplings(neighbours)).sum()
        (field,) = torch.autograd.grad(energy, spins, create_graph=True)
        (field.sin().sum() + energy.square()).backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    for given, expected in zip(*gradients, strict=True):
        close(given, expected, torch.float64)


def test_results_do_not_depend_on_the_batch():
    model = MHIP(cutoff=2.5, n_features=6, n_sensitivities=4, n_onsite=1).in_precision(torch.float64).eval()
    graphs = [spin_graph(random_sites(n, 2, rng=n), 2.5, torch.float64) for n in (9, 31, 16)]
    together = model(Batch.from_data_list(graphs), differentiable=False)
    alone = torch.cat([model(graph, differentiable=False).field for graph in graphs])
    close(together.field, alone, torch.float64)


@pytest.mark.parametrize("dtype", list(CLOSE))
def test_frozen_sites_in_another_order_and_the_plain_path_agree(dtype):
    torch.manual_seed(0)
    model = MHIP(cutoff=2.5, n_features=6, n_sensitivities=4, n_onsite=1).in_precision(torch.float64)
    potential, config = NetworkPotential(model, dtype=dtype), random_sites(200, 2, rng=1)
    _, field = potential.prepare([config])(torch.from_numpy(config.spins)[None].to(dtype))
    graph = spin_graph(config, 2.5, dtype)
    close(field[0], model(graph, differentiable=True).field.detach(), dtype)


def test_shares_cover_all_rows_once():
    with torch_threads(3):
        assert compiled.shares(10) == compiled.shares(0) == 1
        assert compiled.shares(1001) == 3
        ends = compiled.ranges(1001)
    assert [row for start, stop in ends for row in range(start, stop)] == list(range(1001))
    assert ends == [compiled.bounds(share, 3, 1001) for share in range(3)]


@compiled.shared_out
def share_of_each_row(out, n_shares):
    for share in prange(n_shares):
        start, stop = compiled.bounds(share, n_shares, len(out))
        for row in range(start, stop):
            out[row] += share + 1


@pytest.mark.parametrize("n_shares", [1, 2, 5])
def test_every_share_runs_once_and_torch_keeps_its_number_of_threads(n_shares):
    out = np.zeros(1001)
    with torch_threads(1):
        share_of_each_row(out, n_shares)
        assert torch.get_num_threads() == 1
    assert set(np.unique(out)) == set(range(1, n_shares + 1))
    assert np.all(np.diff(out) >= 0)


def test_a_share_alone_after_a_fork(monkeypatch):
    """GNU OpenMP ends a process that starts threads after a fork."""
    rows = 10_000
    if hasattr(os, "fork"):
        with torch_threads(2), warnings.catch_warnings():
            share_of_each_row(np.zeros(rows), compiled.shares(rows))
            warnings.simplefilter("ignore")  # Python 3.12 warns of forks of processes with threads: that is the point
            context = multiprocessing.get_context("fork")
            child = context.Process(target=lambda: share_of_each_row(np.zeros(rows), compiled.shares(rows)))
            child.start()
        child.join(20)
        assert child.exitcode == 0
    monkeypatch.setattr(compiled, "_forked", True)
    assert compiled.shares(rows) == 1


def test_calls_in_threads_are_all_made_and_their_errors_raised():
    def seen_by(number, fails=False):
        seen.append((number, threading.get_ident()))
        if fails:
            raise ValueError("no")

    seen = []
    compiled.in_threads(seen_by, [(0,), (1,), (2,)])
    assert sorted(number for number, _ in seen) == [0, 1, 2]
    assert dict(seen)[0] == threading.get_ident()
    with pytest.raises(ValueError, match="no"):
        compiled.in_threads(seen_by, [(0,), (1, True)])
