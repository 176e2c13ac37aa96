"""One quench with exact electrons, KPM and a network, from the command line to the report that compares them."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import torch

from mhipnn import SDModel, analyze, simulate
from mhipnn.analysis.parity import r_squared
from mhipnn.dynamics import read_trajectory
from mhipnn.nn.checkpoint import CheckpointRecord, save_model
from mhipnn.nn.mhip import MHIP

N, R = 12, 2
QUENCH = [f"system.n_sites={N}", f"replicas={R}", "dynamics.duration=1.6", "dynamics.record_every=2"]
QUENCH += ["dynamics.time_step=0.2"]


def command(main, *arguments, code=0):
    """Run a command line; its exit code must be ``code``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["mhipnn", *arguments])
        try:
            main()
            ended = 0
        except SystemExit as stop:
            ended = stop.code
    assert ended == code


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """exact, kpm and learned (both audited), and exact with another seed, and with another integrator and step."""
    path = tmp_path_factory.mktemp("runs")
    torch.manual_seed(0)
    arguments = {"cutoff": 2.5, "n_features": 4, "n_sensitivities": 3, "n_species": 1}
    electrons = {"_target_": "mhipnn.electrons.sd_model.SDModel", "J": 3.0, "filling": 1.0}
    structure = {"_target_": "mhipnn.structures.disorder.RandomSites", "dimension": 2, "density": 1.0}
    dataset = {"structure": structure, "potential": electrons}
    record = CheckpointRecord("mhip", arguments, metadata={"dataset": dataset})
    save_model(path / "tiny.ckpt", MHIP(**arguments), record)
    learned = ["potential=learned", f"checkpoint={path / 'tiny.ckpt'}"]
    audited = ["audit=exact", "audit.every=2"]
    for name, settings in {
        "exact": ["potential=exact"],
        "kpm": ["potential=kpm", *audited],
        "learned": [*learned, *audited],
        "seed": ["potential=exact", "seed=1"],
        "finer": ["potential=exact", "dynamics/integrator=rk4", "dynamics.time_step=0.1", "dynamics.record_every=4"],
    }.items():
        command(simulate.main, *QUENCH, *settings, f"run_dir={path / name}")
    return path


def listed(folder, *names):
    return "trajectory=[" + ",".join(f"{folder / name}/trajectory.h5" for name in names) + "]"


def test_three_potentials_run_one_quench_and_one_report_compares_them(folder, capsys):
    command(analyze.main, listed(folder, "exact", "kpm", "learned"))
    content = json.loads((folder / "exact" / "comparison" / "comparison.json").read_text())
    runs = content["runs"]
    assert list(runs) == ["exact", "KPM", "learned"]
    whole = {name: read_trajectory(folder / name / "trajectory.h5")[0] for name in ("exact", "kpm", "learned")}
    for name, key in (("KPM", "kpm"), ("learned", "learned")):
        apart = np.linalg.norm(whole[key].spins - whole["exact"].spins, axis=-1)  # unit spins
        np.testing.assert_allclose(runs[name]["rms_distance"]["mean"], np.sqrt((apart**2).mean((1, 2))), atol=1e-6)
        energy = (whole[key].energies - whole["exact"].energies).mean(1) / N
        np.testing.assert_allclose(runs[name]["energy_per_site_difference"]["mean"], energy, atol=1e-12)
    assert 0 < runs["KPM"]["rms_distance"]["mean"][-1] < 0.05 < runs["learned"]["rms_distance"]["mean"][-1]
    assert runs["KPM"]["within_1_error"] == 1
    assert runs["learned"]["max_correlation_deviation"] > runs["KPM"]["max_correlation_deviation"]

    audit, exact = runs["KPM"]["audit"], SDModel(J=3.0, filling=1.0)
    assert audit["times"] == pytest.approx([0, 0.8, 1.6])
    kpm = SDModel(J=3.0, filling=1.0, solver="kpm")
    states = [
        config.with_spins(spins) for config, spins in zip(whole["kpm"].configs, whole["kpm"].spins[-1], strict=True)
    ]
    true, own = (np.array([one.torque for one in model.evaluate_all(states, forces=False)]) for model in (exact, kpm))
    assert 1 - audit["r2"][-1] == pytest.approx(1 - r_squared(true, own), rel=1e-3)
    assert runs["learned"]["audit"]["total_r2"] < audit["total_r2"]
    assert "audit" not in runs["exact"]

    out = capsys.readouterr().out
    assert "3 runs of 2 x 12 spins, 5 frames, t = 0 to 1.6" in out
    text = (folder / "exact" / "comparison" / "comparison.md").read_text()
    for words in ("potential: learned, not exact", "tiny.ckpt", "solver kpm", "(exact)", "audited by exact electrons"):
        assert words in text
    assert (folder / "exact" / "comparison" / "comparison.png").stat().st_size > 20000


def test_another_integrator_and_time_step_with_names_of_ones_own(folder, tmp_path):
    command(analyze.main, listed(folder, "exact", "finer"), "names=[coarse,fine]", f"output={tmp_path}")
    fine = json.loads((tmp_path / "comparison.json").read_text())["runs"]["fine"]
    assert (fine["integrator"], fine["time_step"]) == ("RK4", 0.1)
    assert "dynamics.integrator: RK4, not Heun" in fine["differs_in"]
    assert 0 < fine["rms_distance"]["mean"][1] < fine["rms_distance"]["mean"][-1]


def test_a_run_agrees_with_itself(folder, tmp_path):
    command(analyze.main, listed(folder, "learned", "learned"), f"output={tmp_path}")
    itself = json.loads((tmp_path / "comparison.json").read_text())["runs"]["learned (2)"]
    assert max(itself["rms_distance"]["mean"]) == itself["max_energy_deviation_per_site"] == 0
    assert itself["within_1_error"] == 1
    assert itself["differs_in"] == []


@pytest.mark.parametrize(
    ("names", "settings", "says"),
    [
        (("exact", "seed"), [], "sites of replica 0 are others"),
        (("exact", "gone"), [], "there is no such file"),
        (("exact",), [], "give 2 to 6 runs to compare"),
        (("exact", "kpm"), ["observables=[energy]"], "is for one trajectory"),
    ],
)
def test_mistakes_are_one_line(folder, tmp_path, monkeypatch, capsys, names, settings, says):
    monkeypatch.chdir(tmp_path)
    command(analyze.main, listed(folder, *names), *settings, "output=never", code=1)
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert says in err
    assert not (tmp_path / "never").exists()
