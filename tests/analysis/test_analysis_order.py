"""Correlation lengths, glass overlaps, aging and relaxation against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from mhipnn.analysis.aging import TwoTime, aging_exponent, collapse_spread, two_time_correlation, waiting_times
from mhipnn.analysis.correlation_length import decay_length, first_zero, second_moment_length, shell_width_length
from mhipnn.analysis.correlations import spin_correlation
from mhipnn.analysis.glass import (
    common_disorder,
    edwards_anderson,
    overlap_square,
    overlap_tensor,
    spin_glass_susceptibility,
)
from mhipnn.analysis.jackknife import jackknife
from mhipnn.analysis.relaxation import distribution, logarithm, power_law
from mhipnn.analysis.structure_factor import structure_factor
from mhipnn.dynamics import Trajectory
from mhipnn.errors import InputError
from mhipnn.structures import Crystal, RandomSites, random_spins

# --- the classical Heisenberg chain: C(r) = u^r with u = coth K - 1/K --------------------------------------------


def rings(coupling, n_sites, n, sign, rng, sweeps=150):
    """Heat bath of every second spin in turn, (n, n_sites, 3); xi is a few sites, and so is the time to forget."""
    spins = random_spins(n * n_sites, rng).reshape(n, n_sites, 3)
    for half in range(2 * sweeps):
        field = coupling * (np.roll(spins, 1, 1) + np.roll(spins, -1, 1))[:, half % 2 :: 2].reshape(-1, 3)
        size = np.linalg.norm(field, axis=1, keepdims=True)
        cosine = 1 + np.log1p(-rng.uniform(size=size.shape) * -np.expm1(-2 * size)) / size
        across = np.cross(field, random_spins(len(field), rng))
        across /= np.linalg.norm(across, axis=1, keepdims=True)
        turned = cosine * field / size + np.sqrt(1 - cosine**2) * across
        spins[:, half % 2 :: 2] = turned.reshape(n, -1, 3)
    return spins * float(sign) ** np.arange(n_sites)[:, None]


@pytest.mark.parametrize("sign", [1, -1], ids=["ferromagnet", "antiferromagnet"])
def test_lengths_of_the_classical_chain(sign):
    """xi = -1/log u from C(r), sqrt(u)/(1 - u) from the second moment, which Ornstein and Zernike's form gives."""
    coupling, n_sites, n = 3.0, 40, 300
    u = 1 / np.tanh(coupling) - 1 / coupling
    config = Crystal("chain", [n_sites]).sample(np.random.default_rng(0))
    states = rings(coupling, n_sites, n, sign, np.random.default_rng(3))
    q, values = structure_factor(config, states, q_max=4.0)
    length = jackknife(lambda rows: second_moment_length(q, rows.mean(0)), values)
    assert length.error < 0.06 * length.value
    assert length.value == pytest.approx(np.sqrt(u) / (1 - u), abs=4 * length.error)
    correlation = spin_correlation(config, states, r_max=4.0, bin_width=0.5)
    full = correlation.count > 0
    r = np.round(correlation.r[full] - 0.25)
    np.testing.assert_array_equal(r, [1, 2, 3])
    decay = jackknife(lambda rows: decay_length(r, rows.mean(0)), correlation.value[:, full])
    assert decay.value == pytest.approx(-1 / np.log(u), abs=4 * decay.error)
    assert decay.error < 0.03 * decay.value


def test_lengths_of_exact_curves():
    r = np.arange(0.25, 6, 0.5)
    assert decay_length(r, 0.7 * np.exp(-r / 1.7) * (-1) ** np.arange(len(r))) == pytest.approx(1.7)
    noisy = np.exp(-r / 1.7)
    noisy[-3:] = 0.02  # noise far above the curve, within its errors
    assert decay_length(r, noisy, np.full(len(r), 0.011)) == pytest.approx(1.7)
    assert np.isnan(decay_length(r, np.exp(r)))
    assert first_zero(r, np.where(r == 1.25, np.nan, 2.0 - r)) == pytest.approx(2.0)
    assert first_zero(np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, -1.0])) == 2.0
    assert np.isnan(first_zero(r, np.ones(len(r))))
    q = np.linspace(0.3, 6, 20)
    assert shell_width_length(q, 3 / (1 + 2.5**2 * (q - q[7]) ** 2)) == pytest.approx(2.5)
    plane = np.stack(np.meshgrid(*[np.arange(-5, 6) * 0.4] * 2), -1).reshape(-1, 2)
    plane = np.concatenate([plane, np.zeros((121, 1))], 1)
    away = plane - [0.8, -0.4, 0]
    assert second_moment_length(plane, 5 / (1 + 1.3**2 * (away**2).sum(1)), 0) == pytest.approx(1.3)
    k2 = (4 * np.sin(away / 2) ** 2).sum(1)
    assert second_moment_length(plane, 5 / (1 + 1.3**2 * k2)) == pytest.approx(1.3)
    assert second_moment_length(plane, np.ones(121)) < 1e-6
    with pytest.raises(InputError, match="two wave vectors"):
        second_moment_length(plane[:1], np.ones(1))


def test_the_jackknife_of_a_mean_is_its_standard_error():
    samples = np.random.default_rng(0).normal(size=12)
    value, error = jackknife(np.mean, samples)
    assert value == pytest.approx(samples.mean())
    assert error == pytest.approx(samples.std(ddof=1) / np.sqrt(12))
    assert np.isnan(jackknife(np.mean, samples[:1]).error)


# --- glass ------------------------------------------------------------------------------------------------------


def rotation(rng):
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return q * np.sign(np.linalg.det(q))


def test_overlaps_of_random_spins_have_their_exact_mean():
    """E sum_ab (q^ab)^2 = 9 N (1/9)/N^2 = 1/N, so chi_SG = 1."""
    rng = np.random.default_rng(0)
    n, pairs = 7, 6000
    states = random_spins(2 * pairs * n, rng).reshape(2, pairs, n, 3)
    squares = overlap_square(*states)
    assert squares.mean() == pytest.approx(1 / n, abs=4 * squares.std() / np.sqrt(pairs))
    chi = spin_glass_susceptibility(np.moveaxis(states, 0, 1), [[0, 1]])
    assert chi.mean.mean() == pytest.approx(1, abs=4 * n * squares.std() / np.sqrt(pairs))
    assert np.isnan(chi.error).all()


def test_overlaps_do_not_see_rotations_and_count_the_directions():
    rng = np.random.default_rng(1)
    spins = random_spins(3000, rng)
    turned = spins @ rotation(rng).T
    assert overlap_square(spins, turned) == pytest.approx(overlap_square(spins, spins))
    assert overlap_square(spins, turned) == pytest.approx(1 / 3, abs=0.01)
    line = np.outer(rng.choice([-1.0, 1.0], 50), [0, 0.6, 0.8])
    assert overlap_square(line, line @ rotation(rng).T) == pytest.approx(1)
    angle = np.arange(48) * 2 * np.pi / 48
    plane = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)
    assert overlap_square(plane, plane) == pytest.approx(1 / 2)
    tensor = overlap_tensor(np.array([[1.0, 0, 0]]), np.array([[0, 1.0, 0]]))
    np.testing.assert_array_equal(tensor, [[0, 1, 0], [0, 0, 0], [0, 0, 0]])


def test_frozen_spins_and_free_ones():
    rng = np.random.default_rng(2)
    frozen = np.tile(random_spins(40, rng), (10, 2, 1, 1))
    np.testing.assert_allclose(edwards_anderson(frozen), [1, 1])
    free = random_spins(25 * 2 * 4000, rng).reshape(25, 2, 4000, 3)
    np.testing.assert_allclose(edwards_anderson(free), 1 / 25, rtol=0.05)


def test_replicas_are_grouped_by_their_disorder():
    a, b = (RandomSites(10, 2).sample(np.random.default_rng(seed)) for seed in (0, 1))
    again = a.with_spins(b.spins)
    assert common_disorder([a, b, again, b, a]) == [[0, 2, 4], [1, 3]]
    assert common_disorder([a, b]) == []
    rng = np.random.default_rng(5)
    spins = random_spins(5 * 10, rng).reshape(5, 10, 3)
    chi = spin_glass_susceptibility(spins, [[0, 2, 4], [1, 3]])
    one = 10 * np.mean([overlap_square(spins[i], spins[j]) for i, j in ((0, 2), (0, 4), (2, 4))])
    two = 10 * overlap_square(spins[1], spins[3])
    assert chi.mean == pytest.approx((one + two) / 2)
    assert chi.error == pytest.approx(abs(one - two) / 2)
    with pytest.raises(InputError, match="no two replicas share"):
        spin_glass_susceptibility(spins, [])


# --- aging and relaxation ---------------------------------------------------------------------------------------


def aged(mu):
    """Curves f(t/t_w^mu) with f(x) = 1/(1 + x)."""
    lag = np.arange(0, 400.0)
    return [TwoTime(w, lag, np.repeat(1 / (1 + lag / w**mu), 2).reshape(-1, 2)) for w in (4.0, 10.0, 30.0)]


@pytest.mark.parametrize("mu", [0.0, 0.7, 1.0])
def test_curves_collapse_at_their_exponent(mu):
    curves = aged(mu)
    assert collapse_spread(curves, mu) < 2e-3
    assert collapse_spread(curves, 1.3) > 0.03
    assert aging_exponent(curves) == pytest.approx(mu, abs=0.01)


def test_two_times_of_a_turning_magnet():
    config = RandomSites(6, 2).sample(np.random.default_rng(0))
    angle = 0.3 * np.arange(41)
    turning = np.stack([np.cos(angle), np.sin(angle), 0 * angle], 1)[:, None, None, :].repeat(6, axis=2)
    run = Trajectory(0.5 * np.arange(41), turning, np.zeros((41, 1)), [config])
    waits = waiting_times(run.times)
    assert waits[0] == 0.5
    assert waits[-1] == 5.0
    curves = two_time_correlation(run)
    assert [curve.waiting_time for curve in curves] == waits
    for curve in curves:
        np.testing.assert_allclose(curve.value[:, 0], np.cos(0.6 * curve.lag), atol=1e-13)
        assert curve.lag[-1] == pytest.approx(20 - curve.waiting_time)
    with pytest.raises(InputError, match="two waiting times"):
        collapse_spread(curves[:1])
    with pytest.raises(InputError, match="waiting times > 0"):
        collapse_spread(two_time_correlation(run, [0.0, 1.0]))


def test_relaxation_laws_are_found_again():
    t = np.linspace(0, 60, 50)
    with np.errstate(divide="ignore"):
        slow, fast = -1.2 - 0.05 * np.log(t), -1.3 + 0.4 * t ** (-0.62)
    fit = power_law(t, fast)
    np.testing.assert_allclose(fit[:3], [-1.3, 0.4, 0.62], rtol=1e-4)
    assert fit.rms < 1e-6
    fit = logarithm(t, slow)
    np.testing.assert_allclose(fit[:2], [-1.2, 0.05], rtol=1e-9)
    assert fit.rms < 1e-12
    with pytest.raises(InputError, match="4 instants after t = 0"):
        power_law(t[:4], fast[:4])


def test_the_distribution_of_the_torque_of_random_spins():
    """|S x B| = sin(theta) of a unit field: density s/sqrt(1 - s^2)."""
    rng = np.random.default_rng(0)
    torque = np.linalg.norm(np.cross(random_spins(64000, rng), [0, 0, 1.0]), axis=1).reshape(16, 4000)
    found = distribution(torque, 20, (0.0, 1.0))
    assert (found.density * np.diff(found.edges)).sum() == pytest.approx(1)
    wanted = -np.diff(np.sqrt(1 - found.edges**2)) / np.diff(found.edges)
    assert np.abs((found.density - wanted) / found.error).max() < 5
    assert found.middles[0] == pytest.approx(0.025)
    with pytest.raises(InputError, match="no width"):
        distribution(np.zeros((2, 3)))
