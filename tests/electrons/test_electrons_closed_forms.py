"""Systems whose electrons can be solved by hand: atom, dimer, uniform magnets on lattices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import brentq

from mhipnn import SpinConfiguration
from mhipnn.electrons import ExponentialHopping, SDModel

NEAREST = ExponentialHopping(r_on=1.1, r_cut=1.3)
"""t(1) = -1 and nothing beyond the nearest neighbours of a lattice with spacing 1."""


def free_energy(levels, kT, n_electrons=None, mu=None):
    """(E, mu) of given levels."""
    levels = np.asarray(levels)
    number = 0.0
    if mu is None:
        mu = brentq(lambda m: (1 / (1 + np.exp((levels - m) / kT))).sum() - n_electrons, -30, 30, xtol=1e-13)
        number = n_electrons
    return -kT * np.log1p(np.exp((mu - levels) / kT)).sum() + mu * number, mu


def dimer(angle, r=1.0):
    """Spins in the x-y plane, the second one turned counter-clockwise by ``angle``."""
    spins = np.array([[1, 0, 0], [np.cos(angle), np.sin(angle), 0]])
    return SpinConfiguration([[0, 0, 0], [r, 0, 0]], 9 * np.eye(3), False, spins)


def lattice(n_cells, dimension, spins):
    """Simple square or cubic lattice of spacing 1, n_cells along every axis."""
    axes = [range(n_cells)] * dimension + [range(1)] * (3 - dimension)
    positions = np.array(list(itertools.product(*axes)), float)
    periodic = np.arange(3) < dimension
    cell = np.diag(np.where(periodic, n_cells, 1.0))
    return SpinConfiguration(positions, cell, periodic, np.broadcast_to(spins(positions), positions.shape))


@pytest.mark.parametrize("J", [2.0, -2.0])
def test_atom_electron_spin_follows_the_sign_of_the_coupling(J):
    S = np.array([[0.48, -0.6, 0.64]])
    atom = SpinConfiguration([[0, 0, 0]], np.eye(3), False, S)
    result = SDModel(J, 1.0, temperature=0.7).evaluate(atom)
    # levels -J and +J, mu = 0: B = J tanh(J / 2 kT) S
    assert result.mu == pytest.approx(0, abs=1e-13)
    assert np.allclose(result.field, J * np.tanh(J / 1.4) * S, atol=1e-13)
    assert np.allclose(result.torque, 0, atol=1e-13)
    assert np.allclose(result.forces, 0)
    assert result.energy == pytest.approx(free_energy([J, -J], 0.7, n_electrons=1)[0], abs=1e-12)


def test_atomic_limit_is_a_sum_of_atoms():
    rng = np.random.default_rng(0)
    spins = rng.normal(size=(4, 3))
    lengths = np.linalg.norm(spins, axis=1)
    far = SpinConfiguration(10.0 * np.arange(12).reshape(4, 3), 100 * np.eye(3), True, spins)
    result = SDModel(1.5, mu=0.4, temperature=0.3).evaluate(far)
    for i, length in enumerate(lengths):
        energy, _ = free_energy([1.5 * length, -1.5 * length], 0.3, mu=0.4)
        assert result.site_energy[i] == pytest.approx(energy, abs=1e-12)


@pytest.mark.parametrize("filling", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("angle", [0.0, 0.8, np.pi / 2, 2.9, -1.1])
def test_dimer(angle, filling):
    J, kT, r = 1.7, 0.2, 1.4
    t = np.exp(-(r - 1) / 0.5)

    def levels(angle, t):
        # (H^2 of the bond) e^2 = J^2 + t^2 +- 2 J t cos(angle / 2)
        return [s * np.sqrt(J**2 + t**2 + u * 2 * J * t * np.cos(angle / 2)) for s in (1, -1) for u in (1, -1)]

    def energy(angle, t):
        return free_energy(levels(angle, t), kT, n_electrons=2 * filling)

    result = SDModel(J, filling, kT).evaluate(dimer(angle, r))
    expected, mu = energy(angle, t)
    assert result.energy == pytest.approx(expected, abs=1e-11)
    assert result.mu == pytest.approx(mu, abs=1e-9)
    assert np.allclose(result.density, filling, atol=1e-12)
    h = 1e-4
    # turning spin 2 counter-clockwise about z raises the angle: tau_2z = -dE/d(angle), tau_1z its opposite
    slope = (energy(angle + h, t)[0] - energy(angle - h, t)[0]) / (2 * h)
    assert result.torque[1, 2] == pytest.approx(-slope, abs=1e-6)
    assert result.torque[0, 2] == pytest.approx(slope, abs=1e-6)
    # site 2 sits at larger x: F_2x = -dE/dr
    slope = (energy(angle, t * np.exp(-h / 0.5))[0] - energy(angle, t * np.exp(h / 0.5))[0]) / (2 * h)
    assert result.forces[1, 0] == pytest.approx(-slope, abs=1e-6)


def test_half_filled_strong_coupling_dimer_is_antiferromagnetic_and_quarter_filled_ferromagnetic():
    for filling, sign in ((1.0, 1), (0.5, -1)):
        exact = SDModel(6.0, filling, 0.05)
        parallel, opposite = (exact.evaluate(dimer(angle)).energy for angle in (0.0, np.pi))
        assert sign * (parallel - opposite) > 0.1
    # superexchange: 4 t^2 / 2 J above the antiferromagnet's -2 sqrt(J^2 + t^2)
    assert SDModel(6.0, 1.0, 0.05).evaluate(dimer(np.pi)).energy == pytest.approx(-2 * np.sqrt(37), abs=1e-12)


@pytest.mark.parametrize("ensemble", [{"filling": 0.8}, {"mu": -1.3}])
@pytest.mark.parametrize(("n_cells", "dimension"), [(1, 2), (2, 2), (5, 2), (1, 3), (3, 3)])
def test_uniform_ferromagnet_is_two_shifted_free_bands(n_cells, dimension, ensemble):
    J, kT, S = 2.2, 0.3, np.array([0.6, 0.0, -0.8])
    magnet = lattice(n_cells, dimension, lambda positions: S)
    k = 2 * np.pi * np.arange(n_cells) / n_cells
    band = np.array([-2 * sum(np.cos(q)) for q in itertools.product(k, repeat=dimension)])
    levels = np.concatenate([band - J, band + J])
    n_sites = n_cells**dimension
    energy, mu = free_energy(levels, kT, ensemble.get("filling", 0) * n_sites, ensemble.get("mu"))
    polarisation = np.sum(1 / (1 + np.exp((band - J - mu) / kT)) - 1 / (1 + np.exp((band + J - mu) / kT))) / n_sites
    result = SDModel(J, temperature=kT, hopping=NEAREST, **ensemble).evaluate(magnet)
    assert result.energy == pytest.approx(energy, abs=1e-10)
    assert np.allclose(result.site_energy, energy / n_sites, atol=1e-10)
    assert np.allclose(result.field, J * polarisation * S, atol=1e-10)
    assert np.allclose(result.torque, 0, atol=1e-10)
    assert np.allclose(result.forces, 0, atol=1e-10)


def test_neel_order_opens_the_gap_of_the_square_lattice():
    J, kT = 1.3, 0.2
    magnet = lattice(4, 2, lambda positions: np.outer((-1) ** positions.sum(1), [0, 0, 1.0]))
    k = 2 * np.pi * np.arange(4) / 4
    band = np.array([-2 * (np.cos(x) + np.cos(y)) for x, y in itertools.product(k, k)])
    # each of the 16 k comes once in +-sqrt(band^2 + J^2): 8 pairs (k, k + Q), two spins, two signs
    levels = np.concatenate([np.sqrt(band**2 + J**2), -np.sqrt(band**2 + J**2)])
    result = SDModel(J, 1.0, kT, hopping=NEAREST).evaluate(magnet)
    assert result.energy == pytest.approx(free_energy(levels, kT, n_electrons=16)[0], abs=1e-10)
    assert np.allclose(np.sign(result.field[:, 2]), magnet.spins[:, 2])
