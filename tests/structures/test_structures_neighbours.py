"""Neighbour lists against a brute force over images that knows nothing of cell lists."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mhipnn.errors import InputError
from mhipnn.structures import neighbour_list


def brute_force(positions, cell, pbc, cutoff):
    """{(i, j, n): r} with r = |R_j - R_i + n @ cell| < cutoff over a range of images that surely covers the cutoff."""
    heights = 1 / np.linalg.norm(np.linalg.inv(cell), axis=0)
    spread = np.ptp(positions @ np.linalg.inv(cell), axis=0)
    reach = [int(np.ceil(cutoff / h + s)) + 1 if p else 0 for h, s, p in zip(heights, spread, pbc, strict=True)]
    pairs = {}
    for n in itertools.product(*(range(-k, k + 1) for k in reach)):
        r = np.linalg.norm(positions[None, :] - positions[:, None] + np.array(n) @ cell, axis=-1)
        for i, j in np.argwhere(r < cutoff).tolist():
            if i != j or any(n):
                pairs[i, j, n] = r[i, j]
    return pairs


def as_set(edges, cell):
    shift = edges.offset @ np.linalg.inv(cell)
    assert np.allclose(shift, np.round(shift), atol=1e-9)
    shift = np.round(shift).astype(int)
    return {(int(i), int(j), tuple(map(int, n))) for i, j, n in zip(edges.receiver, edges.source, shift, strict=True)}


@st.composite
def cells(draw):
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    cell = np.diag(rng.uniform(0.8, 2.5, 3)) + draw(st.sampled_from([0.0, 0.5, 0.9])) * rng.uniform(-1, 1, (3, 3))
    pbc = draw(st.tuples(st.booleans(), st.booleans(), st.booleans()))
    n_sites = draw(st.integers(1, 6))
    outside = draw(st.sampled_from([1.0, 3.0]))
    positions = rng.uniform(-(outside - 1), outside, (n_sites, 3)) @ cell
    return positions, cell[rng.permutation(3)], pbc, draw(st.floats(0.3, 2.2))


@settings(max_examples=60, deadline=None)
@given(cells())
def test_edges_equal_brute_force_over_images(case):
    positions, cell, pbc, cutoff = case
    assume(min(1 / np.linalg.norm(np.linalg.inv(cell), axis=0)) > 0.4)
    expected = brute_force(positions, cell, pbc, cutoff + 1e-9)
    assume(all(abs(r - cutoff) > 1e-9 and r > 1e-6 for r in expected.values()))
    edges = neighbour_list(positions, cell, pbc, cutoff)
    assert len(edges.source) == len(expected)
    assert as_set(edges, cell) == set(expected)
    vectors = positions[edges.source] - positions[edges.receiver] + edges.offset
    assert (np.linalg.norm(vectors, axis=1) < cutoff).all()


def test_order_is_by_receiver_then_source_and_repeatable():
    rng = np.random.default_rng(3)
    positions, cell = rng.uniform(0, 3, (12, 3)), 3 * np.eye(3)
    edges = neighbour_list(positions, cell, True, 2.0)
    rank = edges.receiver * 12 + edges.source
    assert (np.diff(rank) >= 0).all()
    again = neighbour_list(positions, cell, True, 2.0)
    assert all((a == b).all() for a, b in zip(edges, again, strict=True))
    assert edges.source.dtype == edges.receiver.dtype == np.int64
    assert edges.offset.dtype == np.float64


def test_one_site_sees_its_own_images():
    edges = neighbour_list(np.zeros((1, 3)), np.eye(3), (True, True, False), 1.2)
    assert sorted(map(tuple, edges.offset)) == [(-1, 0, 0), (0, -1, 0), (0, 1, 0), (1, 0, 0)]
    assert not edges.source.any()


def test_no_edges_keep_their_shapes():
    edges = neighbour_list(np.array([[0.0, 0, 0], [5, 0, 0]]), np.eye(3), False, 1.0)
    assert edges.source.shape == edges.receiver.shape == (0,)
    assert edges.offset.shape == (0, 3)


def test_cutoff_is_exclusive():
    assert len(neighbour_list([[0, 0, 0], [1.5, 0, 0]], np.eye(3), False, 1.5).source) == 0


@pytest.mark.parametrize(("cutoff", "n_edges"), [(5e-324, 0), (1e-9, 0), (3e-7, 2), (1e-6, 2)])
def test_tiny_cutoffs(cutoff, n_edges):
    assert len(neighbour_list([[0, 0, 0], [2e-7, 0, 0]], np.eye(3), False, cutoff).source) == n_edges


@pytest.mark.parametrize("cutoff", [0, -1.0, np.nan, np.inf])
def test_bad_cutoff(cutoff):
    with pytest.raises(InputError, match="cutoff"):
        neighbour_list(np.zeros((1, 3)), np.eye(3), False, cutoff)


def test_coincident_sites_are_named_also_across_a_period():
    positions = np.array([[0.1, 0, 0], [0.6, 0.2, 0], [0.5, 1.0, 0], [1.5, 1.0, 0]])
    with pytest.raises(InputError, match="sites 2 and 3 are at the same place"):
        neighbour_list(positions, np.diag([1.0, 2, 1]), (True, False, False), 1.3)
    neighbour_list(positions, np.diag([1.0, 2, 1]), False, 0.9)
