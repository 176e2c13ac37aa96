"""Several networks as one potential: means are those of one energy, spreads are zero for equal members."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mhipnn import load_potential
from mhipnn.dynamics import Quench
from mhipnn.errors import CheckpointError, InputError
from mhipnn.nn.checkpoint import CheckpointRecord, checkpoint_paths, load_ensemble, save_model
from mhipnn.nn.ensemble import EnsemblePotential, spread
from mhipnn.nn.heisenberg import Heisenberg
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.potential import Potential
from mhipnn.structures import random_sites, random_spins

SMALL = {"cutoff": 2.5, "n_features": 5, "n_sensitivities": 4, "n_onsite": 1}


def network(seed: int = 0, dtype=torch.float64, units: dict | None = None, **arguments) -> NetworkPotential:
    torch.manual_seed(seed)
    model = MHIP(**{**SMALL, **arguments}).in_precision(torch.float64)
    model.scale.fill_(0.3 + 0.1 * seed)
    model.offset.fill_(-2.0 - seed)
    return NetworkPotential(model, dtype=dtype, metadata={"units": units or {"energy": "t0"}})


@pytest.fixture(scope="module")
def members():
    return [network(seed) for seed in range(3)]


@pytest.fixture(scope="module")
def ensemble(members):
    return EnsemblePotential(members)


def test_means_and_spreads_by_hand(ensemble, members):
    assert isinstance(ensemble, Potential)
    config = random_sites(12, 2, rng=0)
    together = ensemble.evaluate(config)
    apart = [member.evaluate(config) for member in members]
    assert together.energy == pytest.approx(sum(one.energy for one in apart) / 3, rel=1e-14)
    assert together.energy == pytest.approx(together.site_energy.sum(), rel=1e-12)
    for name in ("field", "torque", "forces"):
        np.testing.assert_allclose(getattr(together, name), sum(getattr(one, name) for one in apart) / 3, atol=1e-14)
    np.testing.assert_allclose(together.torque, np.cross(config.spins, together.field), atol=1e-14)
    for site in range(12):
        squares = [sum((one.torque[site, a] - together.torque[site, a]) ** 2 for a in range(3)) for one in apart]
        assert together.torque_spread[site] == pytest.approx((sum(squares) / 3) ** 0.5, rel=1e-12)
    energies = [one.energy for one in apart]
    assert together.energy_spread == pytest.approx(np.sqrt(np.mean(np.square(energies)) - np.mean(energies) ** 2))
    assert [one.energy for one in together.members] == energies
    assert ensemble.evaluate(config, forces=False).forces is None


def test_mean_field_and_forces_are_gradients_of_the_mean_energy(ensemble):
    """By finite differences, of `evaluate` and of the frozen form."""
    config, step = random_sites(10, 2, rng=1), 1e-5
    evaluation = ensemble.evaluate(config)
    frozen = ensemble.prepare([config])
    fields = frozen(torch.from_numpy(config.spins[None]))[1][0].numpy()
    for site, axis in ((0, 0), (3, 1), (7, 2)):
        energies, quick = [], []
        for sign in (1, -1):
            spins = config.spins.copy()
            spins[site, axis] += sign * step
            energies.append(ensemble.evaluate(config.with_spins(spins), forces=False).energy)
            quick.append(float(frozen(torch.from_numpy(spins[None]))[0]))
        slope = -(energies[0] - energies[1]) / (2 * step)
        assert evaluation.field[site, axis] == pytest.approx(slope, abs=1e-8)
        assert fields[site, axis] == pytest.approx(-(quick[0] - quick[1]) / (2 * step), abs=1e-8)
    for site, axis in ((0, 0), (3, 1)):
        energies = []
        for sign in (1, -1):
            positions = config.positions.copy()
            positions[site, axis] += sign * step
            moved = type(config)(positions, config.cell, config.pbc, config.spins)
            energies.append(ensemble.evaluate(moved, forces=False).energy)
        assert evaluation.forces[site, axis] == pytest.approx(-(energies[0] - energies[1]) / (2 * step), abs=1e-8)


def test_frozen_replicas_equal_single_evaluations(ensemble):
    configs = [random_sites(15, 2, rng=seed) for seed in range(2)]
    rng = np.random.default_rng(0)
    spins = np.stack([random_spins(15, rng) for _ in configs])
    frozen = ensemble.prepare(configs)
    assert (frozen.dtype, frozen.device) == (torch.float64, torch.device("cpu"))
    energies, fields = frozen(torch.from_numpy(spins))
    unsure = frozen.torque_spread(torch.from_numpy(spins))
    for index, config in enumerate(configs):
        single = ensemble.evaluate(config.with_spins(spins[index]))
        assert float(energies[index]) == pytest.approx(single.energy, rel=1e-12)
        np.testing.assert_allclose(fields[index].numpy(), single.field, rtol=0, atol=1e-12)
        np.testing.assert_allclose(unsure[index].numpy(), single.torque_spread, rtol=0, atol=1e-12)


def test_equal_members_have_no_spread_and_are_that_member():
    config, one = random_sites(10, 2, rng=2), network(4)
    same = EnsemblePotential([one, network(4), network(4)])
    together = same.evaluate(config)
    assert together.torque_spread.max() < 1e-15
    assert together.energy_spread < 1e-12
    np.testing.assert_allclose(together.field, one.evaluate(config).field, atol=1e-15)


def test_undamped_dynamics_conserves_the_mean_energy(ensemble):
    """It drives a quench as any potential does, and no single member's energy is conserved."""
    config = random_sites(10, 2, rng=3)
    quench = Quench(duration=2.0, time_step=0.02, damping=0.0, temperature=0.0, integrator=_rk4())
    run = quench.run(ensemble, [config], [0])
    assert np.ptp(run.energies) < 1e-6
    alone = [ensemble.members[0].evaluate(config.with_spins(spins[0])).energy for spins in run.spins]
    assert np.ptp(alone) > 1e-3


def _rk4():
    from mhipnn.dynamics.integrators import RK4

    return RK4()


def test_spread_of_arrays_and_tensors():
    values = np.zeros((2, 1, 2, 3))
    values[:, 0, 0] = [0, 0, 1], [0, 4, 1]  # +-2 along one axis
    np.testing.assert_allclose(spread(values), [[2.0, 0.0]], rtol=1e-15)
    assert torch.equal(spread(torch.from_numpy(values)), torch.tensor([[2.0, 0.0]], dtype=torch.float64))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"cutoff": 2.2}, "cutoff is 2.2 in member 1 and 2.5 in member 0"),
        ({"n_species": 2}, "n_species is 2 in member 1 and 1 in member 0"),
        ({"units": {"energy": "eV"}}, "units is .*eV.* in member 1 and .*t0.* in member 0"),
        ({"dtype": torch.float32}, "dtype is float32 in member 1 and float64 in member 0"),
    ],
)
def test_members_of_different_kinds_are_refused(other, says):
    with pytest.raises(InputError, match=says):
        EnsemblePotential([network(0), network(1, **other)])


def test_one_member_is_no_ensemble():
    for few, names in ([[], "none"], [[network(0)], "member 0"]):
        with pytest.raises(InputError, match=f"at least two members, got {names}"):
            EnsemblePotential(few)


# Files


def saved(path: Path, seed: int, **arguments) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(path, network(seed, **arguments).model, CheckpointRecord("mhip", {**SMALL, **arguments}, "float64"))
    return path


def ensemble_folder(folder: Path, n: int) -> Path:
    for number in range(n):
        saved(folder / "members" / str(number) / "checkpoints" / "best.ckpt", number)
    (folder / "metrics.json").write_text("{}")
    return folder


def test_an_ensemble_is_loaded_from_its_folder_or_from_a_list(tmp_path):
    folder, config = ensemble_folder(tmp_path / "run", 11), random_sites(8, 2, rng=0)
    together = load_potential(folder)
    assert isinstance(together, EnsemblePotential)
    wanted = [network(seed).evaluate(config).energy for seed in range(11)]  # 10 comes after 9
    assert [one.energy for one in together.evaluate(config).members] == pytest.approx(wanted, rel=1e-12)
    some = load_potential([folder / "members" / "3", str(folder / "members" / "1" / "checkpoints" / "best.ckpt")])
    assert some.evaluate(config).energy == pytest.approx((wanted[3] + wanted[1]) / 2, rel=1e-12)
    assert load_potential(folder, dtype="float32").dtype == torch.float32
    alone = load_potential(folder / "members" / "4")
    assert isinstance(alone, NetworkPotential)
    assert alone.evaluate(config).energy == pytest.approx(wanted[4], rel=1e-12)
    assert len(checkpoint_paths([folder, folder / "members" / "0"])) == 12


def test_what_cannot_be_loaded_as_an_ensemble(tmp_path):
    folder = ensemble_folder(tmp_path / "run", 2)
    odd = saved(tmp_path / "odd.ckpt", 5, cutoff=2.2)
    best = folder / "members" / "0" / "checkpoints" / "best.ckpt"
    with pytest.raises(CheckpointError, match=rf"cutoff is 2.2 in {odd} and 2.5 in {best}"):
        load_potential([best, odd])
    with pytest.raises(CheckpointError, match="at least two members"):
        load_ensemble([best])
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_potential([best, tmp_path / "none.ckpt"])
    (folder / "metrics.json").unlink()
    with pytest.raises(CheckpointError, match="training has not ended"):
        load_potential(folder)
    with pytest.raises(CheckpointError, match=r"a folder without checkpoints/best\.ckpt"):
        load_potential(tmp_path)


def test_other_models_may_stand_in_one_ensemble():
    torch.manual_seed(0)
    pair = Heisenberg(cutoff=2.5, n_sensitivities=4).in_precision(torch.float64)
    mixed = EnsemblePotential([network(0), NetworkPotential(pair, metadata={"units": {"energy": "t0"}})])
    assert mixed.evaluate(random_sites(8, 2, rng=0)).torque_spread.max() > 0
