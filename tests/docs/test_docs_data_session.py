"""docs/data.md as a session: every command of the page runs, in its order, in one folder."""

from __future__ import annotations

import re
import shlex
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from file_samples import deepspin, kondo_like, same

from mhipnn.config import compose_config
from mhipnn.data import read_files

PAGE = (Path(__file__).parents[2] / "docs" / "data.md").read_text(encoding="utf-8")
ELSEWHERE = "# on a cluster\n"  # heads a block that needs a queue: composed, not run
CALL = "python -m mhipnn."


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, flags=re.DOTALL | re.MULTILINE)


def commands(elsewhere: bool) -> list[str]:
    chosen = [block for block in blocks("bash") if block.startswith(ELSEWHERE) == elsewhere]
    return [line for block in chosen for line in block.removeprefix(ELSEWHERE).splitlines()]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What the page says is there before: its YAML file, and the two examples that others made."""
    monkeypatch.chdir(tmp_path)
    for block in blocks("yaml"):
        path = Path(block.partition("\n")[0].removeprefix("# "))
        path.parent.mkdir(parents=True)
        path.write_text(block)
    deepspin(Path("system"), n_frames=4)
    kondo_like(Path("kondo_square.npz"), n_train=10)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def run(line: str, monkeypatch, capfd) -> str:
    """What a command prints; the test fails with it if it ends in an error."""
    words = shlex.split(line, comments=True)
    name = words[2].removeprefix("mhipnn.")
    monkeypatch.setattr(sys, "argv", [f"mhipnn-{name}", *words[3:]])
    try:
        import_module(f"mhipnn.{name}").main()
    except SystemExit as stop:
        pytest.fail(f"{line}\nexit code {stop.code}: {capfd.readouterr().err}")
    return capfd.readouterr().out


def test_every_line_of_the_page_is_a_command():
    lines = commands(elsewhere=False)
    assert len(lines) >= 15
    assert all(line.startswith(CALL) for line in lines + commands(elsewhere=True))
    assert len(commands(elsewhere=True)) <= 3


def test_the_session_of_the_page_runs(folder, monkeypatch, capfd):
    printed = {line: run(line, monkeypatch, capfd) for line in commands(elsewhere=False)}
    dry, script = (text for line, text in printed.items() if "dry_run=true" in line)
    assert "Nothing is written." in dry
    assert "#SBATCH -p long" in script
    # what came out as extended XYZ went in again and out as npz
    same(read_files("labels.xyz").labelled, read_files("labels.npz").labelled)
    (made,) = Path("datasets").glob("sd_tiny-*")
    assert {int(n) for n in read_files(sorted(made.glob("train-*.h5"))).labelled.realisation} == set(range(16))
    for line, text in printed.items():
        if "validate=true" in line:
            assert not re.search(r"\bproblem\b", text), text
    assert len(list(Path("outputs").glob("*/validation.png"))) == 3
    runs = sorted(path.parts[1] for path in Path("outputs").glob("*/*/*/metrics.json"))
    assert runs == sorted(re.search(r"data=(\w+)", line)[1] for line in printed if ".train " in line)
    assert np.isfinite(read_files("kondo_square.xyz").labelled.field).all()


@pytest.mark.parametrize("line", commands(elsewhere=True))
def test_what_needs_a_queue_composes(line):
    words = shlex.split(line, comments=True)
    assert compose_config(words[2].removeprefix("mhipnn."), words[3:]).launcher._target_
