"""A row for each operation and kernel, after their results were compared."""

from __future__ import annotations

import sys

import bench_message
import hippynn_peer
import pytest
import torch

from mhipnn.nn.kernels import reference

TINY = ["--graphs", "2", "--sites", "9", "--cutoff", "2", "--sensitivities", "3", "--features", "4", "--repeats", "1"]


def test_rows_without_hippynn(known_peaks, rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "hippynn", None)
    bench_message.main(TINY)
    found = [tuple(row[:3]) for row in rows()]
    expected = [
        (operation, n_l, kernels)
        for n_l in ("1", "3")
        for operation in bench_message.OPERATIONS
        for kernels in ("mhipnn", "mhipnn PyTorch")
    ]
    assert found == expected


def test_hippynns_kernels_stand_beside_ours_and_broken_ones_are_named(known_peaks, capsys):
    if hippynn_peer.load() is None:
        pytest.skip("hippynn is not installed")
    bench_message.main([*TINY, "--dtype", "float64", "--hippynn", "_pytorch_raw", "absent"])
    printed = capsys.readouterr().out
    assert printed.count("│ hippynn _pytorch_raw │") == len(bench_message.OPERATIONS)
    assert "hippynn absent does not run here: KeyError" in printed


def test_a_wrong_kernel_is_not_timed():
    args = bench_message.options().parse_args(TINY)
    inputs = bench_message.random_inputs(args, 3)
    kernels = bench_message.ours(inputs, reference)
    right = kernels["by z"]
    bench_message.check(inputs, {"right": kernels})
    kernels["by z"] = lambda: tuple(torch.where(result == result.max(), 0.9 * result, result) for result in right())
    with pytest.raises(ValueError, match="wrong, by z: differs"):
        bench_message.check(inputs, {"wrong": kernels})
