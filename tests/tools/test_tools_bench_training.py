"""Both tables: hippynn's network against ours, and the magnetic step with the share of its loader."""

from __future__ import annotations

import sys

import bench_training
import hippynn_peer
import pytest
import torch

TINY = ["--graphs", "2", "--sites", "9", "--cutoff", "2", "--sensitivities", "3", "--features", "4", "--onsite", "1"]
TINY += ["--batches", "2", "--repeats", "1"]


def test_rows_for_every_number_of_threads(known_peaks, rows, monkeypatch):
    monkeypatch.setitem(sys.modules, "hippynn", None)
    bench_training.main([*TINY, "--threads", "1", "2"])
    found = rows()
    assert [row[0] for row in found] == ["mhipnn", "mhipnn", "1", "2"]
    for row in found[2:]:
        assert row[5].endswith(" x")  # plain / mhipnn
        assert row[7].endswith(" %")  # loader / step


def test_hippynn_is_compared_and_timed(known_peaks, rows):
    if hippynn_peer.load() is None:
        pytest.skip("hippynn is not installed")
    bench_training.main([*TINY, "--threads", "1", "--hippynn", "_pytorch_raw_wrapped", "--flush-denormals"])
    assert [row[0] for row in rows()][:2] == ["mhipnn", "hippynn _pytorch_raw_wrapped"]


def test_different_results_are_not_timed():
    wanted = torch.tensor([1.0, -2.0])
    bench_training._require_equal("energies", wanted * (1 + 1e-6), wanted)
    with pytest.raises(ValueError, match=r"energies: differ from those of mhipnn by 1\.0e-02"):
        bench_training._require_equal("energies", wanted * 1.01, wanted)
