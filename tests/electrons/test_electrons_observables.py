"""Bond currents and the density of states: against a flux through the bonds, conservation, and integrals."""

from __future__ import annotations

import dense_reference
import numpy as np
import pytest
import torch
from scipy.special import expit

from mhipnn import SpinConfiguration
from mhipnn.electrons import SDModel
from mhipnn.errors import InputError
from mhipnn.structures import random_sites

TRIANGLE = SpinConfiguration(
    [[0, 0, 0], [1, 0, 0], [0.5, np.sqrt(3) / 2, 0]],
    9 * np.eye(3),
    False,
    [[0.8, 0, 0.6], [0, 0.8, 0.6], [-0.6, 0, 0.8]],
)


def energy_with_flux(config, J, mu, kT, i, j, angle):
    """Grand potential when c+_i c_j carries exp(i angle)."""
    T = dense_reference.hopping_matrix(config.positions, config.cell, config.pbc).astype(complex)
    T[i, j] *= np.exp(1j * angle)
    T[j, i] *= np.exp(-1j * angle)
    H = np.kron(T, np.eye(2))
    for site, S in enumerate(config.spins):
        H[2 * site : 2 * site + 2, 2 * site : 2 * site + 2] -= J * np.tensordot(S, dense_reference.PAULI, 1)
    return -kT * np.logaddexp(0, (mu - np.linalg.eigvalsh(H)) / kT).sum()


def test_current_of_a_bond_is_the_response_to_a_flux():
    """d/d(angle) of t c+_i c_j exp(i angle) + h.c. is -I(j -> i)."""
    J, mu, kT, h = 1.5, -0.2, 0.1, 1e-4
    bonds, current = SDModel(J, mu=mu, temperature=kT).bond_currents(TRIANGLE)
    assert len(current) == 3
    assert current.abs().max() > 0.01
    for i, j, value in zip(bonds.receiver.tolist(), bonds.source.tolist(), current.tolist(), strict=True):
        up, down = (energy_with_flux(TRIANGLE, J, mu, kT, i, j, sign * h) for sign in (1, -1))
        assert value == pytest.approx(-(up - down) / (2 * h), abs=1e-7)


@pytest.mark.parametrize("dimension", [2, 3])
def test_currents_into_a_site_add_up_to_zero(dimension):
    config = random_sites(20, dimension, rng=2)
    bonds, current = SDModel(1.5, 0.8).bond_currents(config)
    into = torch.zeros(20, dtype=torch.float64).index_add_(0, bonds.receiver, current)
    into.index_add_(0, bonds.source, -current)
    assert current.abs().max() > 1e-3
    assert into.abs().max() < 1e-12


def test_coplanar_spins_carry_no_current():
    flat = TRIANGLE.with_spins([[1, 0, 0], [0, 1, 0], [-0.6, 0.8, 0]])
    assert SDModel(1.5, 0.8).bond_currents(flat)[1].abs().max() < 1e-12


def test_density_of_states():
    state = SDModel(2.0, 0.8).state(random_sites(20, rng=1))
    levels = state.levels[0].numpy()
    grid = torch.linspace(-40, 40, 16001, dtype=torch.float64)
    for broadening, lost in (("gaussian", 1e-9), ("lorentzian", 0.4)):
        density = state.density_of_states(grid, 0.1, broadening)
        assert density.shape == (1, 16001)
        assert float(torch.trapezoid(density, grid)) == pytest.approx(40, abs=lost)
    E = torch.tensor([levels[0] - 0.2, levels[7]])
    gaussian = [np.exp(-((e - levels) ** 2) / 0.5).sum() / np.sqrt(0.5 * np.pi) for e in E.numpy()]
    assert np.allclose(state.density_of_states(E, 0.5)[0], gaussian, rtol=1e-12)
    lorentzian = [(0.5 / np.pi / ((e - levels) ** 2 + 0.25)).sum() for e in E.numpy()]
    assert np.allclose(state.density_of_states(E, 0.5, "lorentzian")[0], lorentzian, rtol=1e-12)
    # electrons below mu at a narrow width are those of the Fermi sea at kT -> 0
    cold = SDModel(2.0, 0.8, 0.0).state(random_sites(20, rng=1))
    inside = torch.linspace(float(levels[0]) - 1, float(cold.mu), 40001, dtype=torch.float64)
    assert float(torch.trapezoid(cold.density_of_states(inside, 0.004), inside)) == pytest.approx(16, abs=0.3)


def test_density_is_that_of_the_occupied_orbitals():
    state = SDModel(2.0, mu=0.1, temperature=0.3).state(random_sites(10, rng=1))
    weight = (state.orbitals[0].abs() ** 2).sum(1).numpy()
    assert np.allclose(state.density()[0], weight @ expit((0.1 - state.levels[0].numpy()) / 0.3), atol=1e-13)


@pytest.mark.parametrize(("width", "broadening"), [(0.0, "gaussian"), (float("nan"), "gaussian"), (0.1, "box")])
def test_bad_broadening(width, broadening):
    state = SDModel(2.0, mu=0.1).state(TRIANGLE)
    with pytest.raises(InputError, match=r"width of the density of states|broadening: expected gaussian or lorentzian"):
        state.density_of_states(torch.zeros(1), width, broadening)
