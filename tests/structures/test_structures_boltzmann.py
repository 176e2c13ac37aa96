"""Boltzmann samples of Heisenberg models against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from mhipnn.configuration import SpinConfiguration
from mhipnn.errors import InputError
from mhipnn.structures import (
    BoltzmannSpins,
    Crystal,
    Exchange,
    ExponentialExchange,
    RandomSites,
    ShellExchange,
    SpinSampler,
    random_spins,
)

NEAREST = ShellExchange([1.0], [1.0], 0.1)


def langevin(x):
    return 1 / np.tanh(x) - 1 / x


def samples(sites, temperature, exchange=NEAREST, n=2000, seed=0, **arguments):
    sampler = BoltzmannSpins(temperature, exchange, n, **{"equilibration": 100, "decorrelation": 3} | arguments)
    states = sampler.sample(sites, None, np.random.default_rng(seed))
    assert len(states) == n
    assert {time for time, _ in states} == {-1.0}
    return sampler, np.array([spins for _, spins in states])


@pytest.mark.parametrize("J", [1.0, -1.0])
@pytest.mark.parametrize("temperature", [0.05, 0.5, 3.0])
def test_open_chain_has_the_energy_of_its_bonds(J, temperature):
    """u = -|J| L(|J|/kT) for every bond of an open chain (M. E. Fisher, Am. J. Phys. 32, 343 (1964))."""
    sites = Crystal("chain", 12, pbc=False).sites
    sampler, states = samples(sites, temperature, ShellExchange([J], [1.0], 0.1))
    bonds = (states[:, :-1] * states[:, 1:]).sum(-1)
    u = np.sign(J) * langevin(abs(J) / temperature)
    assert bonds.mean() == pytest.approx(u, abs=4 * bonds.std() / np.sqrt(bonds.size / 4))
    # correlations decay by the same factor at every step
    second = (states[:, :-2] * states[:, 2:]).sum(-1)
    assert second.mean() == pytest.approx(u**2, abs=0.02)
    energies = [sampler.energy(sites, spins) for spins in states]
    assert np.mean(energies) == pytest.approx(-11 * J * bonds.mean(), rel=1e-9)


def test_one_pair_has_the_whole_distribution_of_its_angle():
    sites = Crystal("chain", 2, pbc=False).sites
    _, states = samples(sites, 0.7, n=20_000)
    cosine = (states[:, 0] * states[:, 1]).sum(-1)
    edges = np.linspace(-1, 1, 9)
    weights = np.exp(edges / 0.7)
    expected = np.diff(weights) / (weights[-1] - weights[0])
    counts = np.histogram(cosine, edges)[0]
    assert np.abs(counts / 20_000 - expected).max() < 0.01
    assert np.abs(states.mean(0)).max() < 0.03  # no direction is preferred


def test_every_image_of_a_neighbour_counts():
    """Two sites on a ring of length 2 are neighbours twice: the pair has 2 J."""
    _, states = samples(Crystal("chain", 2).sites, 1.5)
    assert (states[:, 0] * states[:, 1]).sum(-1).mean() == pytest.approx(langevin(2 / 1.5), abs=0.04)


def test_frustrated_triangle():
    """Three spins, E = -J (m^2 - 3)/2 with the total m: the density of |m| for free unit vectors is known."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(3) / 2, 0]])
    sites = SpinConfiguration(corners, np.eye(3) * 9, False, random_spins(3, np.random.default_rng(0)))
    _, states = samples(sites, 0.4, ShellExchange([-1.0], [1.0], 0.1), n=4000)

    def density(m):  # of a three-step walk: m^2 for m < 1, m (3 - m)/2 up to 3
        return (m * m if m < 1 else m * (3 - m) / 2) * np.exp(-m * m / 0.8)

    norm = sum(quad(density, *limits)[0] for limits in ((0, 1), (1, 3)))
    second = sum(quad(lambda m: m * m * density(m), *limits)[0] for limits in ((0, 1), (1, 3)))
    measured = (states.sum(1) ** 2).sum(-1)
    assert measured.mean() == pytest.approx(second / norm, abs=4 * measured.std() / np.sqrt(2000))


def test_infinite_and_low_temperature():
    sites = RandomSites(30).sample(np.random.default_rng(1))
    sampler, hot = samples(sites, 1e9, ExponentialExchange(), n=300)
    assert np.abs([sampler.energy(sites, spins) for spins in hot]).mean() < 20
    sampler, cold = samples(sites, 1e-4, ExponentialExchange(), n=2)
    assert np.allclose(cold @ cold.transpose(0, 2, 1), 1, atol=0.01)  # ferromagnetic at every distance


def test_energy_is_the_double_sum():
    sites = RandomSites(12, r_min=0.5).sample(np.random.default_rng(3))
    exchange = ExponentialExchange(J=-0.7, xi=0.4)
    total = 0.0
    for i in range(12):
        for j in range(12):
            for m in range(-2, 3):
                for n in range(-2, 3):
                    r = np.linalg.norm(sites.positions[j] - sites.positions[i] + m * sites.cell[0] + n * sites.cell[1])
                    if i != j and r < 2.5:
                        fade = np.cos(np.pi / 2 * (r - 1.5)) ** 2 if r > 1.5 else 1.0
                        total += 0.5 * 0.7 * np.exp(-(r - 1) / 0.4) * fade * (sites.spins[i] @ sites.spins[j])
    assert BoltzmannSpins(1.0, exchange).energy(sites, sites.spins) == pytest.approx(total, rel=1e-12)


def test_samples_are_reproducible_and_of_unit_length():
    sites = Crystal("square", 4).sites
    sampler = BoltzmannSpins(0.3, NEAREST, n=3, every=2)
    assert isinstance(sampler, SpinSampler)
    one, two = (sampler.sample(sites, None, np.random.default_rng(9)) for _ in range(2))
    assert all((a == b).all() for (_, a), (_, b) in zip(one, two, strict=True))
    assert np.allclose(np.linalg.norm([spins for _, spins in one], axis=-1), 1, atol=1e-15)
    lone = Crystal("chain", 1).sites
    assert len(sampler.sample(lone, None, np.random.default_rng(0))) == 3


def test_shells_pick_their_distances():
    exchange = ShellExchange([1.0, -0.5], [1.0, 2.0], 0.1)
    assert isinstance(exchange, Exchange)
    assert exchange.r_cut == pytest.approx(2.1)
    assert exchange(np.array([0.95, 1.0, 1.2, 1.95, 2.09])).tolist() == [1.0, 1.0, 0.0, -0.5, -0.5]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: BoltzmannSpins(0.0), "temperature: expected a number > 0"),
        (lambda: BoltzmannSpins(1.0, n=0), "BoltzmannSpins.n: expected an integer"),
        (lambda: BoltzmannSpins(1.0, equilibration=0), "equilibration"),
        (lambda: BoltzmannSpins(1.0, exchange=1.0), "expected a J"),
        (lambda: ExponentialExchange(xi=0.0), "xi"),
        (lambda: ExponentialExchange(J=float("nan")), "J, r0"),
        (lambda: ExponentialExchange(r_cut=1.0), "beyond r_on"),
        (lambda: ShellExchange([1.0, 2.0], [1.0]), "J: expected 1"),
        (lambda: ShellExchange([1.0, 2.0], [1.0, 1.1]), "further apart"),
        (lambda: ShellExchange([], []), "one length a shell"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(InputError, match=says):
        make()
