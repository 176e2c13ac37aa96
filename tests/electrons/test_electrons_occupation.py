"""Filling of levels: the chemical potential, exponential tails, and no overflow anywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn.electrons.occupation import chemical_potential, fermi, grand_potential


def levels_of(*rows):
    return torch.tensor(rows, dtype=torch.float64)


@settings(max_examples=80, deadline=None)
@given(
    st.integers(1, 30),
    st.floats(1e-3, 1 - 1e-3),
    st.floats(1e-3, 10.0),
    st.sampled_from([0.0, 1.0, 40.0]),
    st.integers(0, 10**6),
)
def test_number_is_met(n_sites, fraction, kT, gap, seed):
    rng = np.random.default_rng(seed)
    levels = np.sort(rng.normal(size=(3, 2 * n_sites)) + gap * rng.integers(0, 2, (3, 2 * n_sites)), axis=1)
    levels = torch.tensor(levels)
    n_electrons = fraction * 2 * n_sites
    mu = chemical_potential(levels, n_electrons, kT)
    assert (fermi(levels, mu, kT).sum(1) - n_electrons).abs().max() < 1e-12 * max(1.0, 2 * n_sites / min(1.0, kT))


def test_integer_fillings_of_a_random_batch():
    levels = torch.tensor(np.sort(np.random.default_rng(1).normal(size=(4, 12)), axis=1))
    for n_electrons in range(1, 12):
        mu = chemical_potential(levels, float(n_electrons), 0.05)
        assert (fermi(levels, mu, 0.05).sum(1) - n_electrons).abs().max() < 1e-12
        alone = torch.cat([chemical_potential(row[None], float(n_electrons), 0.05) for row in levels])
        assert (mu - alone).abs().max() < 1e-12


@pytest.mark.parametrize("kT", [1e-3, 0.1, 50.0])
@pytest.mark.parametrize("n", [0.001, 1.0, 2.7, 3.999])
def test_one_degenerate_level(kT, n):
    mu = chemical_potential(levels_of([0.3] * 4), n, kT)
    assert float(mu) == pytest.approx(0.3 + kT * np.log(n / (4 - n)), abs=1e-12 * max(1, kT))


@pytest.mark.parametrize("kT", [2e-3, 0.05, 0.15])
def test_across_a_gap_the_tails_decide(kT):
    # exp((mu - 10)/kT) = 2 exp(-mu/kT); below kT = 0.01 both sides are smaller than any double
    mu = chemical_potential(levels_of([0.0, 0.0, 10.0]), 2.0, kT)
    assert float(mu) == pytest.approx(5 + kT * np.log(2) / 2, abs=1e-12)


def test_extreme_levels_stay_finite_and_exact():
    levels, mu = levels_of([-1e8, -25.0, 0.0, 25.0, 1e8]), levels_of(0.0)[0:1]
    omega = grand_potential(levels, mu, 1.0)[0]
    assert torch.isfinite(omega).all()
    assert omega[0] == -1e8
    # the tail that torch's softplus drops
    assert float(omega[1]) + 25.0 == pytest.approx(-np.exp(-25.0), rel=1e-3)
    assert float(omega[2]) == pytest.approx(-np.log(2), rel=1e-15)
    assert float(omega[3]) == pytest.approx(-np.exp(-25.0), rel=1e-10)
    assert fermi(levels, mu, 1e-3)[0].tolist() == [1.0, 1.0, 0.5, 0.0, 0.0]
