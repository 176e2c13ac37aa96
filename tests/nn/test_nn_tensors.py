"""Tensor messages: angular functions against scipy, sums against loops, and what they let a site see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import eval_legendre

from mhipnn import SpinConfiguration
from mhipnn.data.graph import spin_graph
from mhipnn.errors import ConfigError
from mhipnn.nn.harmonics import MAX_RANK, harmonics, traceless
from mhipnn.nn.kernels import cpu_channels, cpu_gram, reference_channels, reference_gram
from mhipnn.nn.message_sum import channel_sum
from mhipnn.nn.mhip_eq import MHIPEQ
from mhipnn.nn.mhip_ts import MHIPTS
from mhipnn.nn.neighbourhood import Neighbourhood
from mhipnn.nn.pair_products import pair_products
from mhipnn.threads import torch_threads

# sites, channels, components, angular functions, slots
SIZES = [
    (150, 8, 4, 5, 34),
    (90, 7, 4, 3, 9),
    (70, 17, 9, 7, 20),
    (10, 3, 1, 1, 1),
    (5, 4, 4, 1, 0),
    (66, 33, 4, 9, 28),
]
CLOSE = {torch.float64: 1e-12, torch.float32: 2e-5}
MODELS = {"ts": MHIPTS, "eq": MHIPEQ}


def unit_vectors(n, seed=0):
    v = np.random.default_rng(seed).normal(size=(n, 3))
    return torch.from_numpy(v / np.linalg.norm(v, axis=1, keepdims=True))


def random_case(n_sites, n_channels, n_components, n_angular, width, dtype=torch.float64):
    torch.manual_seed(0)
    index, counts = torch.randint(0, n_sites, (n_sites, width)), torch.randint(0, width + 1, (n_sites,))
    neighbours = Neighbourhood(index, counts, torch.ones(n_sites, width, dtype=dtype), torch.zeros(n_sites).long())
    shapes = (n_sites, width, n_channels), (n_sites, n_angular, width), (n_sites, n_components * n_channels)
    return *(torch.randn(shape, dtype=dtype) for shape in shapes), neighbours


def close(given, expected, dtype):
    scale = max(float(expected.abs().max()), 1.0) if expected.numel() else 1.0
    torch.testing.assert_close(given, expected, rtol=0, atol=CLOSE[dtype] * scale)


def test_products_of_angular_functions_are_legendre_polynomials():
    u, v = unit_vectors(40, 1), unit_vectors(40, 2)
    for order, (a, b) in enumerate(zip(harmonics(u, MAX_RANK), harmonics(v, MAX_RANK), strict=True), 1):
        assert a.shape == (40, 2 * order + 1)
        expected = eval_legendre(order, (u * v).sum(-1).numpy())
        np.testing.assert_allclose((a * b).sum(-1).numpy(), expected, atol=1e-14)
        assert (harmonics(0 * u, MAX_RANK)[order - 1] == 0).all()


def test_angular_functions_are_orthogonal():
    """Over the sphere, by an exact quadrature: <Y_lm Y_l'm'> = delta / (2 l + 1)."""
    x, weight = np.polynomial.legendre.leggauss(8)
    phi = np.arange(16) * np.pi / 8
    s = np.sqrt(1 - x**2)
    u = np.stack([np.outer(s, np.cos(phi)), np.outer(s, np.sin(phi)), np.outer(x, np.ones(16))], -1).reshape(-1, 3)
    every = torch.cat(harmonics(torch.from_numpy(u), MAX_RANK), 1).numpy()
    overlap = every.T @ (np.repeat(weight / 32, 16)[:, None] * every)
    np.testing.assert_allclose(overlap, np.diag([1 / 3] * 3 + [1 / 5] * 5 + [1 / 7] * 7), atol=1e-14)


def test_the_traceless_tensor_of_any_vector():
    v = torch.from_numpy(np.random.default_rng(0).normal(size=(9, 3)))
    norm = v.square().sum(-1)
    np.testing.assert_allclose(traceless(v).square().sum(-1), norm**2, rtol=1e-13)


@pytest.mark.parametrize("sizes", SIZES)
def test_the_reference_is_the_equation(sizes):
    R, Y, w, neighbours = random_case(*sizes)
    expected = torch.zeros(len(R), Y.shape[1], w.shape[1], dtype=w.dtype)
    for i in range(len(R)):
        for k in range(int(neighbours.counts[i])):
            sent = w[neighbours.index[i, k]].view(-1, R.shape[2])
            expected[i] += torch.einsum("m,c,qc->mqc", Y[i, :, k], R[i, k], sent).flatten(1)
    close(reference_channels.message_sum(R, Y, w, neighbours.index, neighbours.counts), expected, w.dtype)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize("sizes", SIZES)
def test_compiled_channel_sum_and_adjoint_equal_the_reference(sizes, dtype, threads):
    R, Y, w, neighbours = random_case(*sizes, dtype=dtype)
    where, c = (neighbours.index, neighbours.counts), torch.randn(len(R), Y.shape[1], w.shape[1], dtype=dtype)
    with torch_threads(threads):
        expected = reference_channels.message_sum(R, Y, w, *where)
        close(cpu_channels.message_sum(R, Y, w, *where), expected, dtype)
        close(cpu_channels.message_sum(R, Y, w, *where, into=c.clone()), expected + c, dtype)
        for for_R, for_Y, for_w in ((True, True, True), (False, True, False), (True, False, False)):
            given, wanted = ((torch.ones_like(w) if for_w else None) for _ in range(2))
            results = cpu_channels.adjoint(R, Y, w, c, *where, for_R, for_Y, given)
            expecteds = reference_channels.adjoint(R, Y, w, c, *where, for_R, for_Y, wanted)
            for result, want in zip((*results, given), (*expecteds, wanted), strict=True):
                assert (result is None) == (want is None)
                if want is not None:
                    close(result, want, dtype)


def test_channel_sum_is_differentiable_twice():
    R, Y, w, neighbours = random_case(4, 2, 2, 3, 3)
    inputs = [tensor.requires_grad_() for tensor in (R, Y, w)]
    assert torch.autograd.gradcheck(lambda *x: channel_sum(*x, neighbours), inputs)
    assert torch.autograd.gradgradcheck(lambda *x: channel_sum(*x, neighbours), inputs)


def corner(angle, spins):
    """Site 0 between two others at distance 1, too far from each other to be neighbours."""
    positions = np.array([[0, 0, 0], [1, 0, 0], [np.cos(angle), np.sin(angle), 0]], float)
    return SpinConfiguration(positions, np.eye(3) * 9, [False] * 3, np.asarray(spins, float))


def site_energy(model, config):
    return model(spin_graph(config, model.cutoff, torch.float64), differentiable=False).site_energy[0].item()


@pytest.mark.parametrize("rank", [0, 1, 2])
def test_what_one_layer_sees_of_two_neighbours(rank):
    """The angle between their spins always, the angle between their bonds from rank 1 on."""
    torch.manual_seed(1)
    model = MHIPTS(cutoff=1.3, n_features=5, n_interactions=1, n_sensitivities=3, n_vectors=3, bond_rank=rank)
    model = model.in_precision(torch.float64).eval()
    x, y, z = np.eye(3)
    straight, bent = corner(np.pi, [z, x, y]), corner(2.0, [z, x, y])
    alike = corner(np.pi, [z, x, x])  # each neighbour's angle with the central spin is what it was
    assert abs(site_energy(model, straight) - site_energy(model, alike)) > 1e-6
    assert (abs(site_energy(model, straight) - site_energy(model, bent)) > 1e-6) == (rank > 0)


@pytest.mark.parametrize("name", list(MODELS))
def test_hidden_vectors_know_the_spins_at_both_ends_of_a_chain(name):
    """1 - 0 - 2 - 3 in two layers without scalar messages of spins: site 0 knows S_1.S_3 only by hidden vectors."""
    torch.manual_seed(2)
    model = MODELS[name](
        cutoff=1.3, n_features=5, n_interactions=2, n_sensitivities=3, n_vectors=3, bond_rank=0, l_max=0
    )
    model = model.in_precision(torch.float64).eval()
    positions = np.array([[0, 0, 0], [-1, 0, 0], [1, 0, 0], [2, 0, 0]], float)
    x, y, z = np.eye(3)
    energies = []
    for last in (y, -y):  # S_2 = z is perpendicular to both, S_1 = y is not
        config = SpinConfiguration(positions, np.eye(3) * 9, [False] * 3, np.stack([x, y, z, last]))
        energies.append(site_energy(model, config))
    assert (abs(energies[0] - energies[1]) > 1e-9) == (name == "eq")


@pytest.mark.parametrize("changes", [dict(n_vectors=0), dict(spin_rank=3), dict(spin_rank=0), dict(bond_rank=4)])
def test_impossible_tensors_are_refused(changes):
    with pytest.raises(ConfigError, match=next(iter(changes))):
        MHIPTS(**changes)


@pytest.mark.parametrize("changes", [dict(n_carried=0), dict(n_interactions=1)])
def test_impossible_hidden_vectors_are_refused(changes):
    with pytest.raises(ConfigError, match="mhip_eq"):
        MHIPEQ(**changes)


@pytest.mark.parametrize("dtype", list(CLOSE))
@pytest.mark.parametrize("sizes", [(40, 5, 16), (7, 1, 9), (3, 15, 1), (0, 3, 4)])
def test_pair_products_are_the_upper_triangle(sizes, dtype):
    torch.manual_seed(0)
    X, Y = torch.randn(sizes, dtype=dtype), torch.randn(sizes, dtype=dtype)
    upper = np.triu_indices(sizes[2])
    full = np.einsum("nma,nmb->nab", X.numpy(), Y.numpy())
    symmetric = torch.from_numpy((full + full.transpose(0, 2, 1))[:, upper[0], upper[1]] / 2)
    for kernels in (cpu_gram, reference_gram):
        close(kernels.gram(X, Y), symmetric, dtype)
    close(pair_products(X), reference_gram.gram(X, X), dtype)
    c = torch.randn(len(X), len(upper[0]), dtype=dtype)
    close(cpu_gram.adjoint(X, c), reference_gram.adjoint(X, c), dtype)


def test_pair_products_are_differentiable_twice():
    X = torch.randn(3, 2, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(pair_products, X)
    assert torch.autograd.gradgradcheck(pair_products, X)
