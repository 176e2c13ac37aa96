"""The benchmark runs, interleaves what it compares, and prints a row a size."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "tools" / "bench_dynamics.py"


def test_actions_are_timed_in_turn_after_a_round_that_does_not_count():
    called = []
    interleaved = runpy.run_path(str(SCRIPT))["interleaved"]
    times = interleaved({name: lambda name=name: called.append(name) for name in "ab"}, 3)
    assert called == ["a", "b"] * 4
    assert {name: len(values) for name, values in times.items()} == {"a": 3, "b": 3}


def test_a_row_for_each_size_and_exact_electrons_where_asked_for(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--sizes", "30", "--exact-sizes", "12", "--repeats", "1"])
    runpy.run_path(str(SCRIPT), run_name="__main__")
    rows = {cells[0]: cells[1:] for cells in map(cells_of, capsys.readouterr().out.splitlines()) if cells[:1] != [""]}
    assert rows["12"][-2].endswith("x")
    assert rows["30"][-2] == ""


def cells_of(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("│").split("│")] if line.startswith("│") else [""]


def test_sizes_below_one_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(SCRIPT), "--sizes", "0"])
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "at least 1" in capsys.readouterr().err
