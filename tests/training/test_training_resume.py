"""An interrupted run goes on where it stopped and ends with the same weights."""

from __future__ import annotations

import csv
import signal

import pytest
import torch
from lightning.pytorch import Callback

from mhipnn.errors import CheckpointError
from mhipnn.training.history import History

EXACT = ["data.dtype=float64", "trainer.max_epochs=4", "trainer.accelerator=cpu"]


class StopAt(Callback):
    """Raise at a batch of an epoch, or at the start of a stage."""

    def __init__(self, epoch: int, batch: int, what: type[BaseException] = SystemExit) -> None:
        self.epoch, self.batch, self.what = epoch, batch, what

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        if (trainer.current_epoch, batch_idx) == (self.epoch, self.batch):
            raise self.what


class StopTest(Callback):
    def on_test_start(self, trainer, pl_module) -> None:
        raise SystemExit


@pytest.fixture(scope="module")
def uninterrupted(train, tmp_path_factory):
    outcome = train(tmp_path_factory.mktemp("whole"), *EXACT)
    assert outcome.error is None
    return outcome


def numbers(value, path=()):
    """All numbers of a nested state, by path."""
    if isinstance(value, torch.Tensor):
        yield path, value.double()
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from numbers(item, (*path, index))
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield path, torch.tensor(float(value), dtype=torch.float64)


def assert_same(one: dict, other: dict) -> None:
    """Averaged and current weights, optimiser, schedule: to 1e-10."""
    for part in ("state_dict", "current_model_state", "averaging_state", "optimizer_states", "lr_schedulers"):
        first, second = dict(numbers(one[part], (part,))), dict(numbers(other[part], (part,)))
        assert first
        assert first.keys() == second.keys()
        for path, value in first.items():
            torch.testing.assert_close(second[path], value, rtol=1e-10, atol=1e-10, msg=str(path))
    assert (one["epoch"], one["global_step"]) == (other["epoch"], other["global_step"])


@pytest.mark.parametrize(("epoch", "batch"), [(2, 0), (2, 1), (0, 1)])
def test_resumed_equals_uninterrupted(train, uninterrupted, tmp_path, epoch, batch):
    stopped = train(tmp_path, *EXACT, extra=(StopAt(epoch, batch),))
    assert isinstance(stopped.error, SystemExit)
    assert (stopped.folder / "checkpoints" / "last.ckpt").exists() == (epoch > 0)
    if epoch:
        halfway = stopped.checkpoint("last")
        assert halfway["epoch"] == epoch - 1
        with pytest.raises(AssertionError):  # the comparison can fail
            assert_same(halfway, uninterrupted.checkpoint("last"))
    # Nothing is trained twice: the first epochs may not come again.
    resumed = train(tmp_path, *EXACT, extra=(StopAt(0, 0, RuntimeError),) if epoch else ())
    assert resumed.error is None
    assert resumed.folder == stopped.folder
    (history,) = (callback for callback in resumed.callbacks if isinstance(callback, History))
    assert [row["epoch"] for row in history.rows] == [0, 1, 2, 3]  # the learning curves keep their past
    assert [row["step"] for row in history.rows] == [3, 6, 9, 12]
    times = [row["seconds"] for row in history.rows]
    assert times == sorted(times)  # the clock goes on from the past, and counts what is left
    assert 0 < times[-1] - (times[epoch - 1] if epoch else 0.0) <= resumed.metrics["seconds/fit"]
    assert uninterrupted.checkpoint("last")["epoch"] == 3
    assert_same(resumed.checkpoint("last"), uninterrupted.checkpoint("last"))
    for name in ("test/torque_r2", "size/torque_r2", "val/torque_r2"):
        assert resumed.written[name] == pytest.approx(uninterrupted.written[name], abs=1e-10)


def test_stopped_after_the_fit_only_the_test_is_left(train, uninterrupted, tmp_path):
    stopped = train(tmp_path, *EXACT, extra=(StopTest(),))
    assert isinstance(stopped.error, SystemExit)
    resumed = train(tmp_path, *EXACT, extra=(StopAt(3, 0, RuntimeError),))
    assert resumed.error is None
    assert resumed.folder == stopped.folder
    assert resumed.written["test/torque_r2"] == pytest.approx(uninterrupted.written["test/torque_r2"], abs=1e-10)


def test_ctrl_c_stays_a_keyboard_interrupt(train, tmp_path):
    handler = signal.getsignal(signal.SIGINT)
    stopped = train(tmp_path, *EXACT, extra=(StopAt(1, 1, KeyboardInterrupt),))
    assert isinstance(stopped.error, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is handler
    assert not (stopped.folder / "metrics.json").exists()
    assert stopped.checkpoint("last")["epoch"] == 0


def test_damaged_last_checkpoint_is_named_with_what_to_do(train, tmp_path):
    stopped = train(tmp_path, *EXACT, extra=(StopAt(2, 0),))
    last = stopped.folder / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[: len(whole) // 2])
    refused = train(tmp_path, *EXACT)
    assert isinstance(refused.error, CheckpointError)
    assert str(last) in str(refused.error)
    for advice in ("remove the file", "best.ckpt", "resume=false"):
        assert advice in str(refused.error)
    assert "\n" not in str(refused.error)
    # Each piece of advice works.
    last.write_bytes((last.parent / "best.ckpt").read_bytes())
    for epoch in (3, 0):
        again = train(tmp_path, *EXACT, extra=(StopAt(epoch, 1),))
        assert isinstance(again.error, SystemExit)  # it came as far as that epoch
        assert again.folder == stopped.folder
        last.unlink(missing_ok=True)
    fresh = train(tmp_path, *EXACT, "resume=false", extra=(StopAt(0, 1),))
    assert isinstance(fresh.error, SystemExit)
    assert fresh.folder != stopped.folder


def test_the_rows_of_the_csv_file_stay(train, tmp_path):
    stopped = train(tmp_path, *EXACT, "logger=csv", extra=(StopAt(2, 0),))
    (path,) = stopped.folder.rglob("metrics.csv")
    before = path.read_text().splitlines()
    resumed = train(tmp_path, *EXACT, "logger=csv")
    assert resumed.error is None
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    validated = [int(row["epoch"]) for row in rows if row["val/torque_r2"]]
    assert validated == [0, 1, 2, 3]
    assert any(row["test/torque_r2"] for row in rows)  # a column that the first part did not have
    assert len(rows) > len(before) - 1 >= 2
    assert None not in rows[0]
