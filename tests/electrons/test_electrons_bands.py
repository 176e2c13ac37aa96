"""Closed forms on lattices: free bands, ferromagnets, spirals, particles and holes, and sums over the fields."""

from __future__ import annotations

from collections.abc import Callable

import dense_reference
import numpy as np
import pytest
from lattices import CRYSTALS, band_energies, crystal, phases
from scipy.integrate import quad
from scipy.special import expit

from mhipnn.electrons import SDModel, ShellHopping
from mhipnn.structures import random_sites, random_spins

NEAREST = ShellHopping(tolerance=0.1)
CELLS = {1: 12, 2: 4, 3: 3}


def omega(levels, kT, mu):
    return -kT * np.logaddexp(0, (mu - levels) / kT).sum()


@pytest.mark.parametrize("name", CRYSTALS)
def test_free_electrons_have_the_bands_of_the_textbook(name):
    n_cells = CELLS[CRYSTALS[name][2]] + 1
    levels = SDModel(0.0, mu=0.0, hopping=NEAREST).state(crystal(name, n_cells)).levels[0].numpy()
    assert np.abs(levels - np.repeat(band_energies(name, n_cells), 2)).max() < 1e-10


def test_two_shells_of_the_square_lattice():
    t1, t2 = 0.9, -0.35
    k = phases("square", 5).T
    bands = -2 * t1 * np.cos(k).sum(0) - 4 * t2 * np.cos(k[0]) * np.cos(k[1])
    shells = ShellHopping([t1, t2], [1.0, np.sqrt(2)])
    levels = SDModel(0.0, mu=0.0, hopping=shells).state(crystal("square", 5)).levels[0].numpy()
    assert np.abs(levels - np.repeat(np.sort(bands), 2)).max() < 1e-10


@pytest.mark.parametrize("J", [-4.0, 0.3, 2.5])
@pytest.mark.parametrize("name", CRYSTALS)
def test_uniform_ferromagnet_is_two_shifted_bands(name, J):
    mu, kT, S = -0.6, 0.2, np.array([0.48, -0.6, 0.64])
    n_cells = CELLS[CRYSTALS[name][2]]
    bands = band_energies(name, n_cells)
    magnet = crystal(name, n_cells, S)
    result = SDModel(J, mu=mu, temperature=kT, hopping=NEAREST).evaluate(magnet, forces=False)
    along, against = (expit((mu - bands + sign * J) / kT).sum() for sign in (1, -1))
    assert abs(result.energy - omega(bands - J, kT, mu) - omega(bands + J, kT, mu)) < 1e-10
    assert np.abs(result.field.sum(0) - J * (along - against) * S).max() < 1e-10
    assert result.density.sum() == pytest.approx(along + against, abs=1e-10)
    assert np.abs(result.torque).max() < 1e-10


def spiral_levels(k, q, J, t=1.0):
    """e(k) of S_x = (cos qx, sin qx, 0) in the frame that turns along: both spins have k +- q/2."""
    middle = -2 * t * np.cos(k) * np.cos(q / 2)
    half = np.sqrt((2 * t * np.sin(k) * np.sin(q / 2)) ** 2 + J**2)
    return middle, half


@pytest.mark.parametrize("turns", [0, 7, 40, 60])
def test_spiral_on_a_chain(turns):
    n_sites, J, kT, mu = 120, 1.3, 0.4, -0.7
    q = 2 * np.pi * turns / n_sites

    def spins(positions):
        return np.stack([np.cos(q * positions[:, 0]), np.sin(q * positions[:, 0]), 0 * positions[:, 0]], 1)

    spiral = crystal("chain", n_sites, spins)
    result = SDModel(J, mu=mu, temperature=kT, hopping=NEAREST).evaluate(spiral, forces=False)

    middle, half = spiral_levels(2 * np.pi * np.arange(n_sites) / n_sites + q / 2, q, J)
    levels = np.concatenate([middle - half, middle + half])
    assert abs(result.energy - omega(levels, kT, mu)) < 1e-10
    # B = -dE/dS along S, with de/d|S| = +-J^2/half at |S| = 1
    lower, upper = expit((mu - middle + half) / kT), expit((mu - middle - half) / kT)
    assert np.abs(result.field - ((lower - upper) * J**2 / half).mean() * spiral.spins).max() < 1e-10

    def density(k):
        middle, half = spiral_levels(k, q, J)
        return omega(np.array([middle - half, middle + half]), kT, mu) / (2 * np.pi)

    # the infinite chain: sums over k converge to the integral exponentially at kT > 0
    assert abs(result.energy / n_sites - quad(density, -np.pi, np.pi, epsabs=1e-13, epsrel=1e-13)[0]) < 1e-10


@pytest.mark.parametrize("temperature", [0.0, 0.1])
@pytest.mark.parametrize(("name", "n_cells"), [("square", 4), ("honeycomb", 3), ("cubic", 2)])
def test_particles_and_holes_on_a_bipartite_lattice(name, n_cells, temperature):
    """c_i -> (-1)^i i sigma_y c+_i turns H into itself for any spins: at half filling mu = 0 and n_i = 1."""
    rng = np.random.default_rng(5)
    config = crystal(name, n_cells, lambda positions: random_spins(len(positions), rng))
    model = {"J": 1.7, "temperature": temperature, "hopping": NEAREST}
    half = SDModel(filling=1.0, **model).evaluate(config, forces=False)
    assert abs(half.mu) < 1e-10
    assert np.abs(half.density - 1).max() < 1e-10
    levels = SDModel(filling=1.0, **model).state(config).levels[0].numpy()
    assert np.abs(levels + levels[::-1]).max() < 1e-10
    few, many = (SDModel(filling=filling, **model).evaluate(config, forces=False) for filling in (0.5, 1.5))
    assert abs(few.energy - many.energy) < 1e-10
    assert abs(few.mu + many.mu) < 1e-10
    assert np.abs(few.field - many.field).max() < 1e-10
    assert np.abs(few.density + many.density - 2).max() < 1e-10


def test_frustration_breaks_the_symmetry_of_particles_and_holes():
    half = SDModel(1.7, 1.0, 0.1, hopping=NEAREST).evaluate(crystal("triangular", 4), forces=False)
    assert abs(half.mu) > 0.1


SUM_RULES: dict[str, tuple[float, float, Callable]] = {
    "intermediate": (3.0, 1.0, lambda: random_sites(20, rng=1)),
    "antiferro coupling, few electrons": (-1.2, 0.3, lambda: random_sites(20, rng=2)),
    "3-D, many electrons": (0.8, 1.7, lambda: random_sites(20, 3, rng=3)),
}


@pytest.mark.parametrize("system", SUM_RULES)
def test_sum_rules_of_the_fields(system):
    """At kT = 0 the density matrix is a projector, rho^2 = rho. With its block at site i, (n_i + m_i.sigma)/2:

    |B_i|^2/J^2 = |m_i|^2 = n_i (2 - n_i) - 2 sum_{j != i} tr(rho_ij rho_ji),   |m_i| <= min(n_i, 2 - n_i),
    sum_i S_i.B_i = <T> - E.
    """
    J, filling, make = SUM_RULES[system]
    config = make()
    n_sites = config.n_sites
    result = SDModel(J, filling, 0.0).evaluate(config, forces=False)
    T = dense_reference.hopping_matrix(config.positions, config.cell, config.pbc)
    H = np.kron(T, np.eye(2)).astype(complex)
    for i, S in enumerate(config.spins):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= J * np.tensordot(S, dense_reference.PAULI, 1)
    filled = np.linalg.eigh(H)[1][:, : round(filling * n_sites)]
    rho = filled @ filled.conj().T
    size = (np.abs(rho.reshape(n_sites, 2, n_sites, 2)) ** 2).sum((1, 3))
    elsewhere = size.sum(1) - size.diagonal()
    n = result.density
    length = np.linalg.norm(result.field, axis=1)
    assert np.abs(length**2 - J**2 * (n * (2 - n) - 2 * elsewhere)).max() < 1e-10
    assert (length <= abs(J) * np.minimum(n, 2 - n) + 1e-10).all()
    kinetic = np.sum(np.kron(T, np.eye(2)) * rho.T).real
    assert abs(np.sum(config.spins * result.field) - (kinetic - result.energy)) < 1e-10
