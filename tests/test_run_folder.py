from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import yaml
from omegaconf import OmegaConf

from mhipnn.errors import ConfigError
from mhipnn.run_folder import RunFolder

CFG = OmegaConf.create({"seed": 0, "model": {"n_features": 8, "copy": "${seed}"}, "output_root": "x"})
PARTS = ("sd_tiny", "mhip")


def test_a_new_folder_holds_the_resolved_configuration(tmp_path):
    with RunFolder.open(CFG, tmp_path, PARTS) as run:
        assert run.path.parent == tmp_path / "sd_tiny" / "mhip"
        assert not run.resumed
        assert run.checkpoints.is_dir()
        assert run.figures.is_dir()
        assert yaml.safe_load((run.path / "config.yaml").read_text())["model"] == {"n_features": 8, "copy": 0}
        assert not [p for p in run.path.iterdir() if p.name.startswith(".config")]


def test_live_runs_never_share_a_folder(tmp_path):
    with (
        RunFolder.open(CFG, tmp_path) as one,
        RunFolder.open(CFG, tmp_path) as two,
        RunFolder.open(CFG, tmp_path) as six,
    ):
        assert len({one.path, two.path, six.path}) == 3


def test_the_newest_unfinished_run_of_the_same_configuration_goes_on(tmp_path):
    # in one second: -2 ... -11 are newer than the first, and -11 than -9
    folders = [RunFolder.open(CFG, tmp_path, PARTS, resume=False) for _ in range(11)]
    for folder in folders:
        folder.close()
    elsewhere = OmegaConf.merge(CFG, {"output_root": "y", "run_dir": None, "resume": True})
    with RunFolder.open(elsewhere, tmp_path, PARTS) as again:
        assert again.resumed
        assert again.path == folders[-1].path


def test_another_configuration_or_a_finished_run_starts_anew(tmp_path):
    first = RunFolder.open(CFG, tmp_path)
    first.close()
    with RunFolder.open(OmegaConf.merge(CFG, {"seed": 1}), tmp_path) as other:
        assert not other.resumed
        assert other.path != first.path
    again = RunFolder.open(CFG, tmp_path)
    assert again.path == first.path
    again.finish({"torque_r2": np.float64(0.5), "curve": np.arange(2), "where": tmp_path})
    assert json.loads((first.path / "metrics.json").read_text()) == {
        "torque_r2": 0.5,
        "curve": [0, 1],
        "where": str(tmp_path),
    }
    with RunFolder.open(CFG, tmp_path) as new:
        assert not new.resumed


def test_an_explicit_folder_is_used_as_it_is(tmp_path):
    where = tmp_path / "mine"
    first = RunFolder.open(CFG, tmp_path / "unused", PARTS, run_dir=where)
    assert first.path == where
    assert not (tmp_path / "unused").exists()
    with pytest.raises(ConfigError, match="still alive"):
        RunFolder.open(CFG, tmp_path, run_dir=where)
    first.close()
    with pytest.raises(ConfigError, match="another configuration"):
        RunFolder.open({**CFG, "seed": 5}, tmp_path, run_dir=where)
    with pytest.raises(ConfigError, match="resume=false"):
        RunFolder.open(CFG, tmp_path, run_dir=where, resume=False)
    second = RunFolder.open(CFG, tmp_path, run_dir=where)
    assert second.resumed
    second.finish({})
    with pytest.raises(ConfigError, match="finished run"):
        RunFolder.open(CFG, tmp_path, run_dir=where)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"cannot write to .*file/runs: .*output_root") as caught:
        RunFolder.open(CFG, tmp_path / "file" / "runs")
    assert "\n" not in str(caught.value)


def test_a_killed_run_is_dead_and_a_live_one_is_not(tmp_path):
    code = f"""
        import time
        from mhipnn.run_folder import RunFolder
        run = RunFolder.open({OmegaConf.to_container(CFG)!r}, {str(tmp_path)!r})
        print(run.path, flush=True)
        time.sleep(60)
    """
    child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    try:
        path = child.stdout.readline().strip()
        with RunFolder.open(CFG, tmp_path) as mine:
            assert str(mine.path) != path
            mine.finish({})
    finally:
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    with RunFolder.open(CFG, tmp_path) as again:
        assert again.resumed
        assert str(again.path) == path
