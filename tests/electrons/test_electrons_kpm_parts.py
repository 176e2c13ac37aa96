"""Parts of the kernel polynomial method against closed forms: expansions, bounds, regions, colours, spectra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array
from scipy.special import expit

from mhipnn import SpinConfiguration
from mhipnn.electrons import SDModel
from mhipnn.electrons.kpm import KPM, chebyshev, spectra
from mhipnn.electrons.kpm.functional import require_inside
from mhipnn.electrons.kpm.potential import spectrum
from mhipnn.electrons.kpm.regions import Balls, colouring, local_regions, probing
from mhipnn.electrons.kpm.spectrum import Band, band, hopping_bounds, spin_length_bound
from mhipnn.errors import ConfigError, InputError, NonFiniteError
from mhipnn.structures import random_sites


def chain(n):
    """Sites at distance 1 on a ring whose only hops are to the neighbours (t = -1); |k> has -2 cos k."""
    sites = np.outer(np.arange(n), [1.0, 0, 0])
    return SpinConfiguration(sites, np.diag([float(n), 9, 9]), (True, False, False), np.tile([0.0, 0, 1], (n, 1)))


class Neighbours:
    """t = -1 at r = 1."""

    r_cut = 1.5

    def __call__(self, r):
        return -(r * 0 + 1)

    def derivative(self, r):
        return r * 0


@given(st.floats(-1.2, 1.2), st.floats(0.03, 1.0), st.floats(0.5, 8.0))
@settings(max_examples=20, deadline=None)
def test_expansions_are_the_functions(mu, kT, half_width):
    order = chebyshev.order_for(kT, half_width, 1e-9)
    x = np.linspace(-1, 1, 101)
    e = 0.3 + half_width * x
    value = np.polynomial.chebyshev.chebval
    f = chebyshev.fermi_expansion(mu, kT, 0.3, half_width, order)
    assert np.abs(value(x, f) - expit((mu - e) / kT)).max() < 1e-8
    omega = chebyshev.grand_potential_expansion(mu, kT, 0.3, half_width, order)
    assert np.abs(value(x, omega) + kT * np.log1p(np.exp((mu - e) / kT))).max() < 1e-8
    # -d/d mu coefficient by coefficient: the electron number belongs to the energy even at low order
    h = 1e-5 * kT
    ends = [chebyshev.grand_potential_expansion(mu + s * h, kT, 0.3, half_width, 20) for s in (1, -1)]
    f = chebyshev.fermi_expansion(mu, kT, 0.3, half_width, 20)
    assert np.abs((ends[1] - ends[0]) / (2 * h) - f).max() < 1e-6


def test_order_follows_temperature_and_bandwidth():
    for kT, half_width in ((0.05, 7.0), (0.2, 7.0), (1.0, 3.0)):
        order = chebyshev.order_for(kT, half_width, 1e-3)
        assert chebyshev.fermi_error(kT, half_width, order) <= 1e-3
        assert chebyshev.fermi_error(kT, half_width, 2 * int(0.45 * order)) > 1e-3
    # the poles at i pi kT: twice the bandwidth, twice the order
    ratio = chebyshev.order_for(0.05, 14.0, 1e-4) / chebyshev.order_for(0.05, 7.0, 1e-4)
    assert ratio == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("order", [4, 10, 50])
def test_quadratic_weights_are_the_series(order):
    c = np.random.default_rng(0).normal(size=order + 1)
    theta = 0.7
    alpha = np.cos(theta * np.arange(order // 2 + 1))
    weights = chebyshev.quadratic_weights(c)
    total = (weights[:, 0] * alpha**2).sum() + (weights[:-1, 1] * alpha[1:] * alpha[:-1]).sum()
    assert weights[-1, 1] == 0
    assert total == pytest.approx((c * np.cos(theta * np.arange(order + 1))).sum(), abs=1e-12)


@pytest.mark.parametrize("n", [30, 200])
def test_bounds_hold_all_levels(n):
    rng = np.random.default_rng(n)
    T = np.where(rng.random((n, n)) < 0.1, rng.normal(size=(n, n)), 0)
    T = T + T.T
    levels = np.linalg.eigvalsh(T)
    low, high = hopping_bounds(csr_array(T))
    assert low < levels[0] < levels[-1] < high
    assert high - low < 1.07 * (levels[-1] - levels[0])
    onsite, h = rng.normal(size=n), rng.normal(size=(n, 3))
    pauli = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
    H = np.kron(T + np.diag(onsite), np.eye(2)).astype(complex)
    for i in range(n):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= np.tensordot(h[i], pauli, 1)
    levels = np.linalg.eigvalsh(H)
    scale = band((low, high), onsite, np.linalg.norm(h, axis=1).max(), 0.1)
    assert np.abs(levels - scale.centre).max() < scale.half_width


def test_bounds_are_steps_in_the_length_of_spins():
    assert spin_length_bound(np.array([[0, 0, 1.0], [0.6, 0.8, 0]])) == spin_length_bound(np.array([[0, 0, 1.005]]))
    assert spin_length_bound(np.array([[0, 0, 1.02]])) == 1.25
    assert hopping_bounds(csr_array(np.zeros((3, 3)))) == (0.0, 0.0)
    with pytest.raises(NonFiniteError, match="levels outside"):
        require_inside(np.array([2.0, 1.0, 5.0]))
    with pytest.raises(NonFiniteError, match="levels outside"):
        require_inside(np.array([2.0, np.nan, 0.0]))


def minimum_image(config):
    """Distances in an orthorhombic cell, (N, N)."""
    length = np.diag(config.cell)
    vector = config.positions[:, None] - config.positions
    vector -= np.where(config.pbc, length * np.round(vector / length), 0)
    return np.linalg.norm(vector, axis=-1)


@pytest.mark.parametrize(("dimension", "radius"), [(2, 2.3), (2, 6.0), (2, 9.0), (3, 1.7), (3, 3.0)])
def test_regions_are_balls(dimension, radius):
    config = random_sites(90, dimension, rng=3)
    near = minimum_image(config) <= radius
    ball = Balls(config, radius)
    for site in range(0, 90, 7):
        assert np.array_equal(ball.union(np.array([site])), np.flatnonzero(near[site]))
    blocks = local_regions(config, radius)
    centres = np.concatenate([block.sites[block.rows] for block in blocks])
    assert np.array_equal(np.sort(centres), np.arange(90))
    for block in blocks:
        assert np.array_equal(block.sites, np.flatnonzero(near[block.sites[block.rows]].any(0)))


@pytest.mark.parametrize("distance", [0.0, 3.0, 40.0])
def test_sites_of_one_colour_are_apart(distance):
    config = random_sites(90, rng=3)
    colours = colouring(config, distance)
    same = (colours[:, None] == colours) & ~np.eye(90, dtype=bool)
    assert minimum_image(config)[same].min(initial=np.inf) > distance
    assert set(colours) == set(range(colours.max() + 1))
    assert colours.max() == {0.0: 0, 40.0: 89}.get(distance, colours.max())
    blocks = probing(config, distance, seed=1)
    assert sum(len(block.rows) for block in blocks) == 90
    assert all((np.abs(block.amplitudes) == 1).all() for block in blocks)
    other = probing(config, distance, seed=2)
    assert not np.allclose(blocks[0].amplitudes, other[0].amplitudes)


def test_moments_of_a_ring():
    # levels -2 cos k of both spins, whatever the band that they are scaled to
    n = 24
    model = SDModel(0.0, 1.0, 0.5, hopping=Neighbours(), solver=KPM(order=60, radius=100.0))
    found = spectrum(model, chain(n))
    levels = -2 * np.cos(2 * np.pi * np.arange(n) / n)
    x = (levels - found.band.centre) / found.band.half_width
    expected = 2 * np.cos(np.arange(61)[:, None] * np.arccos(x)).sum(1)
    assert np.abs(found.moments - expected).max() < 1e-10
    with pytest.raises(InputError, match="solver is 'exact'"):
        spectrum(SDModel(0.0, 1.0, 0.5), chain(n))


@pytest.mark.parametrize("kernel", ["jackson", "lorentz"])
def test_density_of_states_of_a_uniform_band(kernel):
    # levels even in theta have only mu_0: g = 2N/(pi sqrt(a^2 - E^2)), the density of states of a long chain
    moments = np.zeros(200)
    moments[0] = 2.0
    exact = spectra.Spectrum(moments, Band(0.5, 2.0))
    E = np.linspace(-1.4, 2.4, 9)
    assert np.allclose(exact.density_of_states(E, kernel), 2 / (np.pi * np.sqrt(4 - (E - 0.5) ** 2)), rtol=1e-12)
    assert exact.density_of_states([3.0, -5.0], kernel).tolist() == [0.0, 0.0]
    # one level at x0: all weight within a few widths of it, nothing negative
    level = spectra.Spectrum(np.cos(np.arange(200) * np.arccos(0.3)), Band(0.0, 1.0))
    grid = np.linspace(-0.9999, 0.9999, 20001)
    g = level.density_of_states(grid, kernel)
    assert g.min() > -1e-6
    assert grid[g.argmax()] == pytest.approx(0.3, abs=2e-3)
    assert np.trapezoid(g, grid) == pytest.approx(1, abs=2e-3)
    if kernel == "jackson":
        spread = np.sqrt(np.trapezoid(g * (grid - 0.3) ** 2, grid))
        assert spread == pytest.approx(np.pi / 200 * np.sqrt(1 - 0.3**2), rel=0.1)
    with pytest.raises(ConfigError, match="did you mean"):
        level.density_of_states([0.0], kernel + "x")
    with pytest.raises(InputError, match="finite"):
        level.density_of_states([np.nan], kernel)
