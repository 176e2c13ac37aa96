"""A row a size; the naive code is a second computation of the labels; two processes are really two."""

from __future__ import annotations

import bench_electrons
import naive_electrons
import numpy as np
import pytest
import torch

from mhipnn import SDModel, random_sites


def cells_of(rows):
    return [dict(zip(bench_electrons.COLUMNS, row, strict=False)) for row in rows]


def test_a_row_for_each_size_and_the_naive_code_where_asked_for(rows):
    bench_electrons.main(["--sizes", "30", "40", "--naive-up-to", "30", "--repeats", "1", "--seconds", "0"])
    small, large = rows()
    assert small[0] == "30"
    assert large[:2] == ["40", "80"]
    assert small[8].endswith(" x")
    assert not large[8]
    for row in (small, large):
        for column in (4, 6, 11):
            assert 5 < int(row[column].removesuffix(" %")) < 100
        assert not row[12]


def test_solvers_are_compared_on_demand(rows):
    bench_electrons.main(["--sizes", "30", "--naive-up-to", "0", "--repeats", "1", "--seconds", "0", "--solvers"])
    assert len(rows()[-1]) == 1 + len(bench_electrons.SOLVERS)


@pytest.mark.slow
def test_two_processes_share_the_work(rows):
    bench_electrons.main(["--sizes", "30", "--naive-up-to", "0", "--repeats", "1", "--seconds", "0.1"])
    assert float(rows()[0][12].removesuffix(" x")) > 0.1


def test_the_clock_counts_only_the_eigensolver():
    clock = bench_electrons.Clock(torch.device("cpu"))
    with clock.watching():
        pass
    assert clock.solver == 0
    before = torch.linalg.eigh
    with clock.watching():
        torch.linalg.eigh(torch.eye(200, dtype=torch.float64))
    assert torch.linalg.eigh is before
    assert 0 < clock.solver < clock.all


def test_codes_that_differ_are_not_compared():
    config = random_sites(30, rng=0)
    with pytest.raises(ValueError, match="the package and the naive code differ"):
        bench_electrons._require_agreement(SDModel(2.9, 1.0, 0.05), config)
    ours = SDModel(**bench_electrons.MODEL).evaluate(config)
    theirs = naive_electrons.evaluate(
        config.positions, np.array([*config.cell.diagonal()[:2], 1e9]), config.spins, 3.0, 1.0, 0.05
    )
    assert np.abs(ours.forces - theirs.forces).max() < 1e-10
