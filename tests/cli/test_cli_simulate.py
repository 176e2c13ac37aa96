"""``python -m mhipnn.simulate``: runs that end early go on, and every mistake is one line with exit code 1."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import sys

import h5py
import numpy as np
import pytest
import torch

from mhipnn import simulate
from mhipnn.dynamics import TrajectoryReader, read_trajectory
from mhipnn.nn.checkpoint import CheckpointRecord, save_model
from mhipnn.nn.mhip import MHIP

pytestmark = pytest.mark.usefixtures("plain_figures")

SMALL = ["system.n_sites=16", "replicas=2", "dynamics.duration=1", "dynamics.time_step=0.1", "dynamics.record_every=2"]
PAIRS = [*SMALL, "potential=heisenberg"]


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def run(*args):
        monkeypatch.setattr(sys, "argv", ["mhipnn-simulate", *args])
        code = 0
        try:
            simulate.main()
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


def refused(result):
    code, _, err = result
    assert (code, err.count("\n")) == (1, 1), err
    assert err.startswith("error: ")
    return err


def checkpoint(path, **arguments):
    torch.manual_seed(0)
    small = {"cutoff": 2.5, "n_features": 4, "n_sensitivities": 3, "n_species": 1} | arguments
    structure = {"_target_": "mhipnn.structures.disorder.RandomSites", "dimension": 2, "density": 1.0}
    electrons = {"_target_": "mhipnn.electrons.sd_model.SDModel", "J": 3.0, "filling": 1.0}
    dataset = {"structure": structure, "potential": electrons}
    save_model(path, MHIP(**small), CheckpointRecord("mhip", small, metadata={"dataset": dataset}))
    return f"checkpoint={path}"


def at_call(monkeypatch, number, action):
    """Do something when the room for a frame is reserved for the n-th time."""
    reserve, calls = os.posix_fallocate, []

    def reserved(*arguments):
        calls.append(arguments)
        if len(calls) == number:
            action()
        reserve(*arguments)

    monkeypatch.setattr(os, "posix_fallocate", reserved)


def full():
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def assert_same(one, two):
    with h5py.File(one) as first, h5py.File(two) as second:
        for name in ("times", "steps", "spins", "energies", "streams/correlations/value", "streams/magnetisation/m"):
            np.testing.assert_array_equal(first[name][...], second[name][...])


@pytest.mark.parametrize(
    ("action", "code", "says"),
    [
        (lambda: signal.raise_signal(signal.SIGINT), 130, "interrupted at step 4 of 10 (t = 0.4): the same command"),
        (full, 1, "No space left on device; its 2 frames are kept, and the same command goes on from there"),
    ],
    ids=["ctrl-c", "full"],
)
def test_the_same_command_goes_on(call, monkeypatch, tmp_path, action, code, says):
    assert call(*PAIRS, "run_dir=whole")[0] == 0
    with monkeypatch.context() as patch:
        at_call(patch, 3, action)
        ended, _, err = call(*PAIRS, "output_root=out")
    assert (ended, err.count("\n")) == (code, 1)
    assert says in err
    (folder,) = (tmp_path / "out" / "simulate" / "random_sites").iterdir()
    kept = read_trajectory(folder / "trajectory.h5")[0]
    assert len(kept.times) == (3 if code == 130 else 2)
    ended, out, _ = call(*PAIRS, "output_root=out")
    assert ended == 0
    assert f"going on at step {4 if code == 130 else 2} in" in out
    assert_same(folder / "trajectory.h5", tmp_path / "whole" / "trajectory.h5")
    assert json.loads((folder / "metrics.json").read_text())["steps"] == 10


def test_resume_refuses_what_is_another_run(call, monkeypatch, tmp_path):
    for name, seed in (("run", 0), ("other", 1)):
        with monkeypatch.context() as patch:
            at_call(patch, 3, full)
            assert call(*PAIRS, f"run_dir={name}", f"seed={seed}")[0] == 1
    assert "of another configuration" in refused(call(*PAIRS, "run_dir=run", "system.n_sites=20"))
    assert "resume=false" in refused(call(*PAIRS, "run_dir=run", "resume=false"))
    shutil.copy(tmp_path / "other" / "trajectory.h5", tmp_path / "run" / "trajectory.h5")
    assert "is of another run, its system differs" in refused(call(*PAIRS, "run_dir=run"))
    learned = [*SMALL, "potential=learned", checkpoint(tmp_path / "best.ckpt"), "run_dir=learned"]
    with monkeypatch.context() as patch:
        at_call(patch, 3, full)
        assert call(*learned)[0] == 1
    checkpoint(tmp_path / "best.ckpt", l_max=1)
    assert "is of another run, its checkpoint differs" in refused(call(*learned))
    (tmp_path / "run" / "trajectory.h5").write_bytes(b"damaged")
    assert "trajectory.h5 cannot be read" in refused(call(*PAIRS, "run_dir=run"))


def test_temperatures_and_groups(call, tmp_path):
    several = [*PAIRS, "dynamics.temperature=[0.1,{schedule: constant, value: 0.3}]", "deterministic=true"]
    assert call(*several, "run_dir=together")[0] == 0
    assert call(*several, "run_dir=apart", "max_memory=1B")[0] == 0
    assert call(*PAIRS, "dynamics.temperature=0.3", "deterministic=true", "run_dir=hot")[0] == 0
    together, apart, hot = (
        read_trajectory(tmp_path / name / "trajectory.h5")[0] for name in ("together", "apart", "hot")
    )
    with TrajectoryReader(tmp_path / "apart" / "trajectory.h5") as reader:
        assert reader.n_groups == 4
    np.testing.assert_array_equal(together.spins, apart.spins)
    np.testing.assert_array_equal(together.spins[:, 2:], hot.spins)
    metrics = json.loads((tmp_path / "together" / "metrics.json").read_text())
    assert len(metrics["temperatures"]) == 2
    assert metrics["temperatures"]["kT = 0.1"]["energy_per_site_end"] == pytest.approx(
        together.energies[-1, :2].mean() / 16
    )


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["dynamics.time_step=0"], "time_step"),
        (["dynamics.time_step=-0.1"], "time_step"),
        (["dynamics.damping=-0.1"], "damping"),
        (["dynamics.temperature=-1"], "temperature"),
        (["dynamics.temperature=[0.1,-1]"], "temperature 1"),
        (["dynamics.temperature=[]"], "empty list"),
        (["dynamics.temperature={schedule: liner, start: 1}"], "did you mean 'linear'"),
        (["max_memory=much"], "max_memory=much"),
        (["audit=exact"], "audit.reference"),
        (["audit=exat"], "did you mean 'exact'"),
        (["audit=exact", "audit.every=0"], "audit"),
        (["potential=exact", "audit=exact", "audit.every=-1"], "audit.every=-1"),
        (["potential=exact", "audit=kpm", "audit.spread=0.1"], "needs a committee"),
        (["potential=exact", "audit=exact", "system.n_sites=4000"], "take audit=kpm"),
        (["observers.magnetisation._target_=mhipnn.dynamics.observers.Magnetization"], "Magnetization"),
        (["observers.correlations.bin_width=-1"], "bin_width"),
        (["potential=kpmm"], "did you mean 'kpm'"),
    ],
)
def test_bad_values_are_one_line(call, tmp_path, overrides, says):
    assert says in refused(call(*PAIRS, *overrides))
    assert not (tmp_path / "outputs" / "simulate").exists()


@pytest.mark.parametrize(
    ("system", "says"),
    [
        (["system.species={fractions: [0.5, 0.5]}"], "trained for 1 species, the system has 2"),
        (
            ["system.density=0.2"],
            "trained with cutoff 2.5 and about 19.6 neighbours within it, a site of the system has",
        ),
        (["system.dimension=3"], "trained with cutoff 2.5 and about 19.6 neighbours"),
    ],
)
def test_a_checkpoint_for_other_systems_is_refused(call, tmp_path, system, says):
    chosen = ["potential=learned", checkpoint(tmp_path / "best.ckpt"), "system.n_sites=64"]
    err = refused(call(*SMALL, *chosen, *system))
    assert says in err
    assert "best.ckpt" in err


def test_a_learned_run_carries_its_audit(call, tmp_path):
    chosen = ["potential=learned", checkpoint(tmp_path / "best.ckpt"), "audit=exact", "audit.every=2", "run_dir=run"]
    code, out, err = call(*SMALL, *chosen)
    assert (code, err) == (0, "")
    assert "against the reference" in out
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["audit/times"] == [0.0, 0.4, 0.8]
    assert len(metrics["audit/torque_r2_of_time"]) == 3
    assert metrics["audit/torque_r2"] < 0.9  # it was never trained
    assert (tmp_path / "run" / "figures" / "audit.png").stat().st_size > 10_000
