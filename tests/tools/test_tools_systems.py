"""Repeated realisations are as periodic and as dense as the one that they repeat."""

from __future__ import annotations

import numpy as np
import pytest
import systems

from mhipnn.structures import neighbour_list


@pytest.mark.parametrize(("asked", "made"), [(40, 40), (250, 250), (299, 300)])
def test_random_system(monkeypatch, asked, made):
    monkeypatch.setattr(systems, "MOST_REALISED", 50)
    config = systems.random_system(asked)
    assert config.n_sites == made
    assert np.linalg.det(config.cell[:2, :2]) == pytest.approx(made)
    assert len(np.unique(config.spins, axis=0)) == made
    np.testing.assert_allclose(np.linalg.norm(config.spins, axis=1), 1)
    assert not len(neighbour_list(config.positions, config.cell, config.pbc, 0.799).source)


def test_every_copy_has_the_neighbours_of_the_original(monkeypatch):
    monkeypatch.setattr(systems, "MOST_REALISED", 50)
    one, six = systems.random_system(50), systems.random_system(300)
    counts = [
        np.bincount(neighbour_list(c.positions, c.cell, c.pbc, 3.0).receiver, minlength=c.n_sites) for c in (one, six)
    ]
    np.testing.assert_array_equal(counts[1].reshape(6, 50), np.tile(counts[0], (6, 1)))
