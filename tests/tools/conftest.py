"""The tools import each other by name, as `python tools/bench_x.py` lets them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))


@pytest.fixture
def known_peaks(monkeypatch):
    """100 GFLOP/s and 10 GB/s instead of a second of measurement."""
    import bench_dynamics
    import bench_message
    import bench_training
    from benchmarking import Peaks

    for tool in (bench_dynamics, bench_message, bench_training):
        monkeypatch.setattr(tool, "measure_peaks", lambda *args, **kwargs: Peaks(1e11, 1e10))


@pytest.fixture
def rows(capsys):
    """The rows of all tables printed since the last call, as lists of cells."""

    def read() -> list[list[str]]:
        lines = capsys.readouterr().out.splitlines()
        return [[cell.strip() for cell in line.strip("│").split("│")] for line in lines if line.startswith("│")]

    return read
