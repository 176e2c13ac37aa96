"""Step filling: the lowest levels, the limit of small kT, a warning where the last electrons have a choice."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from lattices import band_energies, crystal

from mhipnn import SpinConfiguration
from mhipnn.electrons import DegeneracyWarning, SDModel, ShellHopping
from mhipnn.errors import InputError
from mhipnn.structures import random_sites

NEAREST = ShellHopping(tolerance=0.1)
CONFIG = random_sites(20, rng=4)
SAME = ("energy", "mu", "field", "density", "site_energy", "forces")


def difference(one, other):
    return {name: np.abs(np.subtract(getattr(one, name), getattr(other, name))).max() for name in SAME}


@pytest.mark.parametrize("filling", [0.35, 1.0, 1.6])
def test_energy_is_the_sum_of_the_lowest_levels(filling):
    cold = SDModel(1.5, filling, 0.0)
    result, levels = cold.evaluate(CONFIG), cold.state(CONFIG).levels[0].numpy()
    number = round(20 * filling)
    assert result.energy == pytest.approx(levels[:number].sum(), abs=1e-11)
    assert levels[number - 1] < result.mu < levels[number]
    assert result.density.sum() == pytest.approx(number, abs=1e-11)
    assert result.site_energy.sum() == pytest.approx(result.energy, abs=1e-11)


def test_it_is_the_limit_of_small_temperatures():
    at_gap = difference(SDModel(1.5, 1.0, 0.0).evaluate(CONFIG), SDModel(1.5, 1.0, 2e-3).evaluate(CONFIG))
    assert max(at_gap.values()) < 1e-9
    fixed = difference(
        SDModel(1.5, mu=-0.3, temperature=0.0).evaluate(CONFIG),
        SDModel(1.5, mu=-0.3, temperature=1e-4).evaluate(CONFIG),
    )
    assert max(fixed.values()) < 1e-9


@pytest.mark.parametrize("ensemble", [{"filling": 0.7}, {"mu": -0.3}])
def test_fields_are_differences_of_the_energy(ensemble):
    cold = SDModel(1.5, temperature=0.0, **ensemble)
    field = cold.evaluate(CONFIG, forces=False).field
    for axis in range(3):
        shift = np.zeros((20, 3))
        shift[3, axis] = 1e-4
        up, down = (cold.evaluate(CONFIG.with_spins(CONFIG.spins + s * shift), forces=False).energy for s in (1, -1))
        assert abs(-(up - down) / 2e-4 - field[3, axis]) < 1e-6


def test_a_shell_at_the_fermi_level_warns_and_is_shared_alike():
    magnet = crystal("square", 4)
    cold = SDModel(0.0, 1.0, 0.0, hopping=NEAREST)
    # k = (pi/2, pi/2), ... : six states of each spin at e = 0, and half of them filled
    with pytest.warns(DegeneracyWarning, match=r"12 level\(s\) of replica 0 lie at the Fermi level"):
        result = cold.evaluate(magnet, forces=False)
    assert result.energy == pytest.approx(2 * band_energies("square", 4)[:8].sum(), abs=1e-10)
    assert np.abs(result.field).max() == 0
    assert np.abs(result.density - 1).max() < 1e-10
    # an open shell: e = -4.5 and -3.5 are filled, and two electrons share the fourfold e = -2.5
    open_shell = SDModel(0.5, 4 / 16, 0.0, hopping=NEAREST)
    with pytest.warns(DegeneracyWarning, match=r"4 level\(s\)"):
        shared = open_shell.evaluate(magnet, forces=False)
    limit = SDModel(0.5, 4 / 16, 1e-3, hopping=NEAREST).evaluate(magnet, forces=False)
    assert np.abs(shared.field - limit.field).max() < 1e-10
    assert np.abs(shared.density - limit.density).max() < 1e-10
    with pytest.warns(DegeneracyWarning, match=r"1 level\(s\)"):
        at_mu = SDModel(0.5, mu=-4.5, temperature=0.0, hopping=NEAREST).evaluate(magnet, forces=False)
    assert at_mu.density.sum() == pytest.approx(0.5, abs=1e-10)


def test_the_warning_names_the_replica_and_closed_shells_are_quiet():
    disordered = crystal("square", 4, lambda positions: np.random.default_rng(0).normal(size=positions.shape))
    configs = [disordered, crystal("square", 4, (0.0, 0.0, 0.0))]
    frozen = SDModel(2.0, 1.0, 0.0, hopping=NEAREST).prepare(configs)
    with pytest.warns(DegeneracyWarning, match="of replica 1"):
        frozen.state(frozen.spins_of(configs))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SDModel(5.0, 1.0, 0.0, hopping=NEAREST).evaluate(crystal("square", 4), forces=False)


def test_single_precision_sees_the_same_shells():
    magnet = crystal("square", 4)
    with pytest.warns(DegeneracyWarning, match=r"12 level\(s\)"):
        SDModel(0.0, 1.0, 0.0, hopping=NEAREST, dtype="float32").evaluate(magnet, forces=False)


@pytest.mark.parametrize("filling", [0.33, 1e-12, 2 - 1e-12])
def test_fractions_of_an_electron_are_refused(filling):
    with pytest.raises(InputError, match="temperature 0 needs a whole number of electrons between 1 and 39, got"):
        SDModel(1.0, filling, 0.0).evaluate(CONFIG)


@pytest.mark.slow
def test_published_fields_of_the_kondo_square_lattice():
    """Step filling of 864 electrons on 30 x 30 sites at J = 3.5: Y. Miyazaki, arXiv:2305.03804 (float32 arrays)."""
    path = os.environ.get("MHIPNN_KONDO_SQUARE")
    if not path:
        pytest.skip("set MHIPNN_KONDO_SQUARE to the path of kondo_square.npz")
    with np.load(path, allow_pickle=False) as data:
        config = SpinConfiguration(data["positions"], data["cell"], data["pbc"], data["spins_test"][0])
        field, energy = data["fields_test"][0], data["energy_test"][0]
    result = SDModel(3.5, 864 / 900, 0.0, hopping=ShellHopping([1.0], [1.0])).evaluate(config, forces=False)
    assert np.abs(result.field - field).max() < 2e-5
    assert result.energy == pytest.approx(float(energy), abs=1e-3)
    assert result.density.sum() == pytest.approx(864, abs=1e-9)
