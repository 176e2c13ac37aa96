"""The commands as a user runs them: other folders, other processes where that matters, no account, kill -9."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path

import pytest
from conftest import QUIET, SMALL

SD_TINY = ["data=sd_tiny", *SMALL]


@pytest.fixture
def command(labels, tmp_path):
    """command(name, *args) -> finished process, in an empty folder with an empty home."""
    home, cwd = tmp_path / "home", tmp_path / "cwd"
    home.mkdir()
    cwd.mkdir()
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("WANDB", "MHIPNN", "PYTEST"))}
    env = kept | {"HOME": str(home), "OMP_NUM_THREADS": "1"}

    def start(name: str, *args: str, **options) -> subprocess.Popen:
        line = [sys.executable, "-m", f"mhipnn.{name}", *args]
        return subprocess.Popen(line, cwd=cwd, env=env, stdin=subprocess.DEVNULL, text=True, **options)

    def run(name: str, *args: str) -> subprocess.CompletedProcess:
        process = start(name, *args, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(args, process.returncode, out, err)

    run.start, run.cwd, run.home, run.labels = start, cwd, home, [f"data.root={labels}"]
    return run


@pytest.fixture
def call(tmp_path, monkeypatch, capsys):
    """The command line in this process, in an empty folder: (exit code, stdout, stderr); imports are paid once."""

    def run(name: str, *args: str, cwd: Path = tmp_path) -> tuple[int, str, str]:
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", [f"mhipnn-{name}", *args])
        capsys.readouterr()
        code = 0
        try:
            import_module(f"mhipnn.{name}").main()
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


def folders(root: Path) -> list[Path]:
    return sorted(path.parent for path in root.glob("outputs/sd_tiny/*/*/config.yaml"))


def test_kill_9_and_the_same_command_goes_on(command, call):
    args = [*SD_TINY, *command.labels, *QUIET, "trainer.max_epochs=40", "logger=csv", "data.dtype=float64"]
    process = command.start("train", *args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list(command.cwd.rglob("last.ckpt")) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    (folder,) = folders(command.cwd)
    assert (folder / "checkpoints" / "last.ckpt").exists()
    assert not (folder / "metrics.json").exists()

    code, out, err = call("train", *args, cwd=command.cwd)
    assert code == 0, err
    assert f"going on with {folder} after" in out
    assert folders(command.cwd) == [folder]
    assert json.loads((folder / "metrics.json").read_text())["test/torque_r2"] < 1
    import torch

    last = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    (history,) = (state for name, state in last["callbacks"].items() if name.startswith("History"))
    assert [row["epoch"] for row in history["rows"]] == list(range(40))


def test_evaluate_reproduces_the_run_from_elsewhere(command, trained, labels):
    checkpoint = trained.folder / "checkpoints" / "best.ckpt"
    done = command("evaluate", f"checkpoint={checkpoint}", f"data_root={labels}", "output=here")
    assert done.returncode == 0, done.stderr
    metrics = json.loads((command.cwd / "here" / "metrics.json").read_text())
    for name in ("test/torque_r2", "size/torque_r2", "test/torque_nrmse", "test/energy_mae_per_site"):
        assert metrics[name] == pytest.approx(trained.written[name], rel=1e-9), name
    assert (command.cwd / "here" / "torque_parity_test.png").exists()
    assert "torque r2" in done.stdout


def test_evaluate_quenches_with_both_potentials(call, trained, labels, tmp_path):
    args = ["rollout=2", "control=0.01", "dynamics.duration=1", "dynamics.record_every=1", "dynamics.temperature=0.01"]
    checkpoint = trained.folder / "checkpoints" / "best.ckpt"
    code, out, err = call("evaluate", f"checkpoint={checkpoint}", f"data_root={labels}", "output=here", *args)
    assert code == 0, err
    metrics = json.loads((tmp_path / "here" / "metrics.json").read_text())
    assert metrics["test/torque_r2"] == pytest.approx(trained.written["test/torque_r2"], rel=1e-9)
    assert metrics["rollout/realisations"] == 2
    assert metrics["rollout/own_path_torque_r2_min"] <= metrics["rollout/own_path_torque_r2"] < 1
    assert metrics["control/torque_r2"] == 1 > metrics["control/final_spin_rms_deviation"] > 0.005
    assert "within 1 error" in out
    assert (tmp_path / "here" / "rollout_torque.png").exists()


@pytest.mark.parametrize("words", [["control=0.01"], ["rollout=2", "control=0"], ["rollout=2", "control=far"]])
def test_evaluate_refuses_a_control_that_makes_no_sense(call, trained, words):
    code, _, err = call("evaluate", f"checkpoint={trained.folder / 'checkpoints' / 'best.ckpt'}", *words)
    assert code == 1
    assert err.startswith(f"error: {words[-1]}")
    assert err.count("\n") == 1


LOAD = """
import json, sys
import numpy as np
from mhipnn import SpinConfiguration, load_potential
given = np.load(sys.argv[2])
config = SpinConfiguration(given["positions"], given["cell"], given["pbc"], given["spins"])
learned = load_potential(sys.argv[1]).evaluate(config)
np.savez(sys.argv[3], energy=learned.energy, field=learned.field, forces=learned.forces)
"""


def test_load_potential_in_another_process_and_folder(trained, labels, tmp_path):
    import numpy as np

    from mhipnn import load_potential
    from mhipnn.structures import random_sites

    config = random_sites(20, 2, rng=0)
    checkpoint = trained.folder / "checkpoints" / "best.ckpt"
    np.savez(tmp_path / "in.npz", positions=config.positions, cell=config.cell, pbc=config.pbc, spins=config.spins)
    line = [sys.executable, "-c", LOAD, str(checkpoint), "in.npz", "out.npz"]
    subprocess.run(line, cwd=tmp_path, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    there, here = np.load(tmp_path / "out.npz"), load_potential(checkpoint).evaluate(config)
    assert float(there["energy"]) == pytest.approx(here.energy, rel=1e-12)
    for name in ("field", "forces"):
        np.testing.assert_allclose(there[name], getattr(here, name), rtol=0, atol=1e-12)


def test_mistakes_are_one_line(trained, tmp_path, call):
    for checkpoint, says in (
        (tmp_path / "none.ckpt", "no such checkpoint"),
        (trained.folder / "metrics.json", "cannot be read as a checkpoint"),
    ):
        code, _, err = call("evaluate", f"checkpoint={checkpoint}")
        assert code == 1
        assert err.startswith(f"error: {checkpoint}: ")
        assert says in err
        assert err.count("\n") == 1


def test_exploding_training_is_one_line_and_exit_code_1(labels, call):
    code, _, err = call("train", *SD_TINY, f"data.root={labels}", *QUIET, "~logger", "optimizer.lr=1e30")
    assert code == 1
    assert err.startswith("error: training: the field at site ")
    assert err.count("\n") == 1


def test_wandb_offline_without_account(command):
    args = [*SD_TINY, *command.labels, "callbacks.progress=null", "trainer=tiny", "logger=wandb"]
    done = command("train", *args, "dynamics.duration=0.5")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    (folder,) = folders(command.cwd)
    (run,) = (folder / "wandb").glob("offline-run-*")
    (record,) = run.glob("run-*.wandb")
    raw = record.read_bytes()
    for key in (b"n_features", b"test/torque_r2", b"rollout/within_2_errors"):
        assert key in raw, key
    media = {path.name for path in (run / "files" / "media").rglob("*") if path.is_file()}
    for figure in ("torque_parity_test", "learning_curves", "rollout_correlations", "rollout_spins"):
        assert any(name.startswith(figure) and name.endswith(".png") for name in media), figure
    (table,) = (name for name in media if name.endswith(".table.json"))
    rows = json.loads(next((run / "files" / "media").rglob(table)).read_text())
    assert "learned_energy_per_site" in rows["columns"]
    assert {row[0] for row in rows["data"]} == {"test", "size"}
    assert not list(command.home.rglob("*.netrc"))


def test_tensorboard_and_csv(train, trained, tmp_path):
    pytest.importorskip("tensorboard")
    outcome = train(tmp_path, "trainer=tiny", "logger=tensorboard")
    assert outcome.error is None
    assert list(outcome.folder.rglob("events.out.tfevents.*"))
    (table,) = trained.folder.rglob("metrics.csv")
    assert "val/torque_r2" in table.read_text().splitlines()[0]


@pytest.mark.slow
def test_multirun_leaves_two_runs(command):
    sweep = ["-m", "model.n_features=16,32", "trainer=tiny", "data=sd_tiny", *command.labels, "dynamics.duration=0.5"]
    done = command("train", *sweep)
    assert done.returncode == 0, done.stderr
    runs = folders(command.cwd)
    assert len(runs) == 2
    parameters = [json.loads((run / "metrics.json").read_text())["parameters"] for run in runs]
    assert parameters[0] < parameters[1]
    for run in runs:
        assert len(list((run / "wandb").glob("offline-run-*/run-*.wandb"))) == 1
        assert len(list((run / "wandb").glob("*/files/media/images/figures/*.png"))) >= 4
