"""`data=files`: splits by realisation, training, evaluation, and what happens where something is not known."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from file_samples import deepspin, kondo_like, labelled, train
from hydra.utils import instantiate

from mhipnn.config import compose_config
from mhipnn.data import FileDataModule, Units, read_files, write_labels
from mhipnn.data.files import with_unit_spins
from mhipnn.data.files_split import SplitRule, split_contents
from mhipnn.errors import ConfigError, DatasetError, InputError

pytestmark = pytest.mark.usefixtures("plain_figures")

UNITS = Units("eV", "Angstrom")
MANY = (3,) * 24


@pytest.fixture
def contents(tmp_path):
    """24 configurations, two of each realisation, in two files."""
    data = labelled(MANY)
    for number in range(2):
        part = data.select(range(12 * number, 12 * number + 12))
        write_labels(tmp_path / f"{number}.npz", {"": part}, UNITS)
    return read_files(tmp_path)


def whole(splits):
    """Every energy once."""
    energies = np.concatenate([part.energy for part in splits.values()])
    assert len(np.unique(energies)) == len(energies)
    return sorted(energies.tolist())


def test_split_by_realisation(contents, caplog):
    splits = split_contents(contents, SplitRule(val=0.25, test=0.25), independent=False)
    assert {name: len(part) for name, part in splits.items()} == {"train": 12, "val": 6, "test": 6}
    numbers = [set(part.realisation.tolist()) for part in splits.values()]
    assert sum(map(len, numbers)) == len(set.union(*numbers)) == 12
    assert whole(splits) == sorted(contents.labelled.energy.tolist())
    again = split_contents(contents, SplitRule(val=0.25, test=0.25, seed=1), independent=False)
    assert set(again["test"].realisation.tolist()) != numbers[-1]
    assert not caplog.records


def without_realisations(contents, shared: int):
    """Nobody numbers realisations; consecutive configurations share their sites."""
    data = contents.labelled
    first = np.arange(len(data)) // shared * shared
    rows = np.concatenate([np.arange(3 * i, 3 * i + 3) for i in first])
    data = replace(data, positions=data.positions[rows], cell=data.cell[first], species=data.species[rows])
    return replace(contents, labelled=replace(data, realisation=np.full(len(data), -1)))


def test_split_by_distinct_sites(contents, caplog):
    unknown = without_realisations(contents, 3)
    splits = split_contents(unknown, SplitRule(), independent=False)
    sites = [{part.positions[part.sites(i)].tobytes() for i in range(len(part))} for part in splits.values()]
    assert sum(map(len, sites)) == len(set.union(*sites)) == 8
    assert all((part.realisation >= 0).all() for part in splits.values())
    assert not caplog.records


@pytest.mark.parametrize(("shared", "by"), [(1, "auto"), (24, "auto"), (3, "frame"), (24, "file")])
def test_unknown_realisations_are_one_warning(contents, caplog, shared, by):
    unknown = without_realisations(contents, shared)
    if by == "file":
        unknown = replace(unknown, source=np.arange(24) // 8)
    splits = split_contents(unknown, SplitRule(by), independent=False)
    assert whole(splits) == sorted(contents.labelled.energy.tolist())
    (record,) = caplog.records
    assert "data.keys.realisation" in record.getMessage()
    assert "\n" not in record.getMessage()
    caplog.clear()
    split_contents(unknown, SplitRule(by), independent=True)
    assert not caplog.records


def test_stated_splits_are_kept_and_completed(contents):
    words = np.array(["train"] * 16 + ["test"] * 8)
    splits = split_contents(replace(contents, split=words), SplitRule(val=0.5), independent=False)
    np.testing.assert_array_equal(splits["test"].energy, contents.labelled.energy[16:])
    assert len(splits["val"]) == len(splits["train"]) == 8
    assert not set(splits["val"].realisation) & set(splits["train"].realisation)
    other = split_contents(replace(contents, split=words), SplitRule(by="realisation"), independent=False)
    assert len(other["test"]) == 2  # asked for, the rule goes before what the files state


def test_too_little_to_split(contents):
    with pytest.raises(DatasetError, match="2 group"):
        split_contents(contents, SplitRule(by="file"), independent=False)
    unknown = without_realisations(contents, 3)
    with pytest.raises(DatasetError, match="do not number realisations"):
        split_contents(unknown, SplitRule(by="realisation"), independent=False)
    for values, says in (
        ({"by": "realization"}, "did you mean 'realisation'"),
        ({"val": 0.0}, "between 0 and 1"),
        ({"val": 0.5, "test": 0.5}, "nothing to train on"),
        ({"tets": 0.5}, "did you mean 'test'"),
        ({"seed": -1}, "integer >= 0"),
    ):
        with pytest.raises(ConfigError, match=says):
            SplitRule.of(values)


def test_selected_configurations_come_in_the_order_that_was_asked_for():
    data = labelled()
    some = data.select([4, 0, 3])
    assert some.n_sites.tolist() == [3, 3, 5]
    for number, index in enumerate((4, 0, 3)):
        assert some.energy[number] == data.energy[index]
        np.testing.assert_array_equal(some.forces[some.sites(number)], data.forces[data.sites(index)])
    assert labelled(forces=False).select([1]).forces is None


def test_unit_spins_keep_the_torque():
    data = labelled(unit=False)
    data.spins[2] = 0
    unit = with_unit_spins(data)
    lengths = np.linalg.norm(unit.spins, axis=-1)
    np.testing.assert_allclose(np.delete(lengths, 2), 1, rtol=1e-15)
    assert lengths[2] == 0
    np.testing.assert_allclose(np.cross(unit.spins, unit.field), np.cross(data.spins, data.field), rtol=1e-12)
    np.testing.assert_allclose(unit.moments[:, None] * unit.spins, data.spins, rtol=1e-12)
    # E = -a |S|^2/2 + b.S has dE/de = |S| dE/dS at S = |S| e.
    np.testing.assert_allclose(unit.field[0], data.field[0] * np.linalg.norm(data.spins[0]), rtol=1e-14)


@pytest.fixture(scope="module")
def labels(tmp_path_factory) -> Path:
    """Exact labels of small disordered systems, as the dataset that they came from."""
    root = tmp_path_factory.mktemp("datasets")
    data = instantiate(sd_tiny(root))
    data.prepare_data()
    return root


def sd_tiny(root):
    overrides = ["data=sd_tiny", f"data.root={root}", "data.structure.n_sites=8", "+data.progress=false"]
    return compose_config("generate", overrides).data


def test_train_and_evaluate_on_files(labels, tmp_path, capsys):
    made = instantiate(sd_tiny(labels))
    path = write_labels(tmp_path / "a.xyz", {s: made.labelled(s) for s in ("train", "val", "test")}, UNITS)
    metrics, folder = train(tmp_path, "data=files", f"data.path={path}", "loss=[torque,energy]")
    assert folder.parts[-3:-1] == ("files", "mhip")
    assert metrics["test/torque_r2"] < 1
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if "no LLG rollout" in line]
    assert "no exact potential" in line
    assert "(eV)" in out
    assert "t0" not in out
    assert not any(name.startswith("rollout/") for name in metrics)

    from mhipnn import load_potential
    from mhipnn.evaluate import run

    checkpoint = folder / "checkpoints" / "best.ckpt"
    assert load_potential(checkpoint).metadata["units"]["energy"] == "eV"
    measured = run(compose_config("evaluate", [f"checkpoint={checkpoint}"]))
    assert measured["test/torque_r2"] == pytest.approx(metrics["test/torque_r2"], rel=1e-5)
    record = json.loads(json.dumps(load_potential(checkpoint).metadata["dataset"]))
    assert FileDataModule(**record).units == UNITS
    shifted = replace(made.labelled("test"), energy=made.labelled("test").energy + 1)
    write_labels(path, {"train": made.labelled("train"), "val": made.labelled("val"), "test": shifted}, UNITS)
    with pytest.raises(DatasetError, match="other configurations"):
        run(compose_config("evaluate", [f"checkpoint={checkpoint}"]))


POTENTIAL = {"_target_": "mhipnn.electrons.sd_model.SDModel", "J": 3, "filling": 1, "temperature": 0.05}


def test_a_named_potential_is_the_one_of_the_labels(labels, tmp_path):
    made = instantiate(sd_tiny(labels))
    path = write_labels(tmp_path / "a.npz", {s: made.labelled(s) for s in made.split_names}, made.units)
    data = FileDataModule(path, potential=POTENTIAL)
    assert data.no_rollout is None
    assert data.potential().evaluate(data.configurations("test")[0]).energy == data.labelled("test").energy[0]
    assert FileDataModule(path, potential=POTENTIAL, rollout=False).no_rollout is not None
    with pytest.raises(InputError, match="filling"):
        FileDataModule(path, potential=POTENTIAL | {"filling": 3})


@pytest.mark.slow
def test_rollouts_where_the_potential_is_known(labels, tmp_path):
    made = instantiate(sd_tiny(labels))
    path = write_labels(tmp_path / "a.npz", {s: made.labelled(s) for s in ("train", "val", "test")}, made.units)
    potential = "data.potential={_target_:mhipnn.electrons.sd_model.SDModel,J:3,filling:1,temperature:0.05}"
    metrics, _ = train(tmp_path, "data=files", f"data.path={path}", potential, "dynamics.duration=0.5")
    assert 0 <= metrics["rollout/within_2_errors"] <= 1


def test_deepspin_trains_with_long_spins(tmp_path):
    deepspin(tmp_path / "s", n_frames=4)
    given = ["data=files", f"data.path={tmp_path}/s", "data.units.energy=eV", "data.units.length=Angstrom"]
    metrics, _ = train(tmp_path, *given, "data.unit_spins=true", "data.independent=true", "model.n_species=2")
    assert np.isfinite(metrics["test/torque_nrmse"])


def test_species_that_the_model_does_not_count(tmp_path):
    deepspin(tmp_path / "s", n_frames=4)
    given = ["data=files", f"data.path={tmp_path}/s", "data.units.energy=eV", "data.units.length=Angstrom"]
    with pytest.raises(ConfigError, match=r"files has 2 species; give model.n_species=2"):
        train(tmp_path, *given, "data.independent=true")


def test_kondo_square(tmp_path, capsys):
    kondo_like(tmp_path / "k.npz", n_train=10)
    given = ["data=kondo_square", f"data.path={tmp_path}/k.npz"]
    data = instantiate(compose_config("generate", given).data)
    assert {split: len(data.labelled(split)) for split in data.split_names} == {"train": 9, "val": 1, "test": 3}
    assert data.potential().J == 3.5
    metrics, folder = train(tmp_path, *given)
    from mhipnn.evaluate import run

    measured = run(compose_config("evaluate", [f"checkpoint={folder}/checkpoints/best.ckpt"]))  # its potential included
    assert measured["test/torque_r2"] == pytest.approx(metrics["test/torque_r2"], rel=1e-5)
    assert "data.rollout=false" in capsys.readouterr().out
    assert not any(name.startswith("rollout/") for name in metrics)


def test_a_loss_that_needs_forces_says_that_there_are_none(tmp_path):
    kondo_like(tmp_path / "k.npz")
    with pytest.raises(ConfigError, match=r"loss term 'forces': the dataset has no forces; leave it out"):
        train(tmp_path, "data=kondo_square", f"data.path={tmp_path}/k.npz", "loss=[torque,forces]")


def command(monkeypatch, capsys, *args):
    from mhipnn.generate import main

    monkeypatch.setattr(sys, "argv", ["mhipnn", *args])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 1
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ([], "data.path is not set"),
        (["data.path=none.npz"], "none.npz: no such file"),
        (["data.path=a.npz", "data.split.by=realization"], "did you mean 'realisation'"),
        (["data.path=a.npz", "data.keys.filed=B"], "did you mean"),
        (["data.path=a.npz", "data.keys.field=B"], "no field (looked for B;"),
        (["data.path=a.npz", "data.units.energy=eV"], "units: no length"),
        (["data.path=a.npz", "data.format=vasp"], "unknown reader 'vasp'"),
        (["data.path=b.npz"], "cannot be read as npz"),
    ],
)
def test_mistakes_at_the_command_line_are_one_line(tmp_path, monkeypatch, capsys, args, says):
    monkeypatch.chdir(tmp_path)
    write_labels("a.npz", {"": labelled(MANY)}, UNITS)
    Path("b.npz").write_text("energy 1\n")
    err = command(monkeypatch, capsys, "data=files", *args)
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1
