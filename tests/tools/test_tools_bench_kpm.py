"""Products, sizes with and without diagonalization, and where the two cross."""

from __future__ import annotations

import bench_kpm
import pytest


def test_rows_errors_and_exponents(capsys):
    sizes = ["--sizes", "16", "36", "--exact-sizes", "16", "24", "--product-size", "20", "--kT", "0.3"]
    bench_kpm.main([*sizes, "--threads", "1", "--presets", "fast", "--estimates"])
    printed = capsys.readouterr().out
    cells = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if line.startswith("│")
    ]
    assert [row[0] for row in cells[:3]] == ["scipy, complex 2N x 2N", "scipy, real N x N", "torch, real N x N"]
    sizes = {row[0]: row for row in cells[4:]}
    assert list(sizes) == ["16", "24", "36"]
    assert float(sizes["16"][2]) < 0.03
    assert float(sizes["16"][3]) < 0.3
    assert sizes["36"][2] == sizes["36"][4] == ""
    assert "from N = 16 to 36" in printed
    assert "as fast as diagonalization at N = " in printed


def test_crossing_of_power_laws():
    # N and N^3/10^6 meet at 1000
    ours = {n: float(n) for n in (100, 400, 800)}
    exact = {n: n**3 / 1e6 for n in (400, 800)}
    assert bench_kpm.crossing(ours, exact) == pytest.approx(1000)
