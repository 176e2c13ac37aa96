"""The kernel polynomial method: against diagonalization, and its fields against differences of its own energy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from mhipnn import SpinConfiguration
from mhipnn.electrons import SDModel
from mhipnn.electrons.kpm import KPM
from mhipnn.electrons.kpm.functional import solve
from mhipnn.electrons.kpm.hamiltonian import Hamiltonian
from mhipnn.errors import ConfigError, InputError, NonFiniteError
from mhipnn.potential import Potential
from mhipnn.structures import random_sites, random_spins

SITES = random_sites(60, rng=4)
SMALL = random_sites(20, 3, rng=1)
SKEWED = SpinConfiguration(
    [[0.1, 0.0, 0.2], [0.9, 0.7, 0.9], [-1.3, 2.6, 0.4]],
    [[1.3, 0.1, 0.0], [0.6, 1.5, 0.2], [-0.3, 0.4, 1.6]],
    True,
    random_spins(3, np.random.default_rng(3)),
)
CRUDE = {"regions": KPM(order=30, radius=1.8), "probing": KPM(order=30, radius=2.6, method="probing", seed=3)}
ENSEMBLES = {"fixed number": {"filling": 0.85}, "fixed mu": {"mu": -0.7}}


def central_difference(function, step=1e-3):
    """f'(0) to O(step^4)."""
    near, far = function(step) - function(-step), function(2 * step) - function(-2 * step)
    return (8 * near - far) / (12 * step)


@pytest.mark.parametrize("method", ["regions", "probing"])
@pytest.mark.parametrize("ensemble", ENSEMBLES)
@pytest.mark.parametrize("system", [SITES, SMALL, SKEWED], ids=["2-D", "3-D", "skewed small cell"])
def test_converges_to_diagonalization(system, ensemble, method):
    parameters = {"J": 1.5, "temperature": 0.5, **ENSEMBLES[ensemble]}
    exact = SDModel(**parameters).evaluate(system)
    ours = SDModel(**parameters, solver=KPM(1e-8, method, radius=30.0)).evaluate(system)
    assert ours.energy == pytest.approx(exact.energy, abs=1e-7)
    assert ours.mu == pytest.approx(exact.mu, abs=1e-7)
    for name in ("field", "torque", "forces", "density", "site_energy"):
        assert np.abs(getattr(ours, name) - getattr(exact, name)).max() < 1e-7, name
    assert ours.torque_error < 1e-7
    assert ours.n_vectors == 2 * system.n_sites


def test_species_and_onsite_energies():
    species = np.arange(60) % 2
    config = replace(SITES, species=species)
    parameters = {"J": [1.0, -2.5], "onsite": [0.3, -0.9], "filling": 1.1, "temperature": 0.5}
    exact = SDModel(**parameters).evaluate(config)
    ours = SDModel(**parameters, solver=KPM(1e-7, radius=30.0)).evaluate(config)
    assert ours.energy == pytest.approx(exact.energy, abs=1e-5)
    assert np.allclose(ours.field, exact.field, atol=1e-5)
    assert np.allclose(ours.forces, exact.forces, atol=1e-5)
    fields = SDModel(**parameters, solver=KPM(1e-7, radius=30.0)).prepare([config])(torch.tensor(config.spins[None]))[1]
    assert np.allclose(fields[0], ours.field, atol=1e-12)


@pytest.mark.parametrize("method", CRUDE)
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_fields_are_differences_of_the_crude_energy(ensemble, method):
    # far from converged: only the gradient of this very functional passes
    model = SDModel(2.0, temperature=0.05, **ENSEMBLES[ensemble], solver=CRUDE[method])
    frozen = model.prepare([SITES])
    spins = torch.tensor(SITES.spins[None])
    field = frozen(spins)[1][0]
    exact = SDModel(2.0, temperature=0.05, **ENSEMBLES[ensemble]).evaluate(SITES, forces=False).field
    assert np.abs(field.numpy() - exact).max() > 1e-3
    rng = np.random.default_rng(0)
    for _ in range(4):
        along = torch.tensor(rng.normal(size=(1, 60, 3)))
        slope = central_difference(lambda h, along=along: float(frozen(spins + h * along)[0]))
        assert slope == pytest.approx(-float((field * along).sum()), rel=1e-7, abs=1e-7)
    site, axis = 17, 1
    unit = torch.zeros(1, 60, 3, dtype=torch.float64)
    unit[0, site, axis] = 1
    slope = central_difference(lambda h: float(frozen(spins + h * unit)[0]))
    assert slope == pytest.approx(-float(field[site, axis]), rel=1e-6)


@pytest.mark.parametrize("method", CRUDE)
@pytest.mark.parametrize("ensemble", ENSEMBLES)
def test_forces_are_differences_of_the_crude_energy(ensemble, method):
    model = SDModel(2.0, temperature=0.05, **ENSEMBLES[ensemble], solver=CRUDE[method])
    frozen = model.prepare([SITES])
    forces = frozen.forces(0, frozen.solve(0, SITES.spins, with_bonds=True))
    assert np.abs(forces.sum(0)).max() < 1e-11

    def energy(positions):
        # new amplitudes, the old regions
        moved = model.prepare([replace(SITES, positions=positions)])
        assert moved.band(0, SITES.spins) == frozen.band(0, SITES.spins)
        H = Hamiltonian(moved.sites[0].hopping, moved.sites[0].onsite, 2.0 * SITES.spins)
        return solve(H, frozen.band(0, SITES.spins), frozen.sites[0].blocks, 30, frozen.ensemble).energy

    along = np.random.default_rng(1).normal(size=(60, 3))
    slope = central_difference(lambda h: energy(SITES.positions + h * along), 2e-4)
    assert slope == pytest.approx(-(forces * along).sum(), rel=1e-6)


@pytest.mark.parametrize("method", CRUDE)
def test_spin_rotations_time_reversal_and_sums_hold_without_convergence(method):
    model = SDModel(2.0, 0.85, 0.1, solver=CRUDE[method])
    here = model.evaluate(SITES)
    rotation = Rotation.random(rng=np.random.default_rng(5)).as_matrix()
    for Q in (rotation, -rotation):
        there = model.evaluate(SITES.with_spins(SITES.spins @ Q.T))
        assert there.energy == pytest.approx(here.energy, abs=1e-10)
        assert np.allclose(there.field, here.field @ Q.T, atol=1e-10)
        assert np.allclose(there.forces, here.forces, atol=1e-10)
    assert np.abs(here.torque.sum(0)).max() < 1e-11
    assert here.site_energy.sum() == pytest.approx(here.energy, abs=1e-10)
    assert here.density.sum() == pytest.approx(0.85 * 60, abs=1e-10)


@pytest.mark.parametrize("method", CRUDE)
def test_pytorch_gives_what_the_compiled_code_gives(method, monkeypatch):
    from mhipnn.electrons.kpm import torch_blocks

    monkeypatch.setattr(torch_blocks, "MAX_ROWS", 150)  # several groups
    frozen = SDModel(2.0, 0.85, 0.1, solver=CRUDE[method]).prepare([SITES])
    sites, scale = frozen.sites[0], frozen.band(0, SITES.spins)
    H = Hamiltonian(sites.hopping, sites.onsite, 2.0 * SITES.spins)
    one, other = (solve(H, scale, sites.blocks, 30, frozen.ensemble, with_bonds=True, plain=p) for p in (False, True))
    for name in one.__dataclass_fields__:
        assert np.allclose(getattr(one, name), getattr(other, name), atol=1e-11), name


def test_float32_and_threads():
    model = SDModel(2.0, 0.85, 0.1, solver=CRUDE["regions"])
    fine, coarse = model.evaluate(SITES), replace(model, dtype="float32").evaluate(SITES)
    assert coarse.energy == pytest.approx(fine.energy, rel=1e-5)
    assert np.allclose(coarse.field, fine.field, atol=1e-4)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3 if before != 3 else 2)
        again = model.evaluate(SITES)
    finally:
        torch.set_num_threads(before)
    assert again.energy == fine.energy
    assert np.array_equal(again.field, fine.field)
    energies, fields = replace(model, dtype="float32").prepare([SITES])(torch.tensor(SITES.spins[None]))
    assert energies.dtype == fields.dtype == torch.float32


def test_prepared_batch_equals_single_evaluations():
    configs = [random_sites(24, rng=seed) for seed in range(2)]
    model = SDModel(2.0, 0.7, 0.2, solver="kpm")
    assert isinstance(model, Potential)
    energies, fields = model.prepare(configs)(torch.tensor(np.stack([config.spins for config in configs])))
    for r, config in enumerate(configs):
        single = model.evaluate(config, forces=False)
        assert single.forces is None
        assert float(energies[r]) == pytest.approx(single.energy, abs=1e-11)
        assert np.allclose(fields[r], single.field, atol=1e-12)


@pytest.mark.parametrize("method", ["regions", "probing"])
@pytest.mark.parametrize(("accuracy", "worst"), [("accurate", 1e-2), ("fast", 3e-2)])
def test_presets_reach_their_torque_error_and_estimate_it(accuracy, worst, method):
    config = random_sites(144, rng=2)
    exact = SDModel(1.0, 1.0, 0.2).evaluate(config, forces=False)
    ours = SDModel(1.0, 1.0, 0.2, solver=KPM(accuracy, method)).evaluate(config, forces=False)
    error = np.sqrt(((ours.torque - exact.torque) ** 2).mean())
    assert error < worst * np.sqrt((exact.torque**2).mean())
    assert error < ours.torque_error < 30 * error
    assert abs(ours.energy - exact.energy) / 144 < {"accurate": 1e-3, "fast": 1e-2}[accuracy]


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"accuracy": "fastest"}, ConfigError, "did you mean 'fast'"),
        ({"accuracy": 0.5}, InputError, r"from 1e-8 to 0\.1, got 0\.5"),
        ({"accuracy": True}, InputError, "accuracy"),
        ({"method": "probe"}, ConfigError, "did you mean 'probing'"),
        ({"order": 31}, InputError, "even integer of at least 4, got 31"),
        ({"order": 2}, InputError, "even integer"),
        ({"radius": -1.0}, InputError, "radius: expected a length >= 0"),
        ({"radius": float("nan")}, InputError, "radius"),
        ({"seed": -1}, InputError, "seed"),
    ],
)
def test_bad_settings(arguments, kind, message):
    with pytest.raises(kind, match=message):
        KPM(**arguments)


def test_bad_models_and_states():
    with pytest.raises(ConfigError, match="did you mean 'kpm'"):
        SDModel(1.0, 1.0, solver="kmp")
    with pytest.raises(InputError, match=r"expected 'exact', 'kpm' or KPM\(\.\.\.\), got 3"):
        SDModel(1.0, 1.0, solver=3)
    with pytest.raises(InputError, match="needs temperature > 0"):
        SDModel(1.0, 1.0, 0.0, solver="kpm")
    frozen = SDModel(1.0, 1.0, 0.2, solver=CRUDE["regions"]).prepare([SITES])
    with pytest.raises(InputError, match=r"expected shape \(1, 60, 3\)"):
        frozen(torch.zeros(60, 3))
    spins = torch.tensor(SITES.spins[None])
    spins[0, 7, 0] = float("nan")
    with pytest.raises(NonFiniteError, match="site 7 of replica 0"):
        frozen(spins)
    with pytest.raises(InputError, match="one size"):
        SDModel(1.0, 1.0, 0.2, solver="kpm").prepare([SITES, SMALL])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["regions", "probing"])
@pytest.mark.parametrize("kT", [0.05, 0.2])
@pytest.mark.parametrize("J", [3.0, 1.0])
def test_acceptance_at_400_sites(J, kT, method):
    config = random_sites(400, rng=7)
    exact = SDModel(J, 1.0, kT).evaluate(config, forces=False)
    for accuracy, miss, energy in (("accurate", 1e-4, 1e-3), ("fast", 1e-3, 1e-2)):
        ours = SDModel(J, 1.0, kT, solver=KPM(accuracy, method)).evaluate(config, forces=False)
        spread = ((exact.torque - exact.torque.mean()) ** 2).sum()
        assert ((ours.torque - exact.torque) ** 2).sum() / spread <= miss
        assert abs(ours.energy - exact.energy) / 400 < energy
