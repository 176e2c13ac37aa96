"""The validator: each fault that is planted is found, and sound labels have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from file_samples import kondo_like, labelled

from mhipnn import SDModel
from mhipnn.config import compose_config
from mhipnn.data import LabelledConfigurations, Units, write_labels
from mhipnn.data.labelled import collect, concatenate
from mhipnn.data.validate import validate
from mhipnn.errors import InputError
from mhipnn.structures import random_sites

MODEL = SDModel(J=3.0, filling=1.0, temperature=0.1)


@pytest.fixture(scope="module")
def exact() -> dict[str, LabelledConfigurations]:
    rng = np.random.default_rng(3)
    splits = {}
    for split in ("train", "val", "test"):
        records = []
        for realisation in range(2):
            sites = random_sites(8, 2, rng=rng)
            for _ in range(3):
                spins = rng.normal(size=(8, 3))
                config = sites.with_spins(spins / np.linalg.norm(spins, axis=-1, keepdims=True))
                records.append((config, MODEL.evaluate(config), realisation, -1.0))
        splits[split] = collect(records)
    return splits


def found(splits, potential=None) -> dict[str, list]:
    """Problems by name of the check."""
    result = validate(splits, potential)
    return {f.check: list(f.where) for f in result.findings if f.verdict == "problem"}


def test_sound_labels_have_no_problem(exact):
    result = validate(exact, MODEL)
    assert result.sound
    assert {f.check: f.verdict for f in result.findings} == {
        "duplicates": "ok", "leaks": "ok", "spin lengths": "ok",
        "outliers: energy per site": "ok", "outliers: rms torque": "ok", "outliers: rms field": "ok",
        "outliers: rms force": "ok",
        "recomputed energy": "ok", "recomputed field": "ok", "recomputed torque": "ok", "finite differences": "ok",
    }  # fmt: skip
    np.testing.assert_allclose(result.stored_field, result.recomputed_field, atol=1e-12)
    assert len(result.stored_field) == 24


def test_duplicates_within_and_across_splits(exact):
    repeated = concatenate([exact["train"], exact["train"].select([1])])
    assert found(exact | {"train": repeated}) == {"duplicates": [("train", 6)]}
    across = concatenate([exact["test"], exact["train"].select([1])])
    problems = found(exact | {"test": across})
    assert problems == {"duplicates": [("test", 6)], "duplicates across splits": [("test", 6)], "leaks": [("test", 6)]}


def test_leaking_realisations(exact):
    """The same sites with other spins: no duplicate, but no test either."""
    train = exact["train"]
    kept, moved = train.select([0, 1, 2, 3, 4]), concatenate([exact["val"], train.select([5])])
    assert found(exact | {"train": kept, "val": moved}) == {"leaks": [("val", 6)]}


def test_spins_that_are_not_unit_vectors(exact):
    spins = exact["val"].spins.copy()
    spins[17] *= 1.001
    assert found(exact | {"val": replace(exact["val"], spins=spins)}) == {"spin lengths": [("val", 2)]}


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        (
            lambda data: replace(data, field=-data.field),
            {"recomputed field", "recomputed torque", "finite differences"},
        ),
        (
            lambda data: replace(data, field=2 * data.field),
            {"recomputed field", "recomputed torque", "finite differences"},
        ),
        (lambda data: replace(data, energy=data.energy + 0.1), {"recomputed energy"}),
    ],
)
def test_labels_of_another_energy(exact, change, checks):
    assert set(found(exact | {"test": change(exact["test"])}, MODEL)) == checks
    (where,) = {tuple(where) for where in found(exact | {"test": change(exact["test"])}, MODEL).values()}
    assert where == (("test", 0),)
    assert set(found(exact, SDModel(J=3.0, filling=0.9, temperature=0.1))) >= {"recomputed field"}


def test_a_radial_part_of_another_convention_fails_the_field_and_not_the_differences(exact):
    """Finite differences see what turns the spins; how E goes on off the sphere is a convention."""
    test = exact["test"]
    assert set(found(exact | {"test": replace(test, field=test.field + test.spins)}, MODEL)) == {"recomputed field"}


def test_a_potential_that_refuses_is_one_finding(exact):
    class Refuses:
        def evaluate(self, config, forces=True):
            raise InputError("not this one")

    result = validate(exact, Refuses())
    assert not result.sound
    assert result.findings[-1].message == "the potential refuses train 0: not this one"


def test_outliers_are_notes():
    data = labelled((4,) * 20)
    energy = np.linspace(-1, 1, 20)
    energy[7] = 1e4
    result = validate({"train": replace(data, energy=energy)})
    (finding,) = (f for f in result.findings if f.check == "outliers: energy per site")
    assert (finding.verdict, finding.where) == ("note", (("train", 7),))


def test_command(tmp_path, capsys):
    from mhipnn.generate import run

    kondo_like(tmp_path / "k.npz", n_train=5)
    given = [f"output_root={tmp_path}/out", "validate=true"]
    model = "data.potential.filling=0.875"  # the small lattice of this test
    made = run(compose_config("generate", ["data=kondo_square", f"data.path={tmp_path}/k.npz", model, *given]))
    assert made["sound"]
    assert (tmp_path / "out/kondo_square/validation.png").stat().st_size > 10_000
    out = capsys.readouterr().out
    assert "finite differences" in out
    assert "energy=t0, length=mean spacing" in out

    data = labelled((3,) * 9)
    path = write_labels(tmp_path / "a.npz", {"train": data, "val": data.select([0]), "test": data}, Units("eV", "A"))
    made = run(compose_config("generate", ["data=files", f"data.path={path}", *given]))
    assert not made["sound"]
    assert {row["check"] for row in made["findings"] if row["verdict"] == "problem"} == {
        "duplicates",
        "duplicates across splits",
        "leaks",
    }
    assert made["findings"][-1]["message"].startswith("no exact potential is known")
    assert "val 0" in capsys.readouterr().out
