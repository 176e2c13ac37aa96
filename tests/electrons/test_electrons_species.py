"""J and on-site energies by species: against the second dense computation and differences of the energy."""

from __future__ import annotations

from dataclasses import replace

import dense_reference
import numpy as np
import pytest
import torch
from hydra.utils import instantiate

from mhipnn import SpinConfiguration
from mhipnn.electrons import SDModel
from mhipnn.errors import InputError
from mhipnn.structures import random_sites

J, ONSITE = (2.0, -1.1, 0.0), (0.4, -0.7, 1.3)


def alloy(seed=0, n_sites=14):
    """Random sites of three species, some of their spins longer than 1."""
    rng = np.random.default_rng(seed)
    sites = random_sites(n_sites, rng=seed)
    spins = sites.spins * rng.uniform(0.5, 2.0, (n_sites, 1))
    return replace(sites, spins=spins, species=rng.integers(0, 3, n_sites))


@pytest.mark.parametrize("ensemble", [{"filling": 0.9}, {"mu": -0.4}])
def test_second_dense_computation(ensemble):
    config = alloy()
    ours = SDModel(J, temperature=0.1, onsite=ONSITE, **ensemble).evaluate(config)
    by_site = np.array(J)[config.species], np.array(ONSITE)[config.species]
    theirs = dense_reference.solve(config, by_site[0], 0.1, onsite=by_site[1], **ensemble)
    assert ours.energy == pytest.approx(theirs.energy, abs=1e-10)
    assert np.abs(ours.field - theirs.field).max() < 1e-9
    assert np.abs(ours.density - theirs.density).max() < 1e-9
    assert np.abs(ours.field[config.species == 2]).max() == 0


@pytest.mark.parametrize("what", ["spins", "positions"])
def test_fields_and_forces_are_differences_of_the_energy(what):
    config, exact = alloy(), SDModel(J, 0.9, 0.1, onsite=ONSITE)
    labels = exact.evaluate(config)
    exact_slopes = labels.field if what == "spins" else labels.forces
    for site in range(3):
        for axis in range(3):
            shift = np.zeros((config.n_sites, 3))
            shift[site, axis] = 1.0

            def energy(h, shift=shift):
                moved = replace(config, **{what: getattr(config, what) + h * shift})
                return exact.evaluate(moved, forces=False).energy

            slope = (8 * (energy(6e-4) - energy(-6e-4)) - (energy(12e-4) - energy(-12e-4))) / (12 * 6e-4)
            assert abs(-slope - exact_slopes[site, axis]) < 1e-7


def test_equal_values_for_all_species_are_one_value():
    config = alloy()
    one, many = SDModel(1.5, mu=0.2).evaluate(config), SDModel([1.5] * 3, mu=0.5, onsite=[0.3] * 3).evaluate(config)
    for name in ("energy", "field", "forces", "density", "site_energy"):
        assert np.allclose(getattr(one, name), getattr(many, name), rtol=0, atol=1e-12)


def test_replicas_of_a_batch_have_species_of_their_own():
    configs = [alloy(seed) for seed in range(3)]
    exact = SDModel(J, 0.9, onsite=ONSITE)
    energies, fields = exact.prepare(configs)(torch.as_tensor(np.stack([config.spins for config in configs])))
    for config, energy, field in zip(configs, energies, fields, strict=True):
        single = exact.evaluate(config, forces=False)
        assert float(energy) == pytest.approx(single.energy, abs=1e-11)
        assert np.abs(field.numpy() - single.field).max() < 1e-10


def test_lists_from_the_command_line_and_single_precision():
    node = {"_target_": "mhipnn.electrons.SDModel", "J": [2, -1.1, 0], "filling": 0.9, "onsite": list(ONSITE)}
    exact = instantiate(node)
    assert exact == SDModel(J, 0.9, onsite=ONSITE)
    assert hash(exact) == hash(SDModel(J, 0.9, onsite=ONSITE))
    coarse = replace(exact, dtype="float32").evaluate(alloy())
    assert np.allclose(coarse.field, exact.evaluate(alloy()).field, atol=1e-4)


@pytest.mark.parametrize(("name", "values"), [("J", {"J": [1.0, 2.0]}), ("onsite", {"J": 1.0, "onsite": [0.0, 1.0]})])
def test_a_species_without_a_value_is_named(name, values):
    config = SpinConfiguration(np.diag([0.0, 1, 2]), 9 * np.eye(3), True, np.eye(3), species=[0, 1, 2])
    with pytest.raises(InputError, match=rf"{name}: no value for species 2 of site 2; got 2 value\(s\)"):
        SDModel(filling=1.0, **values).evaluate(config)
