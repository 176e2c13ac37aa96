"""A row a size, from processes of their own."""

from __future__ import annotations

import bench_simulate
import pytest


def test_a_row_for_each_size(capsys):
    bench_simulate.main(["--sizes", "30", "50", "--steps", "9", "--threads", "1"])
    printed = capsys.readouterr().out
    rows = [[cell.strip() for cell in line.strip("│").split("│")] for line in printed.splitlines() if line[:1] == "│"]
    assert [row[0] for row in rows] == ["30", "50"]
    for n_sites, seconds, per_spin, memory in rows:
        assert float(seconds) / int(n_sites) * 1e6 == pytest.approx(float(per_spin), rel=0.02)
        assert 0.05 < float(memory) < 8
    assert "from N = 30 to 50" in printed


@pytest.mark.slow
def test_ten_thousand_spins_stay_far_below_two_gibibytes(capsys):
    bench_simulate.main(["--sizes", "10000", "--steps", "12", "--threads", "1"])
    (row,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("│ 10,000")]
    assert float(row.strip("│").split("│")[-1]) < 1.5
