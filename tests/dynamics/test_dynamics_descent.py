"""Minima in a file: start and minimum of every replica, groups that are kept, and what a failure leaves."""

from __future__ import annotations

import signal

import numpy as np
import pytest
import torch
from toy_potentials import Toy, heisenberg, random_coupling

from mhipnn import SDModel
from mhipnn.dynamics import (
    Magnetisation,
    Minimisation,
    Minimise,
    Recording,
    SavedState,
    TrajectoryReader,
    minimise,
    read_trajectory,
)
from mhipnn.dynamics.descent_track import descent_path, read_descents
from mhipnn.dynamics.export import write_extxyz
from mhipnn.errors import ConfigError, ConvergenceError, InputError, NonFiniteError
from mhipnn.structures import RandomSites

COUPLING = random_coupling(8, seed=3)
CLUSTER = heisenberg(COUPLING)
SETTINGS = Minimise(tolerance=1e-8)


def clusters(n):
    return [RandomSites(8, 2).sample(np.random.default_rng([7, number])) for number in range(n)]


def largest_torques(spins):
    """Of E = -1/2 sum_ij K_ij S_i.S_j, without the package: (..., 8, 3) -> (...)."""
    return np.linalg.norm(np.cross(spins, np.einsum("ij,...ja->...ia", COUPLING, spins)), axis=-1).max(-1)


def test_the_file_holds_start_and_minimum_of_every_replica(tmp_path):
    configs = clusters(3)
    path = tmp_path / "run.h5"
    Minimisation(SETTINGS, CLUSTER, configs, Recording(path, groups=[2, 1], observers={"m": Magnetisation()})).run()
    with TrajectoryReader(path) as reader:
        trajectory, streams = reader.trajectory(), reader.streams()
    np.testing.assert_array_equal(trajectory.times, [0, 1])
    np.testing.assert_array_equal(trajectory.spins[0], [config.spins for config in configs])
    spins = trajectory.spins
    energies = -0.5 * np.einsum("ij,tria,trja->tr", COUPLING, spins, spins)
    np.testing.assert_allclose(trajectory.energies, energies, atol=1e-12)
    np.testing.assert_allclose(streams["descent/torque"], largest_torques(spins), atol=1e-12)
    assert (streams["descent/torque"][1] < 1e-8).all()
    np.testing.assert_allclose(streams["m/m"], spins.mean(2), atol=1e-12)
    alone = [minimise(CLUSTER, [config], 1e-8) for config in configs]
    np.testing.assert_array_equal(streams["descent/iterations"][1], [one.iterations[0] for one in alone])
    np.testing.assert_allclose(spins[1], [one.spins[0] for one in alone], atol=1e-6)
    descents = read_descents(path, 2)
    assert descents.tolerance == 1e-8
    np.testing.assert_allclose(descents.energies[[0, -1]], energies, atol=1e-12)
    np.testing.assert_allclose(descents.torques[[0, -1]], streams["descent/torque"], atol=1e-12)
    assert len(descents.torques) == 1 + streams["descent/iterations"].max()
    assert (write_extxyz(tmp_path / "run.extxyz", path, replica=2)).read_text().count("Lattice=") == 2


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def kill():
    raise KeyboardInterrupt


@pytest.mark.parametrize(("action", "goes_on_at"), [(ctrl_c, 17), (kill, 16)], ids=["ctrl-c", "kill"])
@pytest.mark.parametrize("potential", [CLUSTER, SDModel(J=3.0, filling=1.0)], ids=["pairs", "electrons"])
def test_what_was_interrupted_goes_on_to_the_bit(tmp_path, action, goes_on_at, potential):
    """In the second group, at iteration 17; the last state was then saved there, or at 16."""
    configs, settings = clusters(4), Minimise(tolerance=1e-5)
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole, path = tmp_path / "whole" / "run.h5", tmp_path / "parts" / "run.h5"
    Minimisation(settings, potential, configs, Recording(whole, groups=[2, 2])).run()
    run = Minimisation(settings, potential, configs, Recording(path, groups=[2, 2], save_seconds=0.0))

    def stop(first, iteration, torque, tolerance):
        if (first, iteration) == (2, 17):
            action()

    with pytest.raises(KeyboardInterrupt):
        run.run(stop)
    with TrajectoryReader(path) as reader:
        assert reader.recorded == [2, 1]
    seen = []
    run.run(lambda *report: seen.append(report[:2]), resume=True)
    assert seen[0] == (2, goes_on_at)
    one, other = read_trajectory(whole)[0], read_trajectory(path)[0]
    np.testing.assert_array_equal(other.spins, one.spins)
    np.testing.assert_array_equal(other.energies, one.energies)
    for first, second in zip(read_descents(whole, 2), read_descents(path, 2), strict=True):
        np.testing.assert_array_equal(second, first)
    assert {file.name for file in path.parent.iterdir()} == {file.name for file in whole.parent.iterdir()}


def test_a_run_goes_on_with_its_own_file_alone(tmp_path):
    configs, path = clusters(2), tmp_path / "run.h5"
    Minimisation(SETTINGS, CLUSTER, configs, Recording(path)).run()
    with pytest.raises(InputError, match="is of another run, its system differs"):
        Minimisation(SETTINGS, CLUSTER, configs[::-1], Recording(path)).run(resume=True)
    with pytest.raises(InputError, match="is of another run, its dynamics differs"):
        Minimisation(Minimise(1e-7), CLUSTER, configs, Recording(path)).run(resume=True)


def test_a_replica_that_does_not_come_to_rest(tmp_path):
    configs, path = clusters(3), tmp_path / "run.h5"
    configs[0] = configs[0].with_spins(minimise(CLUSTER, configs[:1], 1e-9).spins[0])
    run = Minimisation(Minimise(1e-8, 4), CLUSTER, configs, Recording(path, groups=[1, 2]))
    with pytest.raises(ConvergenceError, match=r"replica [12] is not at rest after 4 iterations.*where it stood: "):
        run.run()
    with TrajectoryReader(path) as reader:
        assert reader.recorded == [2, 1]
        np.testing.assert_allclose(largest_torques(reader.spins(1)), 0, atol=1e-8)
    state = SavedState.load(tmp_path / "failed_state.npz")
    assert (state.step, state.group) == (4, 1)
    energies = -0.5 * np.einsum("ij,ria,rja->r", COUPLING, state.spins, state.spins)
    with np.load(descent_path(path, 1), allow_pickle=False) as kept:
        np.testing.assert_allclose(kept["energies"][-1], energies, atol=1e-12)
        assert (kept["energies"][-1] < kept["energies"][0]).all()


def test_what_is_no_number(tmp_path):
    def broken(spins):
        energy, field = CLUSTER.function(spins)
        broken.calls += 1
        return energy, field * (torch.nan if broken.calls > 3 else 1)

    broken.calls = 0
    with pytest.raises(NonFiniteError, match="of replica 0 is not finite; where it stood"):
        Minimisation(SETTINGS, Toy(broken), clusters(2), Recording(tmp_path / "run.h5")).run()
    state = SavedState.load(tmp_path / "failed_state.npz")
    assert np.isfinite(state.spins).all()
    assert state.spins.shape == (2, 8, 3)
    assert np.load(descent_path(tmp_path / "run.h5", 0), allow_pickle=False)["torques"].shape == (state.step + 1, 2)
    nothing = Toy(lambda spins: (CLUSTER.function(spins)[0] * torch.nan, CLUSTER.function(spins)[1]))
    with pytest.raises(NonFiniteError, match="of replica 0 is not finite"):
        Minimisation(SETTINGS, nothing, clusters(2), Recording(tmp_path / "other.h5")).run()
    with TrajectoryReader(tmp_path / "other.h5") as reader:
        assert reader.recorded == [0]


@pytest.mark.parametrize("settings", [{"tolerance": 0.0}, {"tolerance": np.nan}, {"max_iterations": 0}])
def test_settings_are_checked_when_they_are_made(settings):
    with pytest.raises(ConfigError, match="minimise: "):
        Minimise(**settings)


def test_the_tolerance_follows_the_precision():
    config = clusters(1)
    single = heisenberg(COUPLING)
    single.dtype = torch.float32
    assert (minimise(CLUSTER, config).tolerance, minimise(single, config).tolerance) == (1e-6, 1e-4)
