"""Round trips: what is written is read back bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
from file_samples import labelled, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mhipnn.data import Units, read_files, write_labels
from mhipnn.errors import DatasetError

UNITS = Units("t0", "mean spacing")


@pytest.mark.parametrize("ending", ["xyz", "extxyz", "npz"])
@pytest.mark.parametrize("forces", [True, False])
def test_round_trip_bit_for_bit(tmp_path, ending, forces):
    splits = {
        name: labelled(forces=forces, unit=False, seed=seed) for seed, name in enumerate(("train", "val", "size"))
    }
    path = write_labels(tmp_path / f"sub/a.{ending}", splits, UNITS)
    read = read_files(path)
    assert read.units == UNITS
    for split, data in splits.items():
        same(data, read.labelled.select(np.flatnonzero(read.split == split)))
    assert [item.name for item in path.parent.iterdir()] == [path.name]


NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(field=arrays(float, (3, 3), elements=NUMBERS), energy=NUMBERS)
@pytest.mark.parametrize("ending", ["xyz", "npz"])
def test_every_float_survives(tmp_path, ending, field, energy):
    from dataclasses import replace

    data = replace(labelled(sizes=(3,)), field=field, energy=np.array([energy]))
    same(data, read_files(write_labels(tmp_path / f"a.{ending}", {"": data}, UNITS)).labelled)


def test_ase_reads_what_is_written(tmp_path):
    from ase.io import read

    data = labelled()
    path = write_labels(tmp_path / "a.xyz", {"test": data}, Units("eV", "Angstrom"), symbols=("Fe", "O"))
    frames = read(path, index=":", format="extxyz")
    assert len(frames) == 6
    np.testing.assert_array_equal(frames[2].positions, data.positions[data.sites(2)])
    np.testing.assert_array_equal(frames[2].cell, data.cell[2])
    np.testing.assert_array_equal(frames[2].get_forces(), data.forces[data.sites(2)])
    assert frames[2].get_potential_energy() == data.energy[2]
    assert frames[2].info["split"] == "test"
    assert frames[2].get_chemical_symbols() == [("Fe", "O")[s] for s in data.species[data.sites(2)]]


def test_writers_refuse(tmp_path):
    data = labelled()
    for path, splits, says in (
        ("a.txt", {"": data}, "cannot write that format"),
        ("a.npz", {}, "no configuration"),
        ("a.npz", {"train": data, "test": labelled(forces=False)}, "forces"),
    ):
        with pytest.raises(DatasetError, match=says):
            write_labels(tmp_path / path, splits, UNITS)
    with pytest.raises(DatasetError, match="1 symbols for 2 species"):
        write_labels(tmp_path / "a.xyz", {"": data}, UNITS, symbols=("Fe",))
    with pytest.raises(DatasetError, match="cannot be written"):
        write_labels("/dev/null/a.npz", {"": data}, UNITS)
    assert not list(tmp_path.iterdir())
