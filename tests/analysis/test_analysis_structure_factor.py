"""S(q) of states whose answer is known: order, noise with its exact variance, the sum rule, any cell."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn import SpinConfiguration
from mhipnn.analysis import shell_average, structure_factor
from mhipnn.analysis.structure_factor import allowed_waves, on_grid, spin_amplitudes, structure_factor_at
from mhipnn.errors import InputError
from mhipnn.structures import Crystal, RandomSites, random_spins


def crystal(name, cells, seed=0):
    return Crystal(name, cells).sample(np.random.default_rng(seed))


def zone(cells):
    """One representative of every q of the Brillouin zone of a Bravais lattice of this many cells."""
    counts = [*cells, *([1] * (3 - len(cells)))]
    return np.array(list(itertools.product(*(range(n) for n in counts))))


@pytest.mark.parametrize(
    ("name", "cells"), [("chain", [12]), ("square", [6, 5]), ("triangular", [4, 7]), ("cubic", [3, 4, 5])]
)
def test_the_mean_over_the_brillouin_zone_is_the_square_of_a_spin(name, cells):
    sites = crystal(name, cells)
    lengths = np.random.default_rng(1).uniform(0.5, 2, size=(sites.n_sites, 1))
    waves = zone(cells)
    assert structure_factor_at(sites, sites.spins, waves).mean() == pytest.approx(1, abs=1e-12)
    wanted = (lengths**2).mean()
    assert structure_factor_at(sites, sites.spins * lengths, waves).mean() == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize(("name", "cells"), [("square", [6, 6]), ("triangular", [6, 6]), ("cubic", [4, 4, 4])])
def test_ferromagnet_and_spiral_sit_on_their_wave_vectors(name, cells):
    sites = crystal(name, cells)
    n = sites.n_sites
    waves = zone(cells)
    up = np.tile([0.6, 0.0, 0.8], (n, 1))
    np.testing.assert_allclose(structure_factor_at(sites, up, waves), n * (waves == 0).all(1), atol=1e-11)
    wave = np.array([1, 2, 0])
    phase = sites.positions @ np.linalg.inv(sites.cell) @ wave * 2 * np.pi
    spiral = np.stack([np.cos(phase), np.sin(phase), 0 * phase], 1)
    expected = np.zeros(len(waves))
    for q in (wave, -wave):
        expected[((waves - q) % [*cells, *[1] * (3 - len(cells))] == 0).all(1)] = n / 2
    np.testing.assert_allclose(structure_factor_at(sites, spiral, waves), expected, atol=1e-10)


def test_neel_order_is_a_peak_at_the_corner_of_the_zone():
    sites = crystal("square", [6, 6])
    neel = np.outer((-1.0) ** np.round(sites.positions[:, :2].sum(1)), [0, 0, 1.0])
    q, values = structure_factor(sites, neel, q_max=np.pi * 1.5)
    at = np.linalg.norm(np.abs(q) - [np.pi, np.pi, 0], axis=1) < 1e-9
    assert at.sum() == 4
    np.testing.assert_allclose(values[at], 36)
    np.testing.assert_allclose(values[~at], 0, atol=1e-12)


def test_uncorrelated_spins_have_mean_one_and_their_exact_variance():
    """S = 1 + (2/N) sum_{i<j} cos(q.R_ij) S_i.S_j, terms uncorrelated with variance 1/3 cos^2."""
    sites = RandomSites(30, 2).sample(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    states = np.stack([random_spins(30, rng) for _ in range(4000)])
    q, values = structure_factor(sites, states, q_max=3.0)
    difference = (sites.positions[:, None] - sites.positions)[np.triu_indices(30, 1)]
    variance = 4 / 30**2 / 3 * (np.cos(difference @ q.T) ** 2).sum(0)
    assert variance[0] == pytest.approx(2 / 3 * (1 - 1 / 30))
    assert np.abs((values.mean(0) - 1) / np.sqrt(variance / 4000)).max() < 4
    np.testing.assert_allclose(values.var(0) / variance, 1, atol=0.15)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), dimension=st.integers(1, 3))
def test_amplitudes_are_the_plain_sum_in_any_cell(seed, dimension):
    rng = np.random.default_rng(seed)
    cell = np.diag([3.0, 4.0, 5.0]) + rng.uniform(-0.9, 0.9, size=(3, 3))
    config = SpinConfiguration(rng.normal(size=(7, 3)) * 5, cell, np.arange(3) < dimension, random_spins(7, rng))
    waves, q = allowed_waves(config, 4.0)
    np.testing.assert_allclose(q @ cell.T, 2 * np.pi * waves, atol=1e-10)
    assert (waves[:, dimension:] == 0).all()
    # nothing within q_max is left out
    assert len(waves) == sum(
        np.linalg.norm(np.linalg.inv(cell) @ np.array(m) * 2 * np.pi) <= 4.0
        for m in itertools.product(*[range(-9, 10) if a < dimension else [0] for a in range(3)])
    )
    plain = np.exp(-1j * q @ config.positions.T) @ config.spins / np.sqrt(7)
    np.testing.assert_allclose(spin_amplitudes(config, config.spins, waves), plain.T, atol=1e-11)
    two = np.stack([config.spins, -2 * config.spins])
    np.testing.assert_allclose(
        structure_factor_at(config, two, waves), np.outer([1, 4], (np.abs(plain) ** 2).sum(1)), atol=1e-10
    )


def test_the_average_over_shells_does_not_split_a_star():
    sites = crystal("triangular", [6, 6])
    q, values = structure_factor(sites, q_max=7.0)
    width = np.linalg.norm(q[1])
    shells, average = shell_average(q, values, width)
    star = np.isclose(np.linalg.norm(q, axis=1), width)
    assert star.sum() == 6
    inside = (np.linalg.norm(q, axis=1) > width * 0.99) & (np.linalg.norm(q, axis=1) < 1.99 * width)
    assert average[shells == 1.5 * width] == pytest.approx(values[inside].mean())
    assert average[0] == pytest.approx(values[0])


def test_the_map_puts_every_value_at_its_wave_vector():
    sites = crystal("triangular", [5, 4])
    waves, q = allowed_waves(sites, 6.0, square=True)
    assert np.abs(q).max() <= 6.0 + 1e-9
    x, y, picture = on_grid(waves, q, q[:, 0] + 10 * q[:, 1])
    shown = np.isfinite(picture)
    assert shown.sum() == len(q)
    np.testing.assert_allclose(picture[shown], (x + 10 * y)[shown], atol=1e-10)
    with pytest.raises(InputError, match="two periodic directions"):
        on_grid(*allowed_waves(crystal("cubic", [3, 3, 3]), 3.0), np.zeros(1))


def test_bad_requests_are_refused():
    sites = crystal("square", [3, 3])
    for q_max in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="must be a positive number"):
            structure_factor(sites, q_max=q_max)
    with pytest.raises(InputError, match=r"need \(\.\.\., 9, 3\)"):
        structure_factor(sites, np.zeros((8, 3)))
    with pytest.raises(InputError, match="must be positive"):
        shell_average(np.eye(3), np.ones(3), 0.0)
