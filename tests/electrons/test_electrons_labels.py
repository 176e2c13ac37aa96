"""Labels of the s-d model: against a second dense computation, and against differences of the energy itself."""

from __future__ import annotations

from dataclasses import replace

import dense_reference
import numpy as np
import pytest

from mhipnn import SpinConfiguration
from mhipnn.electrons import ExponentialHopping, SDModel
from mhipnn.structures import random_sites, random_spins


def skewed_cell() -> SpinConfiguration:
    """Three sites in a skewed cell smaller than the cutoff, one of them outside the cell."""
    rng = np.random.default_rng(4)
    cell = np.array([[1.3, 0.1, 0.0], [0.6, 1.5, 0.2], [-0.3, 0.4, 1.6]])
    fractions = np.array([[0.0, 0.1, 0.0], [0.5, 0.4, 0.6], [-1.2, 2.7, 0.3]])
    return SpinConfiguration(fractions @ cell, cell, True, random_spins(3, rng))


def cluster() -> SpinConfiguration:
    """Five sites in a slab that is periodic along one vector only."""
    rng = np.random.default_rng(8)
    positions = np.array([[0, 0, 0], [1, 0.3, 0], [0.4, 1.2, 0.2], [1.6, 1.1, -0.5], [0.2, 0.6, 1.1]])
    return SpinConfiguration(positions, 3.1 * np.eye(3), (True, False, False), random_spins(5, rng))


SYSTEMS = {
    "2-D": random_sites(24, rng=0),
    "3-D": random_sites(20, 3, rng=1),
    "skewed small cell": skewed_cell(),
    "cluster": cluster(),
    "one site": random_sites(1, rng=2),
}
MODELS = {
    "half filling": {"J": 3.0, "filling": 1.0, "temperature": 0.05},
    "metal": {"J": 1.0, "filling": 0.73, "temperature": 0.05},
    "antiferro coupling, hot": {"J": -2.0, "filling": 1.4, "temperature": 0.5},
    "fixed mu": {"J": 1.5, "mu": -0.4, "temperature": 0.1},
    "no coupling": {"J": 0.0, "mu": 0.3, "temperature": 0.2},
}


def central_difference(function, step=6e-4):
    """f'(0) to O(step^4)."""
    near, far = function(step) - function(-step), function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_second_dense_computation(system, model):
    config, parameters = SYSTEMS[system], dict(MODELS[model])
    ours = SDModel(**parameters).evaluate(config, forces=False)
    theirs = dense_reference.solve(config, parameters.pop("J"), parameters.pop("temperature"), **parameters)
    assert abs(ours.energy - theirs.energy) / config.n_sites < 1e-10
    assert np.abs(ours.field - theirs.field).max() < 1e-9
    assert np.abs(ours.torque - np.cross(config.spins, theirs.field)).max() < 1e-9
    assert np.abs(ours.density - theirs.density).max() < 1e-9
    assert ours.site_energy.sum() == pytest.approx(ours.energy, abs=1e-10)
    if "filling" in parameters:
        assert ours.density.sum() == pytest.approx(parameters["filling"] * config.n_sites, abs=1e-11)


def test_second_dense_computation_with_another_hopping():
    parameters = {"t0": 0.7, "r0": 1.2, "xi": 0.8, "r_on": 0.9, "r_cut": 1.9}
    ours = SDModel(2.0, 0.9, hopping=ExponentialHopping(**parameters)).evaluate(SYSTEMS["skewed small cell"])
    theirs = dense_reference.solve(SYSTEMS["skewed small cell"], 2.0, 0.05, filling=0.9, **parameters)
    assert ours.energy == pytest.approx(theirs.energy, abs=1e-10)
    assert np.abs(ours.field - theirs.field).max() < 1e-9


@pytest.mark.parametrize("model", ["half filling", "metal", "fixed mu"])
@pytest.mark.parametrize("system", ["2-D", "3-D", "skewed small cell", "cluster"])
def test_fields_and_torques_are_differences_of_the_energy(system, model):
    config, exact = SYSTEMS[system], SDModel(**MODELS[model])
    labels = exact.evaluate(config, forces=False)

    def energy(spins):
        return exact.evaluate(config.with_spins(spins), forces=False).energy

    for site in (0, config.n_sites - 1):
        for axis in range(3):
            unit = np.zeros((config.n_sites, 3))
            unit[site, axis] = 1.0
            slope = central_difference(lambda h, unit=unit: energy(config.spins + h * unit))
            assert abs(-slope - labels.field[site, axis]) < 1e-7
            # turning S_i about an axis n by phi: dE/dphi = -B.(n x S) = -n.(S x B) = -tau.n
            slope = central_difference(
                lambda h, n=unit[site], k=site: energy(turned(config.spins, k, n, h)),
            )
            assert abs(-slope - labels.torque[site, axis]) < 1e-7


def turned(spins, site, axis, angle):
    """Rodrigues: spin ``site`` turned counter-clockwise about ``axis``."""
    S, result = spins[site], spins.copy()
    result[site] = S * np.cos(angle) + np.cross(axis, S) * np.sin(angle) + axis * (axis @ S) * (1 - np.cos(angle))
    return result


@pytest.mark.parametrize("model", ["metal", "fixed mu"])
@pytest.mark.parametrize("system", ["2-D", "3-D", "skewed small cell", "cluster"])
def test_forces_are_differences_of_the_energy(system, model):
    config, exact = SYSTEMS[system], SDModel(**MODELS[model])
    labels = exact.evaluate(config)
    assert np.abs(labels.forces.sum(0)).max() < 1e-11
    for site in (0, config.n_sites - 1):
        for axis in range(3):
            shift = np.zeros((config.n_sites, 3))
            shift[site, axis] = 1.0
            slope = central_difference(
                lambda h, shift=shift: (
                    exact.evaluate(replace(config, positions=config.positions + h * shift), forces=False).energy
                )
            )
            assert abs(-slope - labels.forces[site, axis]) < 1e-7
