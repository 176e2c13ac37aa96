"""Ordered states: their structure factors and angles, the cone, and sites that do not allow them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import dawsn

from mhipnn.errors import InputError, UserError
from mhipnn.structures import (
    Crystal,
    DilutedLattice,
    DisplacedLattice,
    OrderedSpins,
    SpinSampler,
    canted,
    neighbour_list,
    random_sites,
)
from mhipnn.structures.ordered import allowed_wave_vector


def state(structure, seed=0, **arguments):
    sites = structure.sample(np.random.default_rng(seed)) if hasattr(structure, "sample") else structure
    ((time, spins),) = OrderedSpins(**{"width": 0.0} | arguments).sample(sites, None, np.random.default_rng(seed + 1))
    assert time == -1.0
    assert np.allclose(np.linalg.norm(spins, axis=1), 1, atol=1e-12)
    return sites, spins


def structure_factor(sites, spins, q):
    """S(q) = (1/N) |sum_i S_i exp(-i q.R_i)|^2."""
    q = np.pad(np.asarray(q, float), (0, 3 - len(q)))
    return (np.abs(np.exp(-1j * sites.positions @ q) @ spins) ** 2).sum() / sites.n_sites


def neighbour_cosines(sites, spins, reach):
    edges = neighbour_list(sites.positions, sites.cell, sites.pbc, reach)
    return (spins[edges.source] * spins[edges.receiver]).sum(1), edges


def test_ferromagnet():
    for structure in (Crystal("fcc", 3), random_sites(50, rng=0)):
        sites, spins = state(structure, order="ferro")
        assert structure_factor(sites, spins, [0, 0, 0]) == pytest.approx(sites.n_sites)
        _, fixed = state(structure, order="ferro", axis=[0, 3, 4])
        assert np.allclose(fixed, [0, 0.6, 0.8])


@pytest.mark.parametrize(
    ("name", "cells", "q"),
    [
        ("chain", 8, [np.pi]),
        ("square", [6, 8], [np.pi, np.pi]),
        ("cubic", 4, [np.pi, np.pi, np.pi]),
        ("bcc", 3, [2 ** (2 / 3) * np.pi, 0, 0]),
    ],
)
def test_neel_peaks_at_its_wave_vector(name, cells, q):
    for arguments in ({}, {"q": [round(component, 4) for component in q]}):
        sites, spins = state(Crystal(name, cells), order="neel", **arguments)
        assert structure_factor(sites, spins, q) == pytest.approx(sites.n_sites)
        assert structure_factor(sites, spins, [0, 0, 0]) == pytest.approx(0, abs=1e-9)
        assert abs(spins.sum()) < 1e-9


def test_neel_on_a_honeycomb_and_with_open_ends():
    sites, spins = state(Crystal("honeycomb", [3, 4]), order="neel", axis=[0, 0, 1])
    cosines, _ = neighbour_cosines(sites, spins, 1.0)
    assert np.allclose(cosines, -1)
    assert np.allclose(spins, np.tile([[0, 0, 1], [0, 0, -1]], (12, 1)), atol=1e-12)
    sites, spins = state(Crystal("square", 5, pbc=False), order="neel")
    assert np.allclose(neighbour_cosines(sites, spins, 1.1)[0], -1)


def test_neel_by_wave_vector_finds_the_sublattices_of_disordered_lattices():
    for structure in (DisplacedLattice("square", 10, width=0.05), DilutedLattice("square", 10, vacancies=0.3)):
        full = structure.sites
        sites, spins = state(structure, order="neel", q=[np.pi, np.pi], axis=[1, 0, 0])
        nearest = np.linalg.norm(sites.positions[:, None] - full.positions[None], axis=-1).argmin(1)
        sign = (-1) ** full.positions[nearest].sum(1).round().astype(int)
        assert abs((spins[:, 0] * sign).sum()) == sites.n_sites
        # wherever the origin is, also where cos(q.R) is zero on every site
        elsewhere = replace(sites, positions=sites.positions + np.array([0.5, 0, 0]))
        _, moved = state(elsewhere, order="neel", q=[np.pi, np.pi], axis=[1, 0, 0])
        assert np.allclose(moved, spins) or np.allclose(moved, -spins)


@pytest.mark.parametrize(("name", "cells"), [("triangular", [6, 3]), ("kagome", 3)])
def test_120_degrees_on_all_bonds_and_at_the_corner_of_the_zone(name, cells):
    sites, spins = state(Crystal(name, cells), order=120)
    a = {"triangular": np.sqrt(2 / np.sqrt(3)), "kagome": np.sqrt(np.sqrt(3) / 2)}[name]
    cosines, _ = neighbour_cosines(sites, spins, 1.1 * a)
    assert np.allclose(cosines, -0.5)
    assert np.linalg.matrix_rank(spins, tol=1e-9) == 2
    # a spiral has half of its weight at q and half at -q
    assert structure_factor(sites, spins, [4 * np.pi / (3 * a), 0]) == pytest.approx(sites.n_sites / 2)
    assert structure_factor(sites, spins, [0, 0]) == pytest.approx(0, abs=1e-9)


def test_spiral_turns_by_q_around_its_normal():
    q = 2 * np.pi * 3 / 16
    sites, spins = state(Crystal("chain", 16), order="spiral", q=[q], axis=[0, 0, 2])
    assert np.allclose(spins[:, 2], 0)
    turn = np.cross(spins, np.roll(spins, -1, axis=0))[:, 2]
    assert np.allclose(turn, np.sin(q))  # counter-clockwise about the axis as x grows, across the boundary too
    assert structure_factor(sites, spins, [q]) == pytest.approx(8)
    assert structure_factor(sites, spins, [-q]) == pytest.approx(8)


def test_wave_vectors_are_rounded_to_the_box_along_periods_only():
    _, spins = state(Crystal("chain", 16), order="spiral", q=[2 * np.pi * 3.4 / 16], axis=[0, 0, 1])
    _, exact = state(Crystal("chain", 16), order="spiral", q=[2 * np.pi * 3 / 16], axis=[0, 0, 1])
    assert np.allclose(spins, exact)
    sites, spins = state(Crystal("chain", 16, pbc=False), order="spiral", q=[0.123], axis=[0, 0, 1])
    assert np.allclose(np.cross(spins[:-1], spins[1:])[:, 2], np.sin(0.123))
    # a skew cell: allowed means that the phase around each period is a multiple of 2 pi
    sites = Crystal("triangular", [7, 5]).sites
    q = allowed_wave_vector([0.9, -0.4], sites)
    turns = sites.cell[:2] @ q / (2 * np.pi)
    assert np.allclose(turns, turns.round())
    assert np.abs(turns - sites.cell[:2, :2] @ [0.9, -0.4] / (2 * np.pi)).max() <= 0.5


@pytest.mark.parametrize("order", ["ferro", "neel", "120", "spiral"])
def test_orientation_is_random_unless_given(order):
    crystal = Crystal("triangular" if order == "120" else "square", 6)
    q = {"q": [2 * np.pi / 3, 0]} if order == "spiral" else {}
    sampler = OrderedSpins(order, 0.0, n=400, every=3, **q)
    assert isinstance(sampler, SpinSampler)
    states = [spins for _, spins in sampler.sample(crystal.sites, None, np.random.default_rng(2))]
    first = np.array([spins[0] for spins in states])
    assert np.abs(first.mean(0)).max() < 0.1
    assert np.abs(first.T @ first / 400 - np.eye(3) / 3).max() < 0.07
    # all are one state, turned
    gram = states[0] @ states[0].T
    assert np.allclose(gram, states[1] @ states[1].T)
    handed = [np.linalg.det(np.stack([s[0], s[1], np.cross(s[0], s[1])])) >= 0 for s in states]
    assert all(handed)


def test_the_cone_is_gaussian_around_the_order():
    width = 0.3
    sites = Crystal("square", 100).sites
    _, spins = state(sites, order="ferro", axis=[0, 0, 1], width=width)
    expected = 1 - np.sqrt(2) * width * dawsn(width / np.sqrt(2))
    assert spins[:, 2].mean() == pytest.approx(expected, abs=4 * width**2 / 100)
    angle = np.arccos(spins[:, 2])
    assert (angle**2).mean() == pytest.approx(2 * width**2, rel=0.04)
    azimuth = np.arctan2(spins[:, 1], spins[:, 0])
    assert np.abs(np.exp(1j * azimuth).mean()) < 0.04
    assert np.abs(np.exp(2j * azimuth).mean()) < 0.04


def test_the_cone_survives_any_width():
    spins = canted(np.tile([1.0, 0, 0], (1000, 1)), 50.0, np.random.default_rng(0))
    assert np.allclose(np.linalg.norm(spins, axis=1), 1)
    assert np.abs(spins.mean(0)).max() < 0.1


def test_states_depend_on_the_generator_alone():
    sites = Crystal("square", 4).sites
    sampler = OrderedSpins("neel", 0.2, n=2)
    one, two = (sampler.sample(sites, None, np.random.default_rng(4)) for _ in range(2))
    assert all((a == b).all() for (_, a), (_, b) in zip(one, two, strict=True))
    assert np.abs(one[0][1] - one[1][1]).max() > 0.1


@pytest.mark.parametrize(
    ("sites", "arguments", "says"),
    [
        (Crystal("triangular", 6).sites, {"order": "neel"}, "loop of odd length.*give a wave vector q"),
        (Crystal("square", [5, 4]).sites, {"order": "neel"}, "loop of odd length"),
        (random_sites(30, rng=0), {"order": "neel", "neighbour_range": 1.4}, "loop of odd length"),
        (Crystal("square", 4).sites, {"order": "neel", "neighbour_range": 1e6}, "longer than the whole system"),
        (Crystal("triangular", [6, 4]).sites, {"order": "120"}, "would differ by .* multiples of 3"),
        (Crystal("square", 6).sites, {"order": "120"}, "needs a triangular"),
        (Crystal("chain", 1, pbc=False).sites, {"order": "120"}, "no site has a neighbour"),
    ],
)
def test_sites_that_do_not_allow_an_order(sites, arguments, says):
    with pytest.raises(InputError, match=says):
        OrderedSpins(**arguments).sample(sites, None, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"order": "fero"}, "did you mean 'ferro'"),
        ({"order": "spiral"}, "needs its wave vector"),
        ({"order": "ferro", "q": [1.0]}, "takes none"),
        ({"order": "spiral", "q": [1, 2, 3, 4]}, "1 or 2 or 3 finite numbers"),
        ({"order": "spiral", "q": [float("nan")]}, "finite numbers"),
        ({"order": "ferro", "axis": [0, 0, 0]}, "zero vector"),
        ({"order": "ferro", "axis": [0, 1]}, "axis: expected 3"),
        ({"order": "ferro", "width": -1}, "width"),
        ({"order": "neel", "neighbour_range": 0}, "neighbour_range"),
        ({"order": "ferro", "n": 0}, "OrderedSpins.n: expected an integer >= 1"),
        ({"order": "ferro", "every": 1.5}, "OrderedSpins.every"),
    ],
)
def test_bad_orders(arguments, says):
    with pytest.raises(InputError, match=says):
        OrderedSpins(**arguments)


@settings(max_examples=80, deadline=None)
@given(
    st.sampled_from(["width", "q", "axis", "neighbour_range", "n", "every", "order"]),
    st.one_of(st.none(), st.booleans(), st.integers(-2, 5), st.floats(), st.text(max_size=3), st.lists(st.floats())),
)
def test_junk_is_refused_or_works(name, value):
    try:
        sampled = OrderedSpins(**{"order": "neel", name: value}).sample(
            Crystal("square", 4).sites, None, np.random.default_rng(0)
        )
    except UserError:
        return
    assert all(np.isfinite(spins).all() for _, spins in sampled)
