"""Shards: what is read is what was written, or an error that names the file."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pickle

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mhipnn import Evaluation, SpinConfiguration
from mhipnn.data import DatasetDefinition, read_shard, write_shard
from mhipnn.data.labelled import LabelledConfigurations, collect, concatenate
from mhipnn.errors import DatasetError

NODE = {"_target_": "somewhere.Something"}
DEFINITION = DatasetDefinition("toy", NODE, NODE, {"r": NODE}, {"train": 9, "val": 1, "test": 1}, seed=5)


def labelled(sizes=(3, 1, 4), seed=0):
    rng = np.random.default_rng(seed)
    records = []
    for number, n in enumerate(sizes):
        positions, spins, field, forces = rng.normal(size=(4, n, 3))
        config = SpinConfiguration(
            positions, np.diag([5.0, 5, 1]), (True, True, False), spins, np.arange(n), np.arange(1.0, n + 1)
        )
        labels = Evaluation(float(rng.normal()), field[:, 0], field, np.cross(spins, field), forces)
        records.append((config, labels, number, 0.5 * number))
    return collect(records)


def equal(a, b):
    pairs = [(getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(LabelledConfigurations)]
    return all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in pairs)


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "train-00000.h5"
    write_shard(path, labelled(), DEFINITION, "train", range(0, 3))
    return path


def test_round_trip_is_exact_and_leaves_no_other_file(shard):
    assert equal(read_shard(shard, DEFINITION, "train", range(0, 3)), labelled())
    assert list(shard.parent.iterdir()) == [shard]


def test_configurations_come_back_as_they_were(shard):
    back = read_shard(shard)
    third = back.configuration(2)
    assert third.n_sites == 4
    assert third.moments.tolist() == [1, 2, 3, 4]
    assert third.species.tolist() == [0, 1, 2, 3]
    assert third.pbc.tolist() == [True, True, False]
    np.testing.assert_array_equal(third.positions, labelled().positions[4:])
    assert back.time.tolist() == [0, 0.5, 1.0]
    assert back.energy.dtype == np.float64


def test_no_configuration_is_a_shard_too(tmp_path):
    path = tmp_path / "empty.h5"
    write_shard(path, collect([]), DEFINITION, "val", range(0, 1))
    back = read_shard(path)
    assert len(back) == 0
    assert back.spins.shape == (0, 3)


def test_concatenation_shifts_offsets():
    joined = concatenate([labelled((3,), 1), collect([]), labelled((2, 4), 2)])
    assert joined.offsets.tolist() == [0, 3, 5, 9]
    np.testing.assert_array_equal(joined.configuration(2).spins, labelled((2, 4), 2).configuration(1).spins)


def test_any_hdf5_reader_finds_flat_arrays_units_and_provenance(shard):
    with h5py.File(shard, "r") as file:
        assert file["spins"].shape == (8, 3)
        assert file["offsets"][()].tolist() == [0, 3, 4, 8]
        assert "edge_index" not in file
        assert json.loads(file.attrs["definition"])["seed"] == 5
        assert json.loads(file.attrs["seeds"]) == {"seed": 5, "spawn_keys": [[0, 0], [0, 1], [0, 2]]}
        assert file["field"].attrs["unit"] == "energy"
        assert "hopping t0" in file.attrs["units"]
        assert file.attrs["package_version"] == __import__("mhipnn").__version__
    assert hashlib.sha256(shard.read_bytes()[512:]).hexdigest().encode() in shard.read_bytes()[:512]


def test_the_same_labels_give_the_same_bytes(shard, tmp_path):
    write_shard(tmp_path / "again.h5", labelled(), DEFINITION, "train", range(0, 3))
    assert (tmp_path / "again.h5").read_bytes() == shard.read_bytes()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_every_flipped_bit_is_caught(shard, place, bit):
    content = bytearray(shard.read_bytes())
    content[int(place * len(content))] ^= 1 << bit
    altered = shard.with_name("altered.h5")
    altered.write_bytes(content)
    with pytest.raises(DatasetError, match=r"altered\.h5"):
        read_shard(altered)


def test_a_changed_label_is_caught_though_the_file_is_good_hdf5(shard):
    with h5py.File(shard, "r+") as file:
        file["field"][2, 1] += 1e-9
    with pytest.raises(DatasetError, match=r"train-00000\.h5 is truncated or altered"):
        read_shard(shard)


@pytest.mark.parametrize("kept", [0, 10, 512, 600, -1])
def test_truncation_is_caught(shard, kept):
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(DatasetError, match=r"train-00000\.h5"):
        read_shard(shard)


def test_foreign_files_are_refused_by_name(shard):
    with pytest.raises(DatasetError, match=r"nowhere\.h5 is missing"):
        read_shard(shard.with_name("nowhere.h5"))
    shard.write_bytes(pickle.dumps({"spins": 1}))
    with pytest.raises(DatasetError, match="is not a shard of format"):
        read_shard(shard)
    with h5py.File(shard, "w") as file:
        file["spins"] = np.ones(3)
    with pytest.raises(DatasetError, match="is not a shard of format"):
        read_shard(shard)
    with pytest.raises(DatasetError, match="cannot be read"):
        read_shard(shard.parent)


def test_a_shard_of_another_dataset_or_place_is_refused(shard):
    other = dataclasses.replace(DEFINITION, seed=6)
    with pytest.raises(DatasetError, match="its definition differs"):
        read_shard(shard, other)
    with pytest.raises(DatasetError, match="its split differs"):
        read_shard(shard, DEFINITION, "val")
    with pytest.raises(DatasetError, match="holds realisations 0 to 2, and realisations 0 to 7 are needed"):
        read_shard(shard, DEFINITION, "train", range(0, 8))
    with pytest.raises(DatasetError, match="holds realisations 0 to 2"):
        read_shard(shard, DEFINITION, "train", range(1, 3))


def test_the_first_realisations_of_a_shard_can_be_read_alone(shard):
    # realisation 0 has three sites, 1 has one
    first = labelled().select([0, 1])
    assert equal(read_shard(shard, DEFINITION, "train", range(0, 2)), first)
    assert read_shard(shard, DEFINITION, "train", range(0, 1)).offsets.tolist() == [0, 3]
    more = dataclasses.replace(DEFINITION, splits={"train": 900, "val": 3, "test": 5})
    assert equal(read_shard(shard, more, "train", range(0, 3)), labelled())  # how many there are is not what it is


def test_selected_configurations_keep_their_sites():
    chosen = labelled().select([1, 2])
    assert chosen.offsets.tolist() == [0, 1, 5]
    np.testing.assert_array_equal(chosen.spins, labelled().spins[3:])
    np.testing.assert_array_equal(chosen.energy, labelled().energy[1:])
    assert len(labelled().select([])) == 0


def test_an_interrupted_write_leaves_the_old_shard(shard, monkeypatch):
    before = shard.read_bytes()
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        write_shard(shard, labelled((2,)), DEFINITION, "train", range(0, 1))
    assert shard.read_bytes() == before
    assert list(shard.parent.iterdir()) == [shard]
