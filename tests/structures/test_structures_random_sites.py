"""Random sites: the exclusion distance, what they depend on, and the requests that cannot be met."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mhipnn.errors import InputError
from mhipnn.structures import RandomSites, RandomSpins, SpinSampler, random_sites, random_spins


def smallest_distance(config):
    """Brute force over the nearest images, a site's own among them."""
    ranges = [(-1, 0, 1) if periodic else (0,) for periodic in config.pbc]
    smallest = np.inf
    for n in itertools.product(*ranges):
        r = np.linalg.norm(config.positions[:, None] - config.positions[None] + np.array(n) @ config.cell, axis=-1)
        if n == (0, 0, 0):
            np.fill_diagonal(r, np.inf)
        smallest = min(smallest, r.min())
    return smallest


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 60), st.sampled_from([2, 3]), st.floats(0.3, 3.0), st.integers(0, 10**6))
def test_no_pair_is_closer_than_r_min_at_any_density(n_sites, dimension, density, seed):
    config = random_sites(n_sites, dimension, density=density, rng=seed)
    default = {2: 0.8, 3: 0.85}[dimension] * density ** (-1 / dimension)
    assert smallest_distance(config) >= default * (1 - 1e-12)
    assert abs(np.linalg.det(config.cell[:dimension, :dimension])) == pytest.approx(n_sites / density)
    inside = config.positions[:, :dimension]
    assert (inside >= 0).all()
    assert (inside < config.cell[0, 0]).all()


def test_two_dimensional_box_lives_in_the_plane():
    config = random_sites(30, rng=1)
    assert config.pbc.tolist() == [True, True, False]
    assert (config.positions[:, 2] == 0).all()
    assert config.cell[2].tolist() == [0, 0, 1]
    assert random_sites(30, 3, rng=1).pbc.all()


def test_sites_are_disordered_not_a_lattice():
    config = random_sites(400, r_min=0.5, rng=0)
    r = np.linalg.norm(config.positions[:, None, :2] - config.positions[None, :, :2], axis=-1)[np.triu_indices(400, 1)]
    shells = np.histogram(r, bins=np.arange(2.0, 6.0, 0.25))
    expected = np.pi * np.diff(shells[1] ** 2) * 200
    # far beyond r_min the pair density of a gas, less what the open corners of the box cut off
    assert (np.abs(shells[0] / expected - 1) < 0.35).all()
    assert smallest_distance(config) < 0.51


def test_rng_decides_everything():
    one, two = random_sites(50, rng=5), random_sites(50, rng=np.random.default_rng(5))
    assert (one.positions == two.positions).all()
    assert (one.spins == two.spins).all()
    assert (RandomSites(50).sample(np.random.default_rng(5)).positions == one.positions).all()
    other = random_sites(50, rng=6)
    assert not np.allclose(one.positions, other.positions)


def test_r_min_zero_leaves_uniform_sites_alone():
    rng = np.random.default_rng(2)
    expected = rng.uniform(0, 4, (16, 2))
    assert (random_sites(16, r_min=0, rng=2).positions[:, :2] == expected).all()


def test_enlarged_keeps_the_disorder():
    small = RandomSites(25, 3, r_min=0.7, density=0.9)
    assert small.enlarged(4) == RandomSites(100, 3, r_min=0.7, density=0.9)


@pytest.mark.parametrize(("dimension", "limit"), [(2, 1.0745), (3, 1.1224)])
def test_beyond_close_packing_is_refused_at_once(dimension, limit):
    with pytest.raises(InputError, match=f"impossible at density 1.*{limit:.3f}"):
        RandomSites(100, dimension, r_min=limit + 1e-3)
    RandomSites(100, dimension, r_min=limit)
    with pytest.raises(InputError, match="impossible"):
        RandomSites(100, dimension, r_min=0.8, density=4.0)


def test_beyond_the_relaxation_says_how_far_it_came():
    with pytest.raises(
        InputError, match=r"r_min = 1.06 was not reached.*closest pair of 23 sites at 1\.0\d+; lower r_min"
    ):
        random_sites(23, r_min=1.06, rng=0)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"n_sites": 0}, "n_sites"),
        ({"n_sites": 2.5}, "n_sites"),
        ({"n_sites": 5, "dimension": 4}, "dimension: expected 1, 2 or 3"),
        ({"n_sites": 5, "density": 0.0}, "density"),
        ({"n_sites": 5, "density": float("nan")}, "density"),
        ({"n_sites": 5, "r_min": -0.1}, "r_min"),
        ({"n_sites": 5, "r_min": "big"}, "r_min"),
    ],
)
def test_bad_input(arguments, name):
    with pytest.raises(InputError, match=name):
        random_sites(**arguments)


def test_random_spins_are_uniform_on_the_sphere():
    spins = random_spins(20_000, np.random.default_rng(0))
    assert np.allclose(np.linalg.norm(spins, axis=1), 1, atol=1e-14)
    assert np.abs(spins.mean(0)).max() < 0.02
    assert np.abs(spins.T @ spins / 20_000 - np.eye(3) / 3).max() < 0.01
    # uniform means that every component is flat on [-1, 1]
    assert np.abs(np.histogram(spins[:, 2], 10, (-1, 1))[0] / 2000 - 1).max() < 0.1


def test_random_spins_sampler():
    sampler = RandomSpins(n=3, every=2)
    assert isinstance(sampler, SpinSampler)
    sites = random_sites(10, rng=0)
    samples = sampler.sample(sites, None, np.random.default_rng(1))
    assert [time for time, _ in samples] == [-1.0] * 3
    assert not np.allclose(samples[0][1], samples[1][1])
    again = sampler.sample(sites, None, np.random.default_rng(1))
    assert all((a == b).all() for (_, a), (_, b) in zip(samples, again, strict=True))


@pytest.mark.parametrize("arguments", [{"n": 0}, {"every": 0}, {"n": 1.5}, {"every": True}])
def test_sampler_refuses_bad_counts(arguments):
    with pytest.raises(InputError, match="integer >= 1"):
        RandomSpins(**arguments)


def test_one_dimension_is_hard_rods():
    """Gaps of a Tonks gas are r_min plus an exponential variable; the pair density is the same everywhere."""
    config = random_sites(4000, 1, rng=3)
    assert config.pbc.tolist() == [True, False, False]
    assert (config.positions[:, 1:] == 0).all()
    assert config.cell.tolist() == [[4000, 0, 0], [0, 1, 0], [0, 0, 1]]
    x = config.positions[:, 0]
    assert (x >= 0).all()
    assert (x < 4000).all()
    gaps = np.append(np.diff(x), x[0] + 4000 - x[-1]) - 0.75
    assert gaps.min() > -1e-9
    assert gaps.mean() == pytest.approx(0.25)
    assert (gaps**2).mean() == pytest.approx(2 * 0.25**2, rel=0.1)
    dense = random_sites(7, 1, r_min=1.0, rng=0)
    assert np.allclose(np.diff(dense.positions[:, 0]), 1)
    with pytest.raises(InputError, match=r"impossible at density 2 in 1-D: even close packing reaches only 0.5"):
        random_sites(7, 1, r_min=0.6, density=2.0)


def test_the_sites_of_published_datasets_stay():
    """Frozen numbers: labels are found again by the definition alone, so its sites may never change."""
    sites = random_sites(100, rng=0)
    drawn = [sites.positions[17, 0], sites.positions[99, 1], sites.spins[50, 2]]
    # nothing more is drawn: the seeds of the noise of simulations come next
    rng, by_hand = np.random.default_rng(0), np.random.default_rng(0)
    RandomSites(100).sample(rng)
    by_hand.uniform(size=(100, 2))
    by_hand.normal(size=(100, 3))
    assert rng.integers(2**63) == by_hand.integers(2**63)
    assert drawn == pytest.approx([4.8636456672454065, 6.427875546406378, 0.3453344167908942], rel=1e-12)
