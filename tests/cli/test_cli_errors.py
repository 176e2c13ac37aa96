"""Every mistake at the command line: one line on stderr, exit code 1, no traceback, nothing left behind."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from mhipnn.config import app, compose_config
from mhipnn.errors import InputError

SEEN = []


def task(cfg):
    """What the commands stand for here: remembers what it was given, and fails on demand."""
    SEEN.append(cfg)
    if cfg.get("seed") == 13:
        raise InputError("seed 13 brings bad luck\nchoose another")
    if cfg.get("seed") == 14:
        raise ZeroDivisionError("a bug")
    if cfg.get("seed") == 15:
        raise KeyboardInterrupt
    if cfg.get("seed") == 16:
        instantiate({"thing": {"_target_": f"{__name__}.picky", "size": -1}})
    if cfg.get("seed") == 17:
        raise PermissionError(13, "Permission denied", "/somewhere")
    return {"not": "an exit code"}


def picky(size):
    raise InputError(f"size must be positive, got {size}")


@pytest.fixture
def call(scratch_conf, tmp_path, monkeypatch, capsys):
    """Run a command line in an empty folder: (exit code, stdout, stderr)."""
    empty = tmp_path / "cwd"
    empty.mkdir()
    monkeypatch.chdir(empty)
    SEEN.clear()

    def run(*args, config_name="train"):
        monkeypatch.setattr(sys, "argv", ["mhipnn-train", *args])
        code = 0
        try:
            assert app(config_name)(task)() is None
        except SystemExit as stop:
            code = stop.code
        assert os.getcwd() == str(empty)
        assert "HYDRA_FULL_ERROR" not in os.environ
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["model=smal"], "model=smal: group 'model' has no choice 'smal': did you mean 'small'?"),
        (["loss=[first,secnd]"], "group 'loss' has no choice 'secnd': did you mean 'second'?"),
        (["model.n_feature=3"], "unknown key 'model.n_feature': did you mean 'model.n_features'?"),
        (["modle.n_features=3"], "unknown key 'modle.n_features': did you mean 'model.n_features'?"),
        (["n_features=3"], "unknown key 'n_features': did you mean 'model.n_features'?"),
        (["model=large", "model.exta=3"], "unknown key 'model.exta': did you mean 'model.extra'"),
        (["modle=large"], "unknown key 'modle': did you mean 'model'"),
        (["zzzz=1"], "unknown key 'zzzz': at the top level there are data, dynamics"),
        (["seed"], "cannot read 'seed'"),
        (["seed=[1"], "cannot read 'seed=[1'"),
        (["seed=abc"], "seed=abc: expected a number"),
        (["seed=true"], "seed=True: expected a number"),
        (["resume=3"], "resume=3: expected true or false"),
        (["layers=3"], "layers=3: expected a list"),
        (["model.nested=3"], "model.nested=3: expected a group of settings"),
        (["model=null"], "model=null: a group is left out with '~model'"),
        (["--sed=3"], "unrecognized arguments: --sed=3"),
        (["seed=13"], "seed 13 brings bad luck choose another"),
        (["seed=16"], "thing: size must be positive, got -1"),
        (["seed=17"], "/somewhere: Permission denied; choose another folder with output_root=..."),
        (["output_root=/dev/null/x"], "Not a directory; choose another folder with output_root=..."),
        (["--config-name", "trian"], "trian"),
        (["-m", "--cfg", "job"], "only one of"),
    ],
)
def test_one_line_and_exit_code_1(call, args, says):
    code, _, err = call(*args)
    assert code == 1
    assert err.count("\n") == 1
    assert err.startswith("error: ")
    assert says in err


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["data=mien"], "group 'data' has no choice 'mien': did you mean 'mine'?"),
        (["data=mine", "data.stretch=abc"], "data.stretch=abc: expected a number"),
        (["data=mine", "data.strech=2"], "unknown key 'data.strech': did you mean 'data.stretch'?"),
        (["mine=null"], "mine=null: a group is left out with '~mine'"),
    ],
)
def test_a_folder_of_ones_own_is_known_to_all_messages(call, tmp_path, args, says):
    for group in ("data", "mine"):
        (tmp_path / "its conf" / group).mkdir(parents=True)
    (tmp_path / "its conf" / "data" / "mine.yaml").write_text("stretch: 1\n")
    given = f"--config-dir={tmp_path}/its conf"
    assert call(given, "data=mine", "data.stretch=2")[0] == 0
    assert SEEN[0].data.stretch == 2
    code, _, err = call(given, *args)
    assert (code, err.count("\n")) == (1, 1)
    assert says in err


def test_a_folder_that_is_not_there(call):
    code, _, err = call("--config-dir=none")
    assert (code, err.count("\n")) == (1, 1)
    assert "none' not found" in err


def test_a_required_value_is_asked_for(call):
    code, _, err = call(config_name="needs")
    assert (code, err) == (1, "error: checkpoint is not set: add checkpoint=... to the command line\n")
    assert not SEEN


@pytest.mark.parametrize(
    ("override", "value"),
    [("seed=3", 3), ("rate=2", 2), ("seed=null", None), ("run_dir=/x", "/x"), ("layers=[]", []), ("rate=1e-3", 1e-3)],
)
def test_what_is_right_passes(call, override, value):
    assert call(override)[0] == 0
    assert SEEN[0][override.partition("=")[0]] == value


def test_a_run_leaves_the_output_folder_and_nothing_else(call, tmp_path):
    assert call() == (0, "", "")
    assert [p.name for p in (tmp_path / "cwd").rglob("*")] == ["outputs"]


def test_bugs_keep_their_traceback(call):
    with pytest.raises(ZeroDivisionError):
        call("seed=14")


def test_debug_brings_the_traceback_back(call, monkeypatch):
    monkeypatch.setenv("MHIPNN_DEBUG", "1")
    with pytest.raises(InputError):
        call("seed=13")
    with pytest.raises(InstantiationException):
        call("seed=16")


def test_ctrl_c(call):
    code, _, err = call("seed=15")
    assert (code, err.count("\n")) == (130, 1)


def test_a_sweep_goes_on_after_a_failure_and_still_fails(call, tmp_path):
    code, out, err = call("-m", "seed=1,13,2")
    assert code == 1
    assert err == "error: seed 13 brings bad luck choose another\n"
    assert [cfg.seed for cfg in SEEN] == [1, 13, 2]
    assert "Launching 3 jobs" in out
    files = [p for p in (tmp_path / "cwd").rglob("*") if p.is_file()]
    assert [p.name for p in files] == ["multirun.yaml"]
    assert files[0].is_relative_to(tmp_path / "cwd" / "outputs" / "sweeps")


def test_a_sweep_checks_its_settings(call):
    code, _, err = call("-m", "model.n_feature=1,2")
    assert (code, err.count("\n")) == (1, 1)
    assert "did you mean 'model.n_features'" in err


def test_a_sweep_from_a_file(call):
    assert call("experiment=sweep")[0] == 0
    assert [cfg.model.n_features for cfg in SEEN] == [1, 2]


def test_cfg_job_prints_the_configuration(call):
    code, out, err = call("--cfg", "job", "model=large")
    assert (code, err) == (0, "")
    assert "n_features: 64" in out
    assert not SEEN


def test_completion_knows_the_choices(call, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "mhipnn-train model=l")
    monkeypatch.setenv("COMP_POINT", "20")
    assert call("-sc", "query=bash")[1].strip() == "model=large"


def test_called_with_a_configuration_the_command_just_runs(scratch_conf):
    SEEN.clear()
    cfg = compose_config("train", ["seed=5"])
    app("train")(task)(cfg)
    assert len(SEEN) == 1
    assert SEEN[0] is cfg


def test_composing_inside_a_hydra_application_leaves_it_alone(scratch_conf):
    from hydra.core.global_hydra import GlobalHydra

    GlobalHydra.instance().hydra = outer = object()
    try:
        assert compose_config("train").seed == 0
        assert GlobalHydra.instance().hydra is outer
    finally:
        GlobalHydra.instance().clear()


def test_for_real_as_a_subprocess(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mhipnn.train", "model=mhp"], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: model=mhp: group 'model' has no choice 'mhp': did you mean 'mhip'")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
