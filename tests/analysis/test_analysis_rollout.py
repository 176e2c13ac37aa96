"""Two potentials on one quench."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mhipnn import SDModel
from mhipnn.analysis import compare_rollouts
from mhipnn.analysis.rollout import turned, turned_starts
from mhipnn.dynamics import Quench
from mhipnn.structures import RandomSites

EXACT = SDModel(J=3.0, filling=1.0, temperature=0.05)
QUENCH = Quench(6.0, 0.5, 0.1, 0.05, record_every=3)


def configurations():
    return [RandomSites(16, 2).sample(np.random.default_rng(seed)) for seed in range(3)]


@pytest.fixture(scope="module")
def other():
    return compare_rollouts(EXACT, SDModel(J=2.0, filling=1.0, temperature=0.05), configurations(), QUENCH, [1, 2, 3])


def test_a_potential_agrees_with_itself():
    calls = []
    same = compare_rollouts(
        EXACT, EXACT, configurations(), QUENCH, [1, 2, 3], progress=lambda *call: calls.append(call)
    )
    summary = same.summary()
    assert summary["within_1_error"] == summary["within_2_errors"] == summary["within_2_combined_errors"] == 1
    assert summary["torque_r2"] == summary["own_path_torque_r2"] == summary["own_path_torque_r2_min"] == 1
    for name in ("max_correlation_deviation", "max_energy_deviation_per_site", "final_spin_rms_deviation"):
        assert summary[name] == 0
    assert calls[0] == ("exact", 1, 12)
    assert calls[-1] == ("learned", 12, 12)


def test_both_torques_are_taken_at_the_exact_states(other):
    learned = SDModel(J=2.0, filling=1.0, temperature=0.05)
    config = configurations()[1]
    state = config.with_spins(other.exact.spins[3, 1])
    np.testing.assert_allclose(other.torques[3, 1], EXACT.evaluate(state).torque, atol=1e-10)
    np.testing.assert_allclose(other.learned_torques[3, 1], learned.evaluate(state).torque, atol=1e-10)
    error = ((other.torques[3] - other.learned_torques[3]) ** 2).sum()
    variation = ((other.torques[3] - other.torques[3].mean()) ** 2).sum()
    assert other.torque_r2[3] == pytest.approx(1 - error / variation)
    assert other.torque_r2[3] < 0.99


def test_torques_along_the_learned_path(other):
    learned = SDModel(J=2.0, filling=1.0, temperature=0.05)
    state = configurations()[2].with_spins(other.learned.spins[2, 2])
    exact_there, own = (torques[2, 2] for torques in other.own_path)
    np.testing.assert_allclose(exact_there, EXACT.evaluate(state).torque, atol=1e-10)
    np.testing.assert_allclose(own, learned.evaluate(state).torque, atol=1e-10)
    error = other.own_path[0][2] - other.own_path[1][2]
    variation = other.own_path[0][2] - other.own_path[0][2].mean()
    assert other.own_torque_r2[2] == pytest.approx(1 - (error**2).sum() / (variation**2).sum())
    assert other.summary()["own_path_torque_r2_min"] == other.own_torque_r2.min()
    assert not np.array_equal(other.own_torque_r2[1:], other.torque_r2[1:])


def test_the_same_starts_and_the_same_noise(other):
    np.testing.assert_array_equal(other.exact.spins[0], other.learned.spins[0])
    np.testing.assert_array_equal(other.exact.spins, QUENCH.run(EXACT, configurations(), [1, 2, 3]).spins)


def test_deviations_are_those_of_the_means(other):
    summary = other.summary()
    c_exact, c_learned = other.exact_correlation.value.mean(1), other.learned_correlation.value.mean(1)
    assert summary["max_correlation_deviation"] == pytest.approx(np.nanmax(np.abs(c_exact - c_learned)))
    energies = (other.learned.energies.mean(1) - other.exact.energies.mean(1)) / 16
    assert summary["max_energy_deviation_per_site"] == pytest.approx(np.abs(energies).max())
    spins = np.linalg.norm(other.exact.spins[-1] - other.learned.spins[-1], axis=-1)
    assert summary["final_spin_rms_deviation"] == pytest.approx(np.sqrt((spins**2).mean()))


def test_fraction_within_counts_bins_after_the_start_that_have_an_error(other):
    """Made by hand: C_exact = +-1 in three realisations, standard error sqrt(4/3)/sqrt(3) = 2/3 about 1/3."""
    values = np.tile(np.array([1.0, 1.0, -1.0])[None, :, None], (3, 1, 4))
    values[:, :2, 3] = np.nan
    times = np.array([0.0, 1.0, 2.0])
    learned = values.copy()
    learned[0] += 100
    learned[1, :, 0] += 1.30
    learned[1, :, 1] += 1.35
    learned[2, :, 0] -= 1.70
    comparison = replace(
        other,
        exact=replace(other.exact, times=times),
        exact_correlation=replace(other.exact_correlation, value=values),
        learned_correlation=replace(other.learned_correlation, value=learned),
    )
    assert comparison.agreement.fraction_within() == pytest.approx(4 / 6)
    assert comparison.agreement.fraction_within(combined=True) == pytest.approx(6 / 6)
    assert comparison.agreement.fraction_within(n_errors=1.0) == pytest.approx(3 / 6)


def test_turned_spins_keep_their_length_and_leave_by_the_angle():
    rng = np.random.default_rng(3)
    spins = rng.standard_normal((50, 3))
    moved = turned(spins, 0.3, 7)
    length = np.linalg.norm(spins, axis=-1)
    np.testing.assert_allclose(np.linalg.norm(moved, axis=-1), length)
    np.testing.assert_allclose((spins * moved).sum(-1), length**2 * np.cos(0.3))
    np.testing.assert_array_equal(moved, turned(spins, 0.3, 7))
    assert np.abs((np.cross(spins, moved) / length[:, None] ** 2).mean(0)).max() < 0.1  # the axes are random


def test_the_control_is_the_exact_quench_from_turned_spins(other):
    control = turned_starts(other, EXACT, QUENCH, [1, 2, 3], 0.2)
    starts = [
        config.with_spins(turned(config.spins, 0.2, seed))
        for config, seed in zip(configurations(), [1, 2, 3], strict=True)
    ]
    np.testing.assert_array_equal(control.learned.spins, QUENCH.run(EXACT, starts, [1, 2, 3]).spins)
    np.testing.assert_array_equal(control.exact.spins, other.exact.spins)
    assert control.summary()["torque_r2"] == control.summary()["own_path_torque_r2_min"] == 1
    assert 0.1 < control.summary()["final_spin_rms_deviation"] < 2
    assert turned_starts(other, EXACT, QUENCH, [1, 2, 3], 1e-9).summary()["within_1_error"] == 1


def test_the_time_of_agreement_ends_where_the_share_falls(other):
    shares = [other.agreement.fraction_within(1.0, until=t) for t in other.times]
    assert np.isnan(shares[0])
    assert shares[-1] == other.agreement.fraction_within(1.0)
    assert other.agreement.agreement_time(share=0.0) == other.times[-1]
    assert other.agreement.agreement_time(share=1.1) == 0
    share = sorted(set(shares[1:]))[-1]
    assert other.agreement.agreement_time(share) == max(
        t for t, s in zip(other.times, shares, strict=True) if s >= share
    )
