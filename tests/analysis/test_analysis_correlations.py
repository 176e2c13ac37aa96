"""C(r), S(q) and A(t, t_w) of states whose answer is known."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn import SpinConfiguration
from mhipnn.analysis import (
    autocorrelation,
    mean_and_error,
    nrmse,
    r_squared,
    shell_average,
    spin_correlation,
    structure_factor,
    trajectory_correlation,
)
from mhipnn.dynamics import Trajectory
from mhipnn.errors import InputError
from mhipnn.structures import RandomSites, random_spins

L = 6


def square(spins_of):
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(L), np.arange(L), indexing="ij"))
    positions = np.stack([x, y, 0 * x], 1).astype(float)
    return SpinConfiguration(positions, np.diag([L, L, 1.0]), (True, True, False), spins_of(x, y))


def at(correlation, r):
    return correlation.value[int(r / 0.2 + 1e-6)]


def constant(x, y):
    return np.tile([0.6, 0.0, 0.8], (len(x), 1))


def neel(x, y):
    return np.outer((-1.0) ** (x + y), [0.0, 0.0, 1.0])


def spiral(x, y, q=2 * np.pi / L):
    return np.stack([np.cos(q * x), np.sin(q * x), 0 * x], 1)


def test_ferromagnet_is_one_everywhere():
    correlation = spin_correlation(square(constant), r_max=4.0, bin_width=0.2)
    full = correlation.count > 0
    np.testing.assert_allclose(correlation.value[full], 1, atol=1e-14)
    assert np.isnan(correlation.value[~full]).all()


def test_neel_state_alternates_and_pairs_are_counted():
    correlation = spin_correlation(square(neel), r_max=3.0, bin_width=0.2)
    for r, value, neighbours in [(1, -1, 4), (np.sqrt(2), 1, 4), (2, 1, 4), (np.sqrt(5), -1, 8), (np.sqrt(8), 1, 4)]:
        number = int(r / 0.2 + 1e-6)
        assert correlation.value[number] == pytest.approx(value)
        assert correlation.count[number] == neighbours * L * L


def test_spiral_of_known_wave_vector():
    q = 2 * np.pi / L
    correlation = spin_correlation(square(spiral), r_max=2.4, bin_width=0.2)
    assert at(correlation, 1.0) == pytest.approx((np.cos(q) + 1) / 2)
    assert at(correlation, np.sqrt(2)) == pytest.approx(np.cos(q))
    assert at(correlation, 2.0) == pytest.approx((np.cos(2 * q) + 1) / 2)
    assert at(correlation, np.sqrt(5)) == pytest.approx((np.cos(q) + np.cos(2 * q)) / 2)


def test_uncorrelated_spins_have_variance_one_third_over_the_number_of_pairs():
    sites = RandomSites(40, 2).sample(np.random.default_rng(0))
    rng = np.random.default_rng(1)
    states = np.stack([random_spins(40, rng) for _ in range(1500)])
    correlation = spin_correlation(sites, states, r_max=3.0)
    pairs = correlation.count / 2
    full = pairs > 0
    np.testing.assert_allclose(correlation.value[:, full].var(0) * 3 * pairs[full], 1, atol=0.15)
    assert np.abs(correlation.value[:, full].mean(0) * np.sqrt(3 * pairs[full] * 1500)).max() < 4


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_against_a_sum_over_images_in_a_skewed_cell_smaller_than_the_range(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag([1.9, 2.2, 1.0]) + np.array([[0, 0, 0], [0.7, 0, 0], [0, 0, 0]])
    positions = rng.uniform(size=(4, 3)) * [1, 1, 0] @ cell
    spins = random_spins(4, rng)
    sums, count = np.zeros(6), np.zeros(6, int)
    for i, j, a, b in itertools.product(range(4), range(4), range(-4, 5), range(-4, 5)):
        distance = np.linalg.norm(positions[j] + a * cell[0] + b * cell[1] - positions[i])
        if i != j and distance < 3.0:
            sums[int(distance / 0.5)] += spins[i] @ spins[j]
            count[int(distance / 0.5)] += 1
    config = SpinConfiguration(positions, cell, (True, True, False), spins)
    correlation = spin_correlation(config, r_max=3.0, bin_width=0.5)
    np.testing.assert_array_equal(correlation.count, count)
    np.testing.assert_allclose(correlation.value, np.where(count, sums / np.maximum(count, 1), np.nan), atol=1e-12)


def trajectory(configs, spins):
    times = np.arange(len(spins)) * 0.5
    return Trajectory(times, spins, np.zeros(spins.shape[:2]), configs)


def test_trajectory_correlation_is_that_of_every_state():
    rng = np.random.default_rng(3)
    configs = [RandomSites(20, 2).sample(rng) for _ in range(3)]
    spins = np.stack([[random_spins(20, rng) for _ in range(3)] for _ in range(4)])
    every = trajectory_correlation(trajectory(configs, spins))
    assert every.r[-1] + 0.25 <= np.sqrt(20) / 2
    for t, replica in itertools.product(range(4), range(3)):
        one = spin_correlation(configs[replica], spins[t, replica], r_max=2.0)
        np.testing.assert_allclose(every.value[t, replica], one.value, atol=1e-14)
        np.testing.assert_array_equal(every.count[replica], one.count)


def test_mean_and_standard_error_skip_realisations_without_pairs():
    values = np.random.default_rng(4).normal(size=(5, 7, 3))
    values[0, 2, 1] = np.nan
    values[1, 1:, 2] = np.nan
    values[2, :, 0] = np.nan
    mean, error, n = mean_and_error(values, axis=1)
    kept = np.delete(values[0, :, 1], 2)
    assert mean[0, 1] == pytest.approx(kept.mean())
    assert error[0, 1] == pytest.approx(kept.std(ddof=1) / np.sqrt(6))
    assert error[4, 0] == pytest.approx(values[4, :, 0].std(ddof=1) / np.sqrt(7))
    assert (n[0, 1], n[1, 2], n[2, 0]) == (6, 1, 0)
    assert mean[1, 2] == values[1, 0, 2]
    assert np.isnan(error[1, 2])
    assert np.isnan(mean[2, 0])


def test_autocorrelation_of_a_turning_magnet():
    config = square(constant)
    angle = 0.3 * np.arange(8)
    turning = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)[:, None, None, :].repeat(L * L, axis=2)
    run = trajectory([config], turning)
    times, values = autocorrelation(run, waiting_time=1.1)
    np.testing.assert_allclose(times, 0.5 * np.arange(6))
    np.testing.assert_allclose(values[:, 0], np.cos(0.6 * times), atol=1e-14)
    with pytest.raises(InputError, match=r"t_w = 9"):
        autocorrelation(run, 9.0)


def test_structure_factor_of_a_spiral_sits_on_its_wave_vector():
    q, values = structure_factor(square(spiral), q_max=3.0)
    peak = np.linalg.norm(np.abs(q) - [2 * np.pi / L, 0, 0], axis=1) < 1e-9
    assert peak.sum() == 2
    np.testing.assert_allclose(values[peak], L * L / 2)
    np.testing.assert_allclose(values[~peak], 0, atol=1e-12)


def test_structure_factor_is_the_double_sum_on_the_allowed_q():
    sites = RandomSites(15, 2).sample(np.random.default_rng(5))
    q, values = structure_factor(sites, q_max=4.0)
    turns = q @ sites.cell.T / (2 * np.pi)
    np.testing.assert_allclose(turns[:, :2], np.round(turns[:, :2]), atol=1e-12)
    assert len(q) == sum(
        np.hypot(m, n) * 2 * np.pi / np.sqrt(15) <= 4 for m, n in itertools.product(range(-5, 6), repeat=2)
    )
    difference = sites.positions[:, None] - sites.positions[None]
    double = np.einsum("ia,ja,ijq->q", sites.spins, sites.spins, np.exp(-1j * difference @ q.T)) / 15
    np.testing.assert_allclose(values, double.real, atol=1e-11)
    shells, average = shell_average(q, values, 1.0)
    inside = (np.linalg.norm(q, axis=1) >= 1) & (np.linalg.norm(q, axis=1) < 2)
    assert average[shells == 1.5] == pytest.approx(values[inside].mean())


def test_parity_numbers():
    y = np.array([[1.0, 2.0], [3.0, 6.0]])
    assert r_squared(y, y) == 1
    assert r_squared(y, y + 1) == pytest.approx(1 - 4 / 14)
    assert nrmse(y, y + 1) == pytest.approx(1 / np.sqrt(50 / 4))
    assert np.isnan(r_squared(np.ones(3), np.ones(3)))
    with pytest.raises(InputError, match="shapes"):
        r_squared(y, y[0])


def test_bad_input_is_refused():
    config = square(neel)
    with pytest.raises(InputError, match="must be positive"):
        spin_correlation(config, r_max=2.0, bin_width=0.0)
    with pytest.raises(InputError, match="must be positive"):
        spin_correlation(config, r_max=0.1, bin_width=0.5)
    with pytest.raises(InputError, match=r"need \(\.\.\., 36, 3\)"):
        spin_correlation(config, np.zeros((35, 3)))
