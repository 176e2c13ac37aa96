"""Exported trajectories, read back by others' readers."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import ase.io
import numpy as np
import pytest

from mhipnn.dynamics import Trajectory, write_trajectory
from mhipnn.dynamics.export import write_extxyz, write_vtk
from mhipnn.errors import DatasetError, InputError
from mhipnn.structures import RandomSites


@pytest.fixture
def trajectory():
    rng = np.random.default_rng(3)
    configs = [RandomSites(9, 2).sample(np.random.default_rng(seed)) for seed in range(2)]
    configs = [replace(one, species=np.arange(9) % 2, moments=np.linspace(1, 2, 9)) for one in configs]
    spins = rng.normal(size=(4, 2, 9, 3))
    return Trajectory(np.array([0.0, 0.5, 1.0, 1.25]), spins, rng.normal(size=(4, 2)), configs)


@pytest.mark.parametrize("through_file", [False, True])
def test_ase_reads_extended_xyz(tmp_path, trajectory, through_file):
    source = trajectory
    if through_file:
        source = tmp_path / "run.h5"
        write_trajectory(source, trajectory)
    frames = ase.io.read(write_extxyz(tmp_path / "out.xyz", source, replica=1, symbols=["Fe", "Co"]), ":")
    assert len(frames) == 4
    config = trajectory.configs[1]
    for number, atoms in enumerate(frames):
        np.testing.assert_array_equal(atoms.arrays["spins"], trajectory.spins[number, 1])
        np.testing.assert_array_equal(atoms.arrays["moments"], config.moments)
        np.testing.assert_array_equal(atoms.positions, config.positions)
        np.testing.assert_array_equal(atoms.cell, config.cell)
        np.testing.assert_array_equal(atoms.pbc, config.pbc)
        assert atoms.get_chemical_symbols() == ["Fe", "Co"] * 4 + ["Fe"]
        assert atoms.info["time"] == trajectory.times[number]
        assert atoms.get_potential_energy() == trajectory.energies[number, 1]
    few = ase.io.read(write_extxyz(tmp_path / "few.xyz", source, every=3), ":")
    assert [atoms.info["time"] for atoms in few] == [0.0, 1.25]


def numbers(root, name):
    (found,) = [array for array in root.iter("DataArray") if array.get("Name") == name]
    return np.array(found.text.split(), float).reshape(-1, int(found.get("NumberOfComponents")))


def test_vtk_holds_points_spins_and_times(tmp_path, trajectory):
    path = write_vtk(tmp_path / "run.pvd", trajectory, replica=1, every=2)
    entries = list(ElementTree.parse(path).getroot().iter("DataSet"))
    assert [float(entry.get("timestep")) for entry in entries] == [0.0, 1.0]
    for number, entry in zip((0, 2), entries, strict=True):
        root = ElementTree.parse(tmp_path / entry.get("file")).getroot()
        assert root.get("type") == "PolyData"
        np.testing.assert_array_equal(numbers(root, "spin"), trajectory.spins[number, 1])
        np.testing.assert_array_equal(numbers(root, "points"), trajectory.configs[1].positions)
        np.testing.assert_array_equal(numbers(root, "moment")[:, 0], trajectory.configs[1].moments)
        assert numbers(root, "offsets")[-1] == 9


def test_bad_requests_are_refused(tmp_path, trajectory):
    with pytest.raises(InputError, match="replica 2 of 2"):
        write_extxyz(tmp_path / "a.xyz", trajectory, replica=2)
    with pytest.raises(InputError, match="1 symbols for 2 species"):
        write_extxyz(tmp_path / "a.xyz", trajectory, symbols=["Fe"])
    with pytest.raises(InputError, match="every=0"):
        write_vtk(tmp_path / "a.pvd", trajectory, every=0)
    with pytest.raises(InputError, match=r"ends in \.pvd"):
        write_vtk(tmp_path / "a.vtk", trajectory)
    with pytest.raises(InputError, match="cannot be written"):
        write_extxyz(tmp_path / "nowhere" / "a.xyz", trajectory)
    with pytest.raises(DatasetError, match="cannot be read"):
        write_extxyz(tmp_path / "a.xyz", tmp_path / "none.h5")
    assert not list(tmp_path.iterdir())
