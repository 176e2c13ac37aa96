"""SDModel: symmetries, the batched form, precision, and the errors that a user can make."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from mhipnn import SpinConfiguration
from mhipnn.electrons import ElectronicEvaluation, SDModel
from mhipnn.electrons.hamiltonian import assemble
from mhipnn.errors import InputError, NonFiniteError
from mhipnn.potential import Potential
from mhipnn.structures import random_sites, random_spins

CONFIG = random_sites(16, rng=3)


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([{"filling": 0.7}, {"mu": 0.1}]))
def test_spin_rotation_and_time_reversal(seed, ensemble):
    exact = SDModel(2.0, **ensemble)
    rotation = Rotation.random(rng=np.random.default_rng(seed)).as_matrix()
    here = exact.evaluate(CONFIG)
    for Q in (rotation, -np.eye(3), -rotation):
        there = exact.evaluate(CONFIG.with_spins(CONFIG.spins @ Q.T))
        assert there.energy == pytest.approx(here.energy, abs=1e-11)
        assert np.allclose(there.site_energy, here.site_energy, atol=1e-10)
        assert np.allclose(there.field, here.field @ Q.T, atol=1e-10)
        assert np.allclose(there.forces, here.forces, atol=1e-10)
        assert np.allclose(there.density, here.density, atol=1e-10)
    # S x B is an axial vector: even under time reversal
    assert np.allclose(exact.evaluate(CONFIG.with_spins(-CONFIG.spins)).torque, here.torque, atol=1e-10)
    assert np.abs(here.torque.sum(0)).max() < 1e-11


def test_hamiltonian_is_the_kronecker_sum_on_both_triangles():
    rng = np.random.default_rng(5)
    T, S, J = rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 3, 3)), 1.7
    T = T + T.transpose(0, 2, 1)
    H = assemble(torch.tensor(T), torch.tensor(S), J).numpy()
    for r in range(2):
        expected = np.kron(T[r], np.eye(2)).astype(complex)
        for i, (x, y, z) in enumerate(S[r]):
            expected[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= J * np.array([[z, x - 1j * y], [x + 1j * y, -z]])
        assert np.abs(H[r] - expected).max() < 1e-14


def test_permutation_and_translation():
    exact, order = SDModel(3.0, 1.0), np.random.default_rng(0).permutation(16)
    here = exact.evaluate(CONFIG)
    moved = SpinConfiguration(CONFIG.positions[order] + [5.3, -2.2, 0], CONFIG.cell, CONFIG.pbc, CONFIG.spins[order])
    there = exact.evaluate(moved)
    assert there.energy == pytest.approx(here.energy, abs=1e-11)
    assert np.allclose(there.field, here.field[order], atol=1e-9)
    assert np.allclose(there.forces, here.forces[order], atol=1e-9)


@pytest.mark.parametrize("ensemble", [{"filling": 1.0}, {"filling": 2 / 3}, {"mu": -0.3}])
def test_prepared_batch_equals_single_evaluations(ensemble):
    rng = np.random.default_rng(1)
    configs = [random_sites(12, rng=seed) for seed in range(3)]
    exact = SDModel(3.0, **ensemble)
    frozen = exact.prepare(configs)
    for _ in range(2):
        spins = [random_spins(12, rng) for _ in configs]
        energies, fields = frozen(torch.as_tensor(np.stack(spins)))
        assert energies.shape == (3,)
        assert fields.shape == (3, 12, 3)
        assert energies.dtype == fields.dtype == frozen.dtype == torch.float64
        assert not fields.requires_grad
        for r, config in enumerate(configs):
            single = exact.evaluate(config.with_spins(spins[r]), forces=False)
            assert float(energies[r]) == pytest.approx(single.energy, abs=1e-11)
            assert np.allclose(fields[r], single.field, atol=1e-10)


def test_float32_is_close_to_float64():
    fine, coarse = SDModel(3.0, 1.0), SDModel(3.0, 1.0, dtype=torch.float32)
    a, b = fine.evaluate(CONFIG), coarse.evaluate(CONFIG)
    assert b.energy == pytest.approx(a.energy, rel=1e-6)
    for name in ("field", "forces", "density", "site_energy"):
        assert np.allclose(getattr(a, name), getattr(b, name), atol=1e-4)
        assert getattr(b, name).dtype == np.float64
    energies, fields = coarse.prepare([CONFIG])(torch.as_tensor(CONFIG.spins, dtype=torch.float32)[None])
    assert energies.dtype == fields.dtype == torch.float32


def test_what_evaluate_returns():
    exact = SDModel(3.0, 1.0)
    assert isinstance(exact, Potential)
    result = exact.evaluate(CONFIG, forces=False)
    assert isinstance(result, ElectronicEvaluation)
    assert result.forces is None
    assert type(result.energy) is type(result.mu) is float
    assert result.density.shape == (16,)
    assert np.array_equal(result.torque, np.cross(CONFIG.spins, result.field))
    assert pickle.loads(pickle.dumps(exact)) == exact


def test_fixed_mu_at_the_solved_mu_gives_the_same_electrons():
    canonical = SDModel(2.0, 0.8).evaluate(CONFIG)
    grand = SDModel(2.0, mu=canonical.mu).evaluate(CONFIG)
    assert np.allclose(grand.field, canonical.field, atol=1e-10)
    assert grand.energy == pytest.approx(canonical.energy - canonical.mu * 0.8 * 16, abs=1e-9)


def test_filling_that_misses_an_integer_by_rounding():
    # 0.29 * 100 = 28.999999999999996: mu belongs in the middle of the gap, not on the last level
    sites = SpinConfiguration(10.0 * np.outer(np.arange(100), [1, 0, 0]), 2000 * np.eye(3), False, np.eye(3)[[0] * 100])
    assert SDModel(2.0, 0.29, 0.05).evaluate(sites).mu == pytest.approx(-2 + 0.05 * np.log(29 / 71), abs=1e-12)
    pair = SpinConfiguration([[0, 0, 0], [1, 0, 0]], 9 * np.eye(3), False, [[0, 0, 1], [0, 0, 1]])
    assert SDModel(8.0, 0.1 + 0.2 + 0.7 - 1e-16, 0.05).evaluate(pair).mu == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"J": 3.0, "filling": 3}, "filling: .* between 0 and 2, got 3"),
        ({"J": 3.0, "filling": 0.0}, "filling: .* between 0 and 2"),
        ({"J": 3.0, "filling": float("nan")}, "filling: expected a finite number, got nan"),
        ({"J": 3.0, "filling": 1.0, "temperature": -0.1}, "temperature: .* k_B T >= 0, got -0.1"),
        ({"J": 3.0, "filling": 1.0, "temperature": float("nan")}, "temperature: expected a finite number"),
        ({"J": 3.0}, "exactly one of filling and mu"),
        ({"J": 3.0, "filling": 1.0, "mu": 0.0}, "exactly one of filling and mu"),
        ({"J": 3.0, "mu": float("inf")}, "mu: expected a finite number"),
        ({"J": float("inf"), "filling": 1.0}, "J: expected a finite number"),
        ({"J": "3", "filling": 1.0}, "J: expected a finite number"),
        ({"J": 3.0, "filling": 1.0, "dtype": "float16"}, "dtype: expected one of float64, float32"),
        ({"J": 3.0, "filling": 1.0, "hopping": "exponential"}, "hopping: expected an object"),
        ({"J": [], "filling": 1.0}, r"J: expected a list with one number for each species, got \[\]"),
        ({"J": [3.0, float("nan")], "filling": 1.0}, "J of species 1: expected a finite number, got nan"),
        ({"J": 3.0, "filling": 1.0, "onsite": 0.5}, "onsite: expected a list with one number for each species"),
        ({"J": 3.0, "filling": 1.0, "onsite": [0.0, "1"]}, "onsite of species 1: expected a finite number"),
    ],
)
def test_bad_parameters(arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        SDModel(**arguments)
    assert "\n" not in str(caught.value)


def test_prepare_wants_one_size_and_the_right_shape():
    exact = SDModel(3.0, 1.0)
    with pytest.raises(InputError, match=r"one size, got sizes \[12, 16\]"):
        exact.prepare([CONFIG, random_sites(12, rng=0)])
    with pytest.raises(InputError, match="one size"):
        exact.prepare([])
    with pytest.raises(InputError, match=r"expected shape \(1, 16, 3\)"):
        exact.prepare([CONFIG])(torch.zeros(16, 3, dtype=torch.float64))


def test_non_finite_states_name_the_site():
    frozen = SDModel(3.0, 1.0).prepare([CONFIG, CONFIG])
    spins = torch.as_tensor(np.stack([CONFIG.spins] * 2))
    spins[1, 7, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="site 7 of replica 1"):
        frozen(spins)
    spins[1, 7, 0] = 5e307
    with pytest.raises(NonFiniteError, match="site 7 of replica 1"):
        frozen(spins)


def test_coincident_sites_are_refused():
    twins = SpinConfiguration([[0, 0, 0], [0, 0, 0]], np.eye(3) * 5, True, [[0, 0, 1], [0, 0, 1]])
    with pytest.raises(InputError, match="sites 0 and 1 are at the same place"):
        SDModel(3.0, 1.0).evaluate(twins)
