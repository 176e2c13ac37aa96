"""Several processes train as one with the joint batch, leave one run, and end together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from conftest import QUIET, SMALL
from lightning.fabric.plugins.environments.lightning import find_free_network_port
from test_training_resume import assert_same
from torch import distributed, multiprocessing
from two_processes import SHARES, one_step, ragged, second_of_two, world

from mhipnn.data.shuffle import EpochShuffle, InOrder
from mhipnn.errors import ConfigError, NonFiniteError
from mhipnn.training.history import History

TWO = ["trainer=ddp", "trainer.devices=2", "trainer.accelerator=cpu"]

# ---------------------------------------------------------------------- gradients


@pytest.mark.filterwarnings("ignore")  # what Lightning thinks of loaders and loggers
def test_two_processes_step_as_one_with_the_joint_batch(tmp_path, monkeypatch):
    port = find_free_network_port()
    second = multiprocessing.get_context("spawn").Process(target=second_of_two, args=(port, tmp_path / "second.pt"))
    second.start()
    joint = one_step(ragged([*SHARES[0], *SHARES[1]]), "default", 1)
    apart = [one_step(ragged(share), "default", 1) for share in SHARES]
    try:
        with monkeypatch.context() as patch:
            for name, value in world(0, port).items():
                patch.setenv(name, value)
            first = one_step(ragged(SHARES[0]), "ddp", 2)
        second.join(60)
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
        second.kill()
    for mine in (first, torch.load(tmp_path / "second.pt", weights_only=True)):
        for part in ("gradient", "weights"):
            assert mine[part].keys() == joint[part].keys()
            for name, value in joint[part].items():
                torch.testing.assert_close(mine[part][name], value, rtol=1e-10, atol=1e-12, msg=f"{part} {name}")
        assert mine["logged"] == pytest.approx(joint["logged"], rel=1e-6)  # Lightning keeps them in float32
    # The test can fail: the mean of the two gradients is another one.
    naive = {name: (apart[0]["gradient"][name] + apart[1]["gradient"][name]) / 2 for name in joint["gradient"]}
    assert any((naive[name] - value).abs().max() > 1e-3 for name, value in joint["gradient"].items())


# ---------------------------------------------------------------------- who takes which configurations


def as_process(patch: pytest.MonkeyPatch, rank: int, n: int) -> None:
    patch.setattr(distributed, "is_initialized", lambda: True)
    patch.setattr(distributed, "get_rank", lambda: rank)
    patch.setattr(distributed, "get_world_size", lambda: n)


def batches(sampler, size: int) -> list[list[int]]:
    order = list(sampler)
    assert len(order) == len(sampler)
    return [order[first : first + size] for first in range(0, len(order), size)]


@pytest.mark.parametrize("n", [12, 13, 14, 6])
@pytest.mark.parametrize("n_processes", [2, 3])
def test_batches_of_processes_are_together_those_of_one(monkeypatch, n, n_processes):
    def order(n_now: int, size: int) -> list[list[list[int]]]:
        found = []
        for rank in range(n_now):
            as_process(monkeypatch, rank, n_now)
            sampler = EpochShuffle(n, seed=3)
            sampler.set_epoch(5)
            found.append(batches(sampler, size))
        return found

    (alone,) = order(1, 2 * n_processes)
    shared = order(n_processes, 2)
    assert len({len(mine) for mine in shared}) == 1  # equally many steps
    left = set(range(n))
    for number, parts in enumerate(zip(*shared, strict=True)):
        step = [index for part in parts for index in part]
        assert len(step) == len(set(step))
        assert set(step) <= set(alone[number])
        if number < n // (2 * n_processes):
            assert set(step) == set(alone[number])
        left -= set(step)
    assert len(left) == n % n_processes


def test_every_configuration_is_validated_once(monkeypatch):
    found = []
    for rank in range(3):
        as_process(monkeypatch, rank, 3)
        found += [index for batch in batches(InOrder(10), 2) for index in batch]
    assert sorted(found) == list(range(10))
    monkeypatch.setattr(distributed, "is_initialized", lambda: False)
    assert list(InOrder(10)) == list(range(10))


@pytest.mark.parametrize("make", [InOrder, lambda n: EpochShuffle(n, 0)])
def test_more_processes_than_configurations_are_refused(monkeypatch, make):
    as_process(monkeypatch, 0, 3)
    with pytest.raises(ConfigError, match=r"2 configurations.*3 processes.*trainer\.devices"):
        make(2)


# ---------------------------------------------------------------------- whole runs


def fail(rank: int, how: str, flag: Path) -> str:
    return f"+callbacks.fail={{_target_:two_processes.Fail,rank:{rank},how:'{how}',flag:'{flag}'}}"


def children(pid: int) -> list[Path]:
    """The living followers of a process, in /proc."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"mhipnn.training.follower" in (stat.parent / "cmdline").read_bytes():
                found.append(stat.parent)
    return found


@pytest.mark.filterwarnings("ignore:Experiment logs directory")
def test_a_failed_run_goes_on_and_equals_one_process_with_the_joint_batch(train, tmp_path, capfd):
    exact = ["data.dtype=float64", "trainer.max_epochs=3", "logger=csv"]
    alone = train(tmp_path / "alone", *exact, "data.batch_size=4", "trainer.accelerator=cpu")
    flag = tmp_path / "flag"
    pair = [*exact, "data.batch_size=2", *TWO, fail(1, "mistake", flag)]
    before, threads = dict(os.environ), torch.get_num_threads()
    stopped = train(tmp_path / "pair", *pair)
    assert isinstance(stopped.error, NonFiniteError)
    assert str(stopped.error) == "a field that is not finite"
    assert stopped.checkpoint("last")["epoch"] == 0
    assert not (stopped.folder / "metrics.json").exists()
    assert children(os.getpid()) == []
    flag.touch()
    capfd.readouterr()
    both = train(tmp_path / "pair", *pair)
    if both.error:
        raise both.error
    out, err = capfd.readouterr()
    assert out.count("mhipnn: mhip") == out.count("going on with") == 1
    assert err == ""
    assert children(os.getpid()) == []
    assert not distributed.is_initialized()
    assert (dict(os.environ) | before, torch.get_num_threads()) == (dict(os.environ), threads)

    assert both.folder == stopped.folder
    assert len(list((tmp_path / "pair").rglob("config.yaml"))) == len(list((tmp_path / "pair").rglob("csv"))) == 1
    assert_same(both.checkpoint("last"), alone.checkpoint("last"))
    one, other = ({k: v for k, v in run.metrics.items() if "seconds" not in k} for run in (alone, both))
    assert other == pytest.approx(one, rel=1e-9, nan_ok=True)
    rows = [next(c for c in run.callbacks if isinstance(c, History)).rows for run in (alone, both)]
    for one, other in zip(*rows, strict=True):
        assert other.pop("seconds") > 0
        assert one.pop("seconds") > 0
        assert other == pytest.approx(one, rel=1e-6, nan_ok=True)  # Lightning keeps them in float32
        assert "val/torque_r2" in one
        assert "train/loss" in one


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rank", "how", "error", "says"),
    [
        (1, "killed", RuntimeError, "process 1 of this training was killed by signal 9"),
        (1, "killed alone", RuntimeError, "process 1 of this training was killed by signal 9"),
        (1, "interrupted", KeyboardInterrupt, ""),
        (1, "bug", RuntimeError, "ZeroDivisionError: a bug"),
        (0, "interrupted", KeyboardInterrupt, ""),
        (0, "bug", ZeroDivisionError, "a bug"),
        (0, "mistake", NonFiniteError, "a field"),
    ],
)
def test_all_end_when_one_does(train, tmp_path, rank, how, error, says):
    start = time.monotonic()
    stopped = train(tmp_path, *TWO, "trainer.max_epochs=3", fail(rank, how, tmp_path / "flag"))
    assert type(stopped.error) is error
    assert says in str(stopped.error)
    assert children(os.getpid()) == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert time.monotonic() - start < 60


def test_several_devices_without_ddp_are_one_sentence(train, tmp_path):
    refused = train(tmp_path, "trainer.devices=2", "trainer.accelerator=cpu")
    assert isinstance(refused.error, ConfigError)
    assert "trainer=ddp trainer.devices=2" in str(refused.error)


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [[], ["torch.distributed.run", "--nproc-per-node=2", "-m"]])
def test_from_the_command_line(labels, tmp_path, launcher):
    args = ["data=sd_tiny", *SMALL, f"data.root={tmp_path / 'datasets'}", *QUIET, *TWO, "logger=csv"]
    line = [sys.executable, "-m", *launcher, "mhipnn.train", *args, "trainer.max_epochs=2", "data.batch_size=2"]
    done = subprocess.run(
        line, cwd=tmp_path, capture_output=True, text=True, timeout=240, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("mhipnn: mhip") == 1
    assert "Traceback" not in done.stderr
    (folder,) = (path.parent for path in (tmp_path / "outputs").rglob("metrics.json"))
    assert len(list((tmp_path / "outputs").rglob(".lock"))) == len(list(folder.rglob("metrics.csv"))) == 1
    assert (folder / "figures" / "torque_parity_test.png").exists()


@pytest.mark.slow
def test_a_sweep_of_pairs_leaves_its_runs(labels, tmp_path):
    args = ["-m", "data=sd_tiny", *SMALL, f"data.root={labels}", *QUIET, *TWO, "seed=0,1", "~logger"]
    line = [sys.executable, "-m", "mhipnn.train", *args, "trainer.max_epochs=1"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "outputs").rglob("metrics.json"))) == 2


@pytest.mark.slow
def test_kill_9_of_the_first_leaves_nobody(labels, tmp_path):
    args = ["data=sd_tiny", *SMALL, f"data.root={labels}", *QUIET, *TWO, "~logger", "trainer.max_epochs=4000"]
    first = subprocess.Popen([sys.executable, "-m", "mhipnn.train", *args], cwd=tmp_path, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list(tmp_path.rglob("last.ckpt")) and time.monotonic() < until and first.poll() is None:
        time.sleep(0.1)
    (other,) = children(first.pid)
    first.kill()
    first.wait()
    until = time.monotonic() + 20
    while other.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not other.exists()


# ---------------------------------------------------------------------- determinism


def test_deterministic_runs_are_equal_to_the_bit(train, tmp_path):
    try:
        runs = [
            train(tmp_path / name, "trainer.deterministic=true", "trainer.max_epochs=2", "resume=false")
            for name in ("one", "other")
        ]
    finally:
        torch.use_deterministic_algorithms(False)
    for run in runs:
        if run.error:
            raise run.error
    one, other = (run.checkpoint("last") for run in runs)
    for part in ("state_dict", "current_model_state"):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(value, other[part][name]) for name, value in one[part].items())
    numbers = [{k: v for k, v in run.written.items() if not k.startswith("seconds/")} for run in runs]
    assert numbers[0] == numbers[1]
    assert numbers[0]["test/torque_r2"] != 0
