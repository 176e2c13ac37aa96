"""Files of other programs: what is read, and the one line that each broken one gives."""

from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from file_samples import UNITS_TEXT, deepspin, kondo_like, labelled, same
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mhipnn.data import LabelledConfigurations, Units, read_files, write_labels
from mhipnn.errors import ConfigError, DatasetError, UserError

EV = Units("eV", "Angstrom")
EXTXYZ = """2
Lattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3:magmoms:R:3:B:R:3:forces:R:3 energy=-1.25 {more}
Fe 0.1 0.2 0.3 0 0 2.2 0.5 -0.25 0 1 2 3
O 1.5 1.25 1 0 0 -0.5 0 0 0.125 -1 -2 -3
2
Lattice="4 0 0 0 5 0 0 0 6" Properties=species:S:1:pos:R:3:magmoms:R:3:B:R:3:forces:R:3 energy=-2 {more}
O 0.1 0.2 0.3 0 1 0 0.5 -0.25 0 1 2 3
Fe 1.5 1.25 1 1 0 0 0 0 0.125 -1 -2 -3
"""
UNITS = f'units="{UNITS_TEXT}"'


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def one_line(path, *words, **options):
    """The error of reading a path is one line that holds these words."""
    with pytest.raises(UserError) as caught:
        read_files(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message
    return message


def test_extxyz_through_ase(tmp_path):
    path = write(tmp_path / "a.xyz", EXTXYZ.format(more=UNITS + " traj=5"))
    read = read_files(path, keys={"field": "B", "realisation": "traj"})
    assert read.units == EV
    data = read.labelled
    np.testing.assert_array_equal(data.offsets, [0, 2, 4])
    np.testing.assert_array_equal(data.positions[:2], [[0.1, 0.2, 0.3], [1.5, 1.25, 1]])
    np.testing.assert_array_equal(data.spins, [[0, 0, 2.2], [0, 0, -0.5], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(data.field[:2], [[0.5, -0.25, 0], [0, 0, 0.125]])
    np.testing.assert_array_equal(data.forces[:2], [[1, 2, 3], [-1, -2, -3]])
    np.testing.assert_array_equal(data.energy, [-1.25, -2])
    np.testing.assert_array_equal(data.cell[0], np.diag([4, 5, 6]))
    assert data.pbc.all()
    np.testing.assert_array_equal(data.species, [1, 0, 0, 1])  # by atomic number: O, Fe
    np.testing.assert_array_equal(data.realisation, [5, 5])
    assert (read.split == "").all()


def test_extxyz_keeps_the_orientation_of_the_cell(tmp_path):
    """Rows of ours are the vectors that stand one after another in Lattice."""
    text = EXTXYZ.format(more=UNITS).replace("4 0 0 0 5 0 0 0 6", "4 1 0 0 5 2 0 0 6").replace(":B:", ":field:")
    data = read_files(write(tmp_path / "a.extxyz", text)).labelled
    np.testing.assert_array_equal(data.cell[0], [[4, 1, 0], [0, 5, 2], [0, 0, 6]])


def test_deepspin_folder(tmp_path):
    arrays = deepspin(tmp_path / "system")
    read = read_files(tmp_path / "system", units=EV)
    data = read.labelled
    assert len(data) == 6
    for ours, theirs in (("positions", "coord"), ("spins", "spin"), ("field", "force_mag"), ("forces", "force")):
        np.testing.assert_array_equal(getattr(data, ours), arrays[theirs].reshape(-1, 3))
    np.testing.assert_array_equal(data.energy, arrays["energy"])
    np.testing.assert_array_equal(data.cell.reshape(6, 9), arrays["box"])
    np.testing.assert_array_equal(data.species, [0, 1, 0, 1] * 6)
    np.testing.assert_array_equal(read.source, [0, 0, 0, 1, 1, 1])
    assert data.pbc.all()
    (tmp_path / "system" / "nopbc").touch()
    assert not read_files(tmp_path, units=EV).labelled.pbc.any()  # the folder of systems


def test_npz_of_the_published_layout(tmp_path):
    arrays = kondo_like(tmp_path / "k.npz")
    read = read_files(tmp_path / "k.npz", units=Units("t0", "mean spacing"))
    data = read.labelled
    assert data.forces is None
    assert read.split.tolist() == ["train"] * 6 + ["test"] * 3
    assert data.spins.dtype == data.field.dtype == np.float64
    spins = np.concatenate([arrays["spins_train"], arrays["spins_test"]]).reshape(-1, 3)
    np.testing.assert_array_equal(data.spins, spins)
    np.testing.assert_array_equal(data.field[96:], arrays["fields_test"].reshape(-1, 3))
    np.testing.assert_array_equal(data.positions[16:32], arrays["positions"])
    np.testing.assert_array_equal(data.pbc[4], [True, True, False])


def test_hdf5_and_shards_of_generate(tmp_path):
    from mhipnn.data.definition import DatasetDefinition
    from mhipnn.data.store import write_shard

    data = labelled()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, value in vars(data).items():
            file[name] = value
        file.attrs["units"] = np.bytes_(UNITS_TEXT)
        file.attrs["split"] = "test"
    read = read_files(tmp_path / "a.h5")
    same(data, read.labelled)
    assert read.units == EV
    assert set(read.split) == {"test"}

    node = {"_target_": "mhipnn.structures.RandomSites"}
    counts = {"train": 1, "val": 1, "test": 1}
    definition = DatasetDefinition("toy", node, node, {"random": node}, counts)
    write_shard(tmp_path / "shards-val.h5", data, definition, "val", range(3))
    read = read_files(tmp_path / "shards-val.h5")
    same(data, read.labelled)
    assert read.units == Units("t0", "mean spacing")
    assert set(read.split) == {"val"}
    raw = bytearray((tmp_path / "shards-val.h5").read_bytes())
    raw[-3] ^= 1
    (tmp_path / "shards-val.h5").write_bytes(raw)
    one_line(tmp_path / "shards-val.h5", "truncated or altered")


def test_several_files_patterns_and_splits(tmp_path):
    for number in range(3):
        write_labels(tmp_path / f"{number}.npz", {"": labelled(seed=number)}, EV)
    whole = read_files(str(tmp_path / "*.npz"))
    assert len(whole.labelled) == 18
    assert np.unique(whole.source).tolist() == [0, 1, 2]
    assert len(read_files(tmp_path).labelled) == 18
    named = read_files({"train": str(tmp_path / "0.npz"), "test": str(tmp_path / "[12].npz")})
    assert named.split.tolist() == ["train"] * 6 + ["test"] * 12
    one_line({"trian": str(tmp_path / "0.npz")}, "trian", "did you mean 'train'")
    one_line(str(tmp_path / "9.npz"), "no such file")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spins": None}, ["no spins", "data.keys.spins"]),
        ({"field": None}, ["no field", "looked for field, fields"]),
        ({"energy": None}, ["no energy"]),
        ({"units": None}, ["no units", "data.units.energy"]),
        ({"units": np.array("eV")}, ["units", "cannot read 'eV'"]),
        ({"units": np.array("energy=eV")}, ["units: no length"]),
        ({"units": np.array(["energy=eV", "length=A"])}, ["one line of text"]),
        ({"energy": np.zeros(5)}, ["energy: expected shape (6,), got (5,)"]),
        ({"energy": np.array(["a"] * 6)}, ["energy: expected real numbers"]),
        ({"energy": np.zeros(6, complex)}, ["energy: expected real numbers"]),
        ({"spins": np.zeros((22, 2))}, ["spins: expected shape (22, 3)"]),
        ({"species": np.zeros(22)}, ["species: expected integers"]),
        ({"species": np.full(22, -1)}, ["species: expected integers >= 0"]),
        ({"moments": np.zeros(22)}, ["moments must be positive"]),
        ({"cell": np.zeros((6, 3, 3))}, ["configuration 0 has no volume"]),
        ({"split": np.array(["trian"] * 6)}, ["split", "trian"]),
        ({"offsets": np.array([0, 3, 2, 22])}, ["offsets"]),
        ({"offsets": np.array([0, 3, 9])}, ["expected shape (9, 3)"]),
        ({"offsets": None}, ["spins: expected shape (configurations, sites, 3)"]),
    ],
)  # fmt: skip
def test_npz_mistakes_are_one_line(tmp_path, change, words):
    path = tmp_path / "a.npz"
    arrays = vars(labelled()) | {"units": np.array(UNITS_TEXT)} | change
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    one_line(path, str(path), *words)


def test_not_finite_names_the_site(tmp_path):
    data = labelled()
    field = data.field.copy()
    field[8, 1] = np.nan  # sizes 3, 4, 3: site 1 of configuration 2
    np.savez(tmp_path / "a.npz", **(vars(data) | {"field": field}), units=UNITS_TEXT)
    one_line(tmp_path / "a.npz", "field is not finite at site 1 of configuration 2")


def test_units_given_and_stated_must_agree(tmp_path):
    path = write_labels(tmp_path / "a.npz", {"": labelled()}, EV)
    one_line(path, "energy=eV", "energy=t0", units=Units("t0", "Angstrom"))
    write_labels(tmp_path / "b.npz", {"": labelled()}, Units("t0", "Angstrom"))
    one_line([str(path), str(tmp_path / "b.npz")], "b.npz", "convert")
    assert read_files(path, units=EV).units == EV


def test_some_files_with_forces_and_some_without(tmp_path):
    write_labels(tmp_path / "a.npz", {"": labelled()}, EV)
    write_labels(tmp_path / "b.npz", {"": labelled(forces=False)}, EV)
    one_line(tmp_path, "forces", "a.npz", "b.npz")


def test_pickles_are_never_loaded(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "boom",))

    np.savez(tmp_path / "a.npz", spins=np.array([Bomb()], object), units=UNITS_TEXT, energy=1.0, field=1.0,
             positions=1.0, cell=1.0, pbc=True)  # fmt: skip
    one_line(tmp_path / "a.npz", "allow_pickle=False")
    (tmp_path / "b.npz").write_bytes(pickle.dumps(Bomb()))
    one_line(tmp_path / "b.npz", "cannot be read as npz")
    deepspin(tmp_path / "s")
    np.save(tmp_path / "s" / "set.000" / "spin.npy", np.array([Bomb()], object))
    one_line(tmp_path / "s", "spin.npy", "cannot be read as npy", units=EV)
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (UNITS, "", ["no units"]),
        (":B:R:3", ":C:R:3", ["frame 0", "no field", "data.keys.field"]),
        ("energy=-2", "enrgy=-2", ["frame 1", "no energy"]),
        ("energy=-2", 'energy="1 2"', ["energy: expected one value"]),
        ("energy=-2", "energy=nan", ["energy is not finite at configuration 1"]),
        ("energy=-2", "energy=low", ["energy"]),
        ("magmoms:R:3:B:R:3:forces:R:3", "magmoms:R:1:B:R:3:forces:R:3:x:R:2", ["collinear"]),
        ("2.2", "2.2x", ["cannot be read as extended XYZ"]),
        ("O 1.5 1.25 1 0 0 -0.5 0 0 0.125 -1 -2 -3\n", "", ["cannot be read as extended XYZ"]),
        (" -1 -2 -3\n2", "\n2", ["cannot be read as extended XYZ"]),
        ("4 0 0", "0 0 0", ["length 0"]),
        ("4 0 0 0 5 0 0 0 6", "4 0 0", ["cannot be read as extended XYZ"]),
        ("Fe", "Qq", ["cannot be read as extended XYZ"]),
    ],
)
def test_extxyz_mistakes_are_one_line(tmp_path, old, new, words):
    text = EXTXYZ.format(more=UNITS)
    assert old in text
    path = write(tmp_path / "a.xyz", text.replace(old, new))
    one_line(path, str(path), *words, keys={"field": "B"})


def test_extxyz_cut_inside_its_last_number(tmp_path):
    text = EXTXYZ.format(more=UNITS)[:-2]
    one_line(write(tmp_path / "a.xyz", text), "may be truncated", keys={"field": "B"})


def test_extxyz_without_frames_or_of_another_kind(tmp_path):
    one_line(write(tmp_path / "a.xyz", ""), "no configuration")
    (tmp_path / "b.xyz").write_bytes(bytes(range(256)))
    one_line(tmp_path / "b.xyz", "cannot be read as extended XYZ")


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("spin", np.zeros((3, 9)), ["spin.npy: expected shape (3, 12)", "4 sites in type.raw", "(3, 9)"]),
        ("box", np.zeros((3, 9)), ["no volume"]),
        ("coord", np.full((3, 12), np.inf), ["positions is not finite"]),
        ("energy", np.zeros(2), ["expected shape (2, 12)"]),
        ("force_mag", None, ["force_mag.npy", "no such file"]),
    ],
)
def test_deepspin_mistakes_are_one_line(tmp_path, name, array, words):
    deepspin(tmp_path / "s")
    path = tmp_path / "s" / "set.001" / f"{name}.npy"
    path.unlink()
    if array is not None:
        np.save(path, array)
    one_line(tmp_path / "s", str(path.parent), *words, units=EV)


def test_deepspin_without_units_types_or_sets(tmp_path):
    deepspin(tmp_path / "s")
    one_line(tmp_path / "s", "no units")
    (tmp_path / "s" / "type.raw").write_text("0 one")
    one_line(tmp_path / "s", "cannot be read as type.raw", units=EV)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "type.raw").write_text("0 1")
    one_line(tmp_path / "t", "no sets", units=EV)
    (tmp_path / "u").mkdir()
    one_line(tmp_path / "u", "no labels in it")


def test_unknown_formats_readers_and_keys(tmp_path):
    path = write(tmp_path / "a.dat", "")
    one_line(path, "data.format", "deepspin, extxyz, hdf5, npz")
    with pytest.raises(ConfigError, match="did you mean 'extxyz'"):
        read_files(path, format="extxzy")
    with pytest.raises(ConfigError, match="did you mean 'field'"):
        read_files(path, keys={"filed": "B"})
    one_line(write(tmp_path / "a.xyz", ""), "data.keys.cell", keys={"cell": "box"})
    deepspin(tmp_path / "s")
    one_line(tmp_path / "s", "data.keys.realisation", keys={"realisation": "set"}, units=EV)


def read_or_one_line(path: Path) -> LabelledConfigurations | None:
    """What a sound file holds, or None if it gives its one line."""
    message = ""
    try:
        return read_files(path).labelled
    except UserError as error:
        message = str(error)
    assert str(path) in message
    assert "\n" not in message
    return None


def make(kind: str, folder: Path) -> Path:
    if kind in ("npz", "xyz"):
        return write_labels(folder / f"a.{kind}", {"": labelled()}, EV)
    path = folder / "a.h5"
    with h5py.File(path, "w") as file:
        for name, value in vars(labelled()).items():
            file[name] = value
        file.attrs["units"] = UNITS_TEXT
    return path


@pytest.mark.parametrize("kind", ["npz", "xyz", "h5"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 0.97))
def test_truncated_files_are_one_line(tmp_path, kind, share):
    whole = make(kind, tmp_path).read_bytes()
    path = tmp_path / f"cut.{kind}"
    path.write_bytes(whole[: int(share * len(whole))])
    read = read_or_one_line(path)
    if read is not None:  # cut between two frames: whole configurations, none of them changed
        assert kind == "xyz"
        assert len(read) < len(labelled())
        same(labelled().select(range(len(read))), read)


@pytest.mark.parametrize("kind", ["npz", "xyz"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 0.999), byte=st.integers(0, 255))
def test_corrupted_files_are_one_line_or_sound(tmp_path, kind, place, byte):
    raw = bytearray(make(kind, tmp_path).read_bytes())
    raw[int(place * len(raw))] = byte
    path = tmp_path / f"bad.{kind}"
    path.write_bytes(raw)
    read_or_one_line(path)


def test_units_spelling():
    assert Units.parse(str(EV)) == EV
    moments = Units("eV", "Angstrom", "mu_B")
    assert Units.parse(str(moments)) == moments
    assert moments.to_dict() == {"energy": "eV", "length": "Angstrom", "time": "hbar/eV", "moment": "mu_B"}
    for text in ("", "energy=eV length=A", "energy=eV, lenght=A", "energy=, length=A"):
        with pytest.raises(DatasetError, match="units"):
            Units.parse(text)
