"""Spins that are no unit vectors, and sites without one: from the file to the numbers that a training reports."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from file_samples import deepspin, labelled, same, train

from mhipnn.data import FileDataModule, Units, read_files, write_labels
from mhipnn.data.batching import join
from mhipnn.data.labelled import LabelledConfigurations
from mhipnn.data.statistics import fit_statistics
from mhipnn.data.validate import validate
from mhipnn.nn.energy_model import Prediction
from mhipnn.training import loss

UNITS = Units("eV", "Angstrom", "mu_B")


@pytest.fixture
def mixed() -> LabelledConfigurations:
    """Species 1 carries no spin, spins of species 0 have all lengths; two configurations of a realisation."""
    data = labelled((4,) * 24, unit=False)
    data.spins[data.species == 1] = 0
    return data


@pytest.mark.parametrize("ending", ["npz", "xyz"])
def test_lengths_survive_files(mixed, tmp_path, ending):
    path = write_labels(tmp_path / f"a.{ending}", {"": mixed}, UNITS)
    same(read_files(path).labelled, mixed)
    data = FileDataModule(path, cutoff=3.0, dtype="float64")
    graph, part = data.graphs("train")[0], data.labelled("train")
    np.testing.assert_array_equal(graph.spins, part.spins[part.sites(0)])
    assert data.units.moment == "mu_B"


def test_lengths_survive_deepspin_folders(tmp_path):
    arrays = deepspin(tmp_path / "system")
    read = read_files(tmp_path / "system", units=UNITS).labelled
    np.testing.assert_array_equal(read.spins, arrays["spin"].reshape(-1, 3))


def test_statistics_are_those_of_the_sites_with_a_spin(mixed):
    magnetic = mixed.species == 0
    rubbish = replace(mixed, field=mixed.field + np.where(magnetic, 0, 1e3)[:, None])
    result = fit_statistics(rubbish, [0] * 24)
    spins, field = mixed.spins[magnetic], mixed.field[magnetic]
    length = np.sqrt((spins**2).sum(1))
    assert result.spin_length == pytest.approx(np.sqrt((length**2).mean()))
    assert result.field_rms == pytest.approx(np.sqrt((field**2).mean()))
    assert result.torque_rms == pytest.approx(np.sqrt((np.cross(spins, field) ** 2).mean()))
    along = (spins * field).sum(1) / length
    assert result.radial_mean == pytest.approx(along.mean())
    normal = field - along[:, None] * spins / length[:, None]
    assert result.tangential_rms == pytest.approx(np.sqrt((normal**2).mean()))


def test_losses_are_means_over_the_sites_with_a_spin(mixed, tmp_path):
    data = FileDataModule(write_labels(tmp_path / "a.npz", {"": mixed}, UNITS), cutoff=3.0, dtype="float64")
    whole = join(data.graphs("train"))
    zero = torch.zeros_like(whole.spins)
    silent = Prediction(zero[:, 0], zero[:, 0], zero, zero, zero, zero)
    rubbish = silent._replace(field=zero + 7.0 * (whole.species == 1)[:, None])
    for prediction in (silent, rubbish):
        for term in (loss.Torque(), loss.Field()):
            assert float(term(prediction, whole, data.statistics)) == pytest.approx(1.0, rel=1e-10), term
    nothing = whole.clone()
    nothing.spins = zero
    assert float(loss.Field()(silent, nothing, data.statistics)) == 0


def test_validator_takes_lengths_for_what_they_are(mixed):
    (finding,) = (f for f in validate({"train": mixed}).findings if f.check == "spin lengths")
    assert finding.verdict == "note"
    assert "model.spin_length=true" in finding.message
    assert "no spin on species 1" in finding.message
    length = np.linalg.norm(mixed.spins, axis=-1, keepdims=True)
    unit = replace(mixed, spins=mixed.spins / np.where(length > 0, length, 1))
    (finding,) = (f for f in validate({"train": unit}).findings if f.check == "spin lengths")
    assert finding.verdict == "ok"
    lost = replace(unit, spins=unit.spins.copy())
    lost.spins[np.flatnonzero(unit.species == 0)[0]] = 0  # one that elsewhere has a spin
    (finding,) = (f for f in validate({"train": lost}).findings if f.check == "spin lengths")
    assert (finding.verdict, len(finding.where)) == ("problem", 1)


def test_training_reports_fields_along_the_spins(mixed, tmp_path):
    path = write_labels(tmp_path / "a.npz", {"": mixed}, UNITS)
    options = [
        "model.spin_length=true",
        "model.n_species=2",
        "model.magnetic=[true,false]",
        "loss=[torque,energy,field]",
    ]
    metrics, folder = train(tmp_path, "data=files", f"data.path={path}", "model.cutoff=4", *options)
    assert np.isfinite(metrics["test/longitudinal_r2"])
    from mhipnn import load_potential

    data = FileDataModule(path, cutoff=4.0)
    field = load_potential(folder / "checkpoints" / "best.ckpt").evaluate(data.configurations("test")[0]).field
    without = data.labelled("test").species[data.labelled("test").sites(0)] == 1
    assert (field[without] == 0).all()
