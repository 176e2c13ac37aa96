"""Lattices: their shells, densities and sizes; displaced and diluted ones; species; bad input."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn.errors import InputError, UserError
from mhipnn.structures import (
    LATTICES,
    Crystal,
    DilutedLattice,
    DisplacedLattice,
    RandomSites,
    Species,
    neighbour_list,
)

S3 = math.sqrt(3)
# name: dimension, sites of 6 cells a direction, nearest distance at density 1, then (neighbours, distance / nearest)
# of the first two shells; distances by hand from the area or volume of a site
SHELLS = {
    "chain": (1, 6, 1.0, (2, 1), (2, 2)),
    "square": (2, 36, 1.0, (4, 1), (4, math.sqrt(2))),
    "triangular": (2, 36, math.sqrt(2 / S3), (6, 1), (6, S3)),
    "honeycomb": (2, 72, math.sqrt(4 / (3 * S3)), (3, 1), (6, S3)),
    "kagome": (2, 108, math.sqrt(S3 / 2), (4, 1), (4, S3)),
    "cubic": (3, 216, 1.0, (6, 1), (12, math.sqrt(2))),
    "bcc": (3, 432, S3 / 2 * 2 ** (1 / 3), (8, 1), (6, 2 / S3)),
    "fcc": (3, 864, 4 ** (1 / 3) / math.sqrt(2), (12, 1), (6, math.sqrt(2))),
}


def distances(config, cutoff):
    edges = neighbour_list(config.positions, config.cell, config.pbc, cutoff)
    return edges, np.linalg.norm(
        config.positions[edges.source] - config.positions[edges.receiver] + edges.offset, axis=1
    )


def test_every_lattice_is_tested():
    assert set(SHELLS) == set(LATTICES)


@pytest.mark.parametrize("name", LATTICES)
@pytest.mark.parametrize("density", [1.0, 0.3])
def test_shells_density_and_size(name, density):
    dimension, n_sites, nearest, first, second = SHELLS[name]
    crystal = Crystal(name, 6, density=density)
    config = crystal.sample(np.random.default_rng(0))
    nearest *= density ** (-1 / dimension)
    assert config.n_sites == crystal.n_sites == n_sites
    assert config.pbc.tolist() == [True] * dimension + [False] * (3 - dimension)
    assert abs(np.linalg.det(config.cell[:dimension, :dimension])) == pytest.approx(n_sites / density)
    assert (config.positions[:, dimension:] == 0).all()
    assert (config.cell[dimension:] == np.eye(3)[dimension:]).all()
    edges, r = distances(config, second[1] * nearest * 1.01)
    inner = np.isclose(r, nearest, rtol=1e-12)
    assert np.allclose(r[~inner], second[1] * nearest, rtol=1e-12)
    assert (np.bincount(edges.receiver[inner], minlength=n_sites) == first[0]).all()
    assert (np.bincount(edges.receiver[~inner], minlength=n_sites) == second[0]).all()


@pytest.mark.parametrize("name", LATTICES)
def test_lattice_constant_is_the_first_cell_vector(name):
    crystal = Crystal(name, 2, lattice_constant=1.7)
    assert np.linalg.norm(crystal.sites.cell[0]) == pytest.approx(3.4)
    bare = Crystal(name, 2, density=None)
    assert np.allclose(crystal.sites.positions, 1.7 * bare.sites.positions)


def test_open_directions_lose_their_bonds():
    strip = Crystal("square", [4, 5], pbc=[True, False]).sample(np.random.default_rng(0))
    assert strip.pbc.tolist() == [True, False, False]
    edges, _ = distances(strip, 1.1)
    assert len(edges.source) == 2 * (20 + 16)
    flake = Crystal("square", [4, 5], pbc=False)
    assert len(distances(flake.sites, 1.1)[0].source) == 2 * (15 + 16)


@pytest.mark.parametrize(
    ("crystal", "factor", "cells"),
    [
        (Crystal("square", [10, 10]), 4, (20, 20)),
        (Crystal("square", [4, 12]), 6, (24, 12)),
        (Crystal("cubic", 5), 8, (10, 10, 10)),
        (Crystal("chain", 7), 5, (35,)),
        (Crystal("square", [3, 3]), 1, (3, 3)),
    ],
)
def test_enlarged_has_factor_times_the_sites(crystal, factor, cells):
    large = crystal.enlarged(factor)
    assert large.cells == cells
    assert large == replace(crystal, cells=cells)
    assert large.n_sites == factor * crystal.n_sites


def test_samples_share_sites_and_differ_in_spins():
    crystal = Crystal("kagome", [3, 2])
    one, two, again = (crystal.sample(np.random.default_rng(seed)) for seed in (1, 2, 1))
    assert (one.positions == two.positions).all()
    assert np.abs(one.spins - two.spins).max() > 0.1
    assert (one.spins == again.spins).all()
    assert np.allclose(np.linalg.norm(one.spins, axis=1), 1)


def test_displacements_are_gaussian_in_mean_spacings_along_the_lattice():
    lattice = DisplacedLattice("triangular", 60, density=0.25, width=0.1)
    config = lattice.sample(np.random.default_rng(3))
    moved = config.positions - lattice.sites.positions
    assert (moved[:, 2] == 0).all()
    spread = moved[:, :2].T @ moved[:, :2] / lattice.n_sites
    assert np.abs(spread - 0.04 * np.eye(2)).max() < 0.002  # (0.1 * 2)^2; 3 standard errors
    assert np.mean(moved[:, :2] ** 4) == pytest.approx(3 * 0.04**2, rel=0.1)
    assert not DisplacedLattice("chain", 50, width=0.2).sample(np.random.default_rng(0)).positions[:, 1:].any()
    still = DisplacedLattice("square", 4, width=0.0).sample(np.random.default_rng(0))
    assert (still.positions == Crystal("square", 4).sites.positions).all()


def test_displaced_sites_keep_apart_if_asked():
    free = DisplacedLattice("square", 8, width=0.15)
    apart = replace(free, r_min=0.75)
    rng = np.random.default_rng(5)
    assert distances(free.sample(rng), 0.75)[1].size > 0
    assert distances(apart.sample(rng), 0.75)[1].size == 0
    # what needed no second draw has stayed: few sites moved
    one, two = (s.sample(np.random.default_rng(6)) for s in (free, apart))
    assert 0.3 < (one.positions == two.positions).all(1).mean() < 1


def test_distances_that_cannot_be_reached_say_so():
    lattice = DisplacedLattice("square", 4, width=0.3, r_min=0.99)
    with pytest.raises(
        InputError, match=r"r_min = 0.99 was not reached at width 0.3.*of 16 sites.*lower r_min or width"
    ):
        lattice.sample(np.random.default_rng(0))


@pytest.mark.parametrize(("fraction", "left"), [(0.0, 25), (0.1, 23), (0.5, 13), (0.9, 3)])
def test_vacancies_are_exact_and_in_random_places(fraction, left):
    lattice = DilutedLattice("square", 5, vacancies=fraction)
    configs = [lattice.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert {config.n_sites for config in configs} == {left} == {lattice.n_sites}
    full = {tuple(site) for site in lattice.sites.positions}
    assert all({tuple(site) for site in config.positions} < full | {()} for config in configs)
    assert len({config.positions.tobytes() for config in configs}) in ([1] if fraction == 0 else [18, 19, 20])
    assert lattice.enlarged(4).sample(np.random.default_rng(0)).n_sites == 4 * left
    # every site is empty equally often
    if fraction == 0.5:
        counts = sum(np.isin(np.arange(25), (c.positions[:, 0] * 5 + c.positions[:, 1]).round()) for c in configs)
        assert counts.min() > 2
        assert counts.max() < 19


def test_species_have_exact_numbers_and_change_nothing_else():
    mixed = {"fractions": [0.7, 0.2, 0.1]}
    for plain in (
        RandomSites(40),
        RandomSites(40, 1),
        Crystal("kagome", [4, 4]),
        DisplacedLattice("square", 6),
        DilutedLattice("cubic", 4, vacancies=0.25),
    ):
        alloy = replace(plain, species=mixed)
        one, two = (structure.sample(np.random.default_rng(7)) for structure in (plain, alloy))
        assert (one.species == 0).all()
        assert (one.positions == two.positions).all()
        assert (one.spins == two.spins).all()
        n = one.n_sites
        counts = np.bincount(two.species, minlength=3)
        assert counts.sum() == n
        assert np.abs(counts - n * np.array([0.7, 0.2, 0.1])).max() < 1
        assert not (np.sort(two.species) == two.species).all()
        assert (two.species != alloy.sample(np.random.default_rng(8)).species).any()
        assert np.bincount(alloy.enlarged(2).sample(np.random.default_rng(0)).species).sum() == 2 * n
        hash(alloy)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 20), min_size=1, max_size=5), st.integers(1, 200))
def test_largest_remainder_adds_up(weights, n_sites):
    fractions = [weight / sum(weights) for weight in weights]
    counts = Species(fractions).counts(n_sites)
    assert sum(counts) == n_sites
    assert all(abs(count - n_sites * fraction) < 1 for count, fraction in zip(counts, fractions, strict=True))


@pytest.mark.parametrize(
    ("species", "says"),
    [
        ({"fractions": [0.5, 0.4]}, "add up to 0.9"),
        ({"fractions": [1.5, -0.5]}, "> 0, got -0.5"),
        ({"fractions": []}, "list of numbers"),
        ({"fractions": "ab"}, "list of numbers"),
        ({"fraction": [1.0]}, "expected {fractions"),
        ([0.5, 0.5], "expected {fractions"),
    ],
)
def test_bad_species(species, says):
    for structure in (RandomSites, Crystal):
        with pytest.raises(InputError, match=says):
            structure(**({"n_sites": 4} if structure is RandomSites else {}), species=species)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"lattice": "sqare"}, "unknown 'sqare'; did you mean 'square'"),
        ({"lattice": 3}, "expected a name or the path"),
        ({"lattice": "cubic", "cells": [4, 4]}, "cells: cubic has 3 directions, got 2 values"),
        ({"cells": [4, 0]}, "cells: expected an integer >= 1, got 0"),
        ({"cells": 2.5}, "cells: expected an integer"),
        ({"pbc": [True]}, "pbc: square has 2 directions, got 1"),
        ({"pbc": ["yes", "no"]}, "pbc: expected true or false"),
        ({"density": 0}, "density: expected a number > 0"),
        ({"lattice_constant": -1}, "lattice_constant: expected a number > 0"),
        ({"sha256": "0"}, "sha256: square is a named lattice"),
    ],
)
def test_bad_crystals(arguments, says):
    with pytest.raises(InputError, match=says):
        Crystal(**arguments)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: DisplacedLattice(width=-0.1), "width"),
        (lambda: DisplacedLattice(width=float("inf")), "width"),
        (lambda: DisplacedLattice(r_min="far"), "r_min: expected a number"),
        (lambda: DisplacedLattice(r_min=1e6), "close packing reaches only 1.075"),
        (lambda: DisplacedLattice("cubic", density=8.0, r_min=0.57), "close packing reaches only 0.5612"),
        (lambda: DilutedLattice(vacancies=1.0), "leaves none"),
        (lambda: DilutedLattice(cells=2, vacancies=0.9), "0.9 of 4 sites leaves none"),
        (lambda: DilutedLattice(vacancies=-0.1), "vacancies"),
        (lambda: Crystal().enlarged(0), "factor: expected an integer >= 1"),
    ],
)
def test_bad_disorder(make, says):
    with pytest.raises(InputError, match=says):
        make()


JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 12),
    st.floats(),
    st.text(max_size=4),
    st.lists(st.integers(-1, 4), max_size=4),
    st.dictionaries(st.sampled_from(["fractions", "x"]), st.lists(st.floats(-1, 2), max_size=3), max_size=2),
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from([Crystal, DisplacedLattice, DilutedLattice]),
    st.sampled_from(["lattice", "cells", "pbc", "lattice_constant", "density", "species", "width", "vacancies"]),
    JUNK,
)
def test_junk_is_refused_or_works(cls, name, value):
    """Never another exception than the user's own."""
    if name not in cls.__dataclass_fields__:
        return
    try:
        structure = cls(**{"cells": 3, name: value})
        config = structure.sample(np.random.default_rng(0))
    except UserError:
        return
    assert config.n_sites == structure.n_sites
