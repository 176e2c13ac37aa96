"""Triangles, topological charge with its sign, chirality and domains of states whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn import SpinConfiguration
from mhipnn.analysis.chirality import (
    scalar_chirality,
    solid_angles,
    topological_charge,
    triangle_chirality,
    vector_chirality,
)
from mhipnn.analysis.domains import domains, local_order, neighbour_bonds, order_labels, sign_labels
from mhipnn.analysis.triangulation import triangulate
from mhipnn.errors import InputError
from mhipnn.structures import Crystal, DilutedLattice, RandomSites, random_spins


def sites_of(name, n=20):
    rng = np.random.default_rng(0)
    if name == "random":
        return RandomSites(n * n, 2).sample(rng)
    return Crystal(name, [n, n], lattice_constant=1.0, density=None).sample(rng)


def skyrmion(config, core=-1, vorticity=1, helicity=0.0, radius=3.0):
    """Theta from pi (core down) to 0 at 2 radius around the middle of the box; the background opposes the core."""
    middle = config.cell[:2, :2].sum(0) / 2
    d = config.positions[:, :2] - middle
    r, phi = np.hypot(*d.T), np.arctan2(d[:, 1], d[:, 0])
    theta = np.pi * np.clip(1 - r / (2 * radius), 0, 1)
    angle = vorticity * phi + helicity
    spins = np.stack([np.sin(theta) * np.cos(angle), np.sin(theta) * np.sin(angle), np.cos(theta)], 1)
    return spins * [1, 1, -core]


@pytest.mark.parametrize("name", ["square", "triangular", "honeycomb", "kagome", "random"])
def test_triangles_cover_the_torus_once(name):
    config = sites_of(name, 8)
    mesh = triangulate(config)
    a, b = mesh.corners[:, 1] - mesh.corners[:, 0], mesh.corners[:, 2] - mesh.corners[:, 0]
    area = (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]) / 2
    assert (area > 0).all()
    assert area.sum() == pytest.approx(abs(np.linalg.det(config.cell[:2, :2])))
    bonds, vectors = mesh.bonds()
    assert (len(mesh.sites), len(bonds)) == (2 * config.n_sites, 3 * config.n_sites)  # Euler: N - 3 N + 2 N = 0
    modulo = (config.positions[bonds[:, 1]] - config.positions[bonds[:, 0]])[:, :2] - vectors
    turns = modulo @ np.linalg.inv(config.cell[:2, :2])
    np.testing.assert_allclose(turns, np.round(turns), atol=1e-9)


@pytest.mark.parametrize("name", ["square", "triangular", "honeycomb", "random"])
@pytest.mark.parametrize("helicity", [0.0, 1.2])
def test_one_skyrmion_and_its_sign(name, helicity):
    config = sites_of(name)
    mesh = triangulate(config)
    for core, vorticity, charge in [(-1, 1, -1), (1, 1, 1), (-1, -1, 1), (1, -1, -1)]:
        spins = skyrmion(config, core, vorticity, helicity)
        assert topological_charge(mesh, spins) == pytest.approx(charge, abs=1e-10)
    both = np.stack([skyrmion(config), -skyrmion(config), np.tile([0, 0, 1.0], (config.n_sites, 1))])
    np.testing.assert_allclose(topological_charge(mesh, 3 * both), [-1, 1, 0], atol=1e-10)


def test_the_charge_is_the_integral_of_a_smooth_texture():
    """(1/4 pi) int S.(dxS x dyS) of a known texture, by finite differences that share no code."""
    config = sites_of("square", 40)
    x, y = np.meshgrid(np.arange(40), np.arange(40), indexing="ij")

    def spins_at(x, y):
        theta, phi = 0.9 + 0.8 * np.sin(2 * np.pi * x / 40), 0.7 * np.cos(2 * np.pi * y / 40)
        return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)

    h = 1e-4
    density = (
        spins_at(x, y) * np.cross(spins_at(x + h, y) - spins_at(x - h, y), spins_at(x, y + h) - spins_at(x, y - h))
    ).sum(-1) / (4 * h * h)
    mesh = triangulate(config)
    spins = spins_at(*config.positions[:, :2].T)
    middle = mesh.corners.mean(1) % 40
    quarter = (middle[:, 0] < 10) & (middle[:, 1] < 20)
    found = solid_angles(mesh.sites, spins)[quarter].sum()
    wanted = density[:10, :20].sum()
    assert abs(wanted) > 0.5
    assert found == pytest.approx(wanted, rel=0.12)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_the_charge_of_any_spins_on_a_closed_surface_is_whole(seed):
    rng = np.random.default_rng(seed)
    cell = np.diag([6.0, 5.0, 1.0])
    cell[1, 0] = rng.uniform(-3, 3)
    config = SpinConfiguration(
        rng.uniform(-1, 2, size=(25, 3)) * [1, 1, 0] @ cell, cell, (True, True, False), random_spins(25, rng)
    )
    mesh = triangulate(config)
    charge = topological_charge(mesh, config.spins)
    assert charge == pytest.approx(np.round(charge), abs=1e-9)
    mirrored = SpinConfiguration(config.positions * [-1, 1, 1], config.cell * [-1, 1, 1], config.pbc, config.spins)
    assert topological_charge(triangulate(mirrored), config.spins) == pytest.approx(-charge, abs=1e-9)


def test_vacancies_and_open_edges():
    config = DilutedLattice("square", [8, 8], vacancies=0.2).sample(np.random.default_rng(0))
    assert len(triangulate(config).sites) == 2 * config.n_sites
    spins = config.spins.copy()
    spins[3] = 0
    holed = triangulate(config.with_spins(spins))
    assert len(holed.sites) == 2 * (config.n_sites - 1)
    assert 3 not in holed.sites
    flake = Crystal("triangular", [4, 4], pbc=False).sample(np.random.default_rng(0))
    mesh = triangulate(flake)
    assert not mesh.closed
    assert len(mesh.sites) == 18
    strip = Crystal("square", [6, 4], pbc=[True, False]).sample(np.random.default_rng(0))
    assert len(triangulate(strip).sites) == 2 * 6 * 3


def test_chirality_of_noise_and_of_120_degrees():
    rng = np.random.default_rng(0)
    config = sites_of("triangular", 30)
    mesh = triangulate(config)
    states = np.stack([random_spins(900, rng) for _ in range(20)])
    chi = scalar_chirality(mesh, states)
    assert chi.mean() == pytest.approx(0, abs=4 * np.sqrt(2 / 9 / chi.size * 2))
    assert chi.var() == pytest.approx(2 / 9, rel=0.05)
    bonds, _ = mesh.bonds()
    assert (vector_chirality(bonds, states) ** 2).sum(-1).mean() == pytest.approx(2 / 3, rel=0.02)
    phase = config.positions[:, 0] * 4 * np.pi / 3
    planar = np.stack([np.cos(phase), np.sin(phase), 0 * phase], 1)
    np.testing.assert_allclose(scalar_chirality(mesh, planar), 0, atol=1e-12)
    kappa = triangle_chirality(mesh, planar)
    np.testing.assert_allclose(np.abs(kappa[:, 2]), 1, atol=1e-12)
    one = mesh.corners - mesh.corners.mean(1, keepdims=True)
    points_up = np.isclose(one[..., 1].max(1), 1 / np.sqrt(3))
    # along the base of a triangle that points up the phase grows by 4 pi/3, which is -2 pi/3: clockwise
    np.testing.assert_allclose(kappa[:, 2], np.where(points_up, -1, 1), atol=1e-12)


def test_vector_chirality_of_a_spiral():
    config = sites_of("square", 12)
    q = 2 * np.pi / 12
    spiral = np.stack([np.cos(q * config.positions[:, 0]), np.sin(q * config.positions[:, 0]), np.zeros(144)], 1)
    bonds, vectors = triangulate(config).bonds()
    expected = np.sin(q * vectors[:, 0])[:, None] * [0, 0, 1]
    np.testing.assert_allclose(vector_chirality(bonds, spiral), expected, atol=1e-12)


def test_domains_of_stripes_and_islands():
    config = sites_of("square", 12)
    bonds = neighbour_bonds(config, 1.1)
    assert len(bonds) == 2 * 144
    x, y = np.round(config.positions[:, :2].T).astype(int)
    stripes = np.outer(np.where((x // 3) % 2, -1, 1), [0, 0, 1.0])
    found = domains(sign_labels(stripes, [0, 0, 1]), bonds)
    assert found.sizes.tolist() == [36] * 4
    assert len(set(found.number[(x == 0)])) == 1
    wrapped = np.outer(np.where((x + 1) % 12 < 2, -1, 1), [0, 0, 1.0])  # the period joins x = 11 and x = 0
    assert domains(sign_labels(wrapped, [0, 0, 2]), bonds).sizes.tolist() == [120, 24]
    island = np.outer(np.where((x < 2) & (y < 2), -1, 1), [0, 0, 1.0])
    found = domains(sign_labels(island, [0, 0, 1]), bonds)
    assert found.sizes.tolist() == [140, 4]
    assert found.mean_size == pytest.approx((140**2 + 4**2) / 144)
    assert (found.number[(x < 2) & (y < 2)] == 1).all()
    assert sign_labels(island, [1, 0, 0]).tolist() == [-1] * 144
    assert domains(sign_labels(island, [1, 0, 0]), bonds).n == 0


def test_domains_of_local_order():
    config = sites_of("square", 12)
    bonds = neighbour_bonds(config, 1.1)
    x, y = np.round(config.positions[:, :2].T).astype(int)
    half = np.outer(np.where((x < 6) & ((x + y) % 2 == 1), -1, 1), [0, 0, 1.0])
    order = local_order(half, bonds)
    np.testing.assert_allclose(order[(x > 0) & (x < 5)], -1)
    np.testing.assert_allclose(order[(x > 6) & (x < 11)], 1)
    labels = order_labels(half, bonds, 0.9)
    assert set(labels[(x > 0) & (x < 5)]) == {0}
    found = domains(labels, bonds)
    # half of the sites at the wall find all four neighbours on their side
    assert found.sizes.tolist() == [60, 60]
    assert local_order(half, np.zeros((0, 2), int)).tolist() == [0] * 144


def test_bad_requests_are_refused():
    with pytest.raises(InputError, match="must lie in a plane"):
        triangulate(Crystal("cubic", [3, 3, 3]).sample(np.random.default_rng(0)))
    with pytest.raises(InputError, match="needs three sites"):
        triangulate(RandomSites(2, 2).sample(np.random.default_rng(0)))
    with pytest.raises(InputError, match="three numbers, not all zero"):
        sign_labels(np.zeros((4, 3)), [0, 0, 0])
