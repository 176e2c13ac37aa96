"""A row a size, exact electrons where asked for, memory from processes of their own."""

from __future__ import annotations

import bench_dynamics
import frozen_memory
import pytest


def test_a_row_for_each_size_and_exact_electrons_where_asked_for(known_peaks, capsys):
    sizes = ["--sizes", "30", "40", "--exact-sizes", "12", "--plain-up-to", "35"]
    bench_dynamics.main([*sizes, "--repeats", "1", "--no-memory"])
    printed = capsys.readouterr().out
    lines = [line.strip("│").split("│") for line in printed.splitlines() if line.startswith("│")]
    found = {cells[0].strip(): dict(zip(bench_dynamics.COLUMNS, map(str.strip, cells), strict=True)) for cells in lines}
    assert list(found) == ["12", "30", "40"]
    assert found["12"]["exact (s)"]
    assert not found["30"]["exact (s)"]
    assert found["30"]["plain"]
    assert not found["40"]["plain"]
    assert "from N = 30 to 40" in printed
    assert "roofline, frozen, N = 40" in printed


def test_memory_is_that_of_a_fresh_process():
    ballast = bytearray(500 * 2**20)
    ballast[::4096] = b"x" * len(ballast[::4096])  # of this process, and no other's
    peak, growth = frozen_memory.in_fresh_process(2000, 1)
    here = frozen_memory.peak_resident_set()
    assert 0 < growth < 0.5
    assert growth < peak < here


def test_sizes_below_one_are_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        bench_dynamics.main(["--sizes", "0"])
    assert "at least 1" in capsys.readouterr().err
