"""Timing in turn, the table's heading, and work counted by formula against PyTorch's own counter."""

from __future__ import annotations

import time

import benchmarking
import numpy as np
import pytest
import torch
from benchmarking import Peaks, Timing, interleaved, measure_peaks, parser, table
from counted_work import Sizes, Work, gradient_of, message, training_step
from plain_mhip import PlainMHIP
from torch.utils.flop_counter import FlopCounterMode

from mhipnn import SpinConfiguration
from mhipnn.data.graph import spin_graph
from mhipnn.nn.mhip import MHIP


def test_actions_are_timed_in_turn_after_rounds_that_do_not_count(monkeypatch):
    monkeypatch.setattr(benchmarking, "BURST", 1e-9)
    called = []
    times = interleaved({name: lambda name=name: called.append(name) for name in "ab"}, 3)
    assert called == ["a", "b"] * 5
    assert {name: len(timing.times) for name, timing in times.items()} == {"a": 3, "b": 3}


def test_short_actions_are_timed_several_in_a_row():
    called = []

    def short():
        called.append(0)
        time.sleep(0.004)

    times = interleaved({"short": short, "long": lambda: time.sleep(0.04)}, 2)
    assert 2 + 2 * 2 <= len(called) <= 2 + 2 * 8  # 30 ms in a row, however slowly the machine sleeps
    assert 0.004 <= times["short"].median < 0.03


def test_what_exceeds_its_budget_is_timed_once():
    times = interleaved({"slow": lambda: time.sleep(0.02), "quick": lambda: None}, 4, budget=0.01)
    assert {name: len(timing.times) for name, timing in times.items()} == {"slow": 1, "quick": 4}
    assert times["slow"].spread == "once"
    assert times["slow"].median >= 0.02


def test_median_and_spread():
    timing = Timing((1.0, 4.0, 2.0))
    assert timing.median == 2.0
    assert timing.spread == "150 %"


def test_shares_of_the_peaks():
    peaks = Peaks(flops=1e9, bandwidth=1e8)
    assert peaks.shares(Work(1e6, 5e5), 0.01) == ("10.0 %", "50.0 %")
    assert "10.0 % of the matmul, 50.0 % of the copy" in peaks.roofline("it", Work(1e6, 5e5), 0.01)


def test_peaks_are_those_of_the_operations():
    peaks = measure_peaks(torch.float32, size=128, repeats=3)
    assert 1e8 < peaks.flops < 1e14
    assert 1e7 < peaks.bandwidth < 1e13


def test_the_title_names_device_threads_and_version():
    title = str(table("Something", "cpu", ["a"], [1, 2]).title)
    assert title.startswith("Something\n")
    assert title.endswith(f", 1, 2 thread(s), torch {torch.__version__}")


@pytest.mark.parametrize("given", ["0", "-1", "x"])
def test_counts_below_one_are_refused(given, capsys):
    with pytest.raises(SystemExit, match="2"):
        parser("").parse_args(["--repeats", given])
    assert "at least 1" in capsys.readouterr().err


def test_devices_that_are_not_there_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for given, told in (("cuda", "finds no CUDA device"), ("tpu9", "expected cpu or cuda")):
        with pytest.raises(SystemExit, match="2"):
            parser("").parse_args(["--device", given])
        assert told in capsys.readouterr().err


def test_counted_work_of_a_message():
    work = message(Sizes(n_sites=10, n_edges=30), n_nu=2, n_l=1, n_features=4)
    assert work.flop == 30 * 2 * 4 * 2
    assert work.bytes == 4 * (30 * 3 + 10 * 4 + 10 * 8) + 30 * 8
    cached = message(Sizes(n_sites=10, n_edges=30), n_nu=2, n_l=1, n_features=4, stored=False)
    assert work.bytes - cached.bytes == 4 * 10 * 8


@pytest.mark.parametrize("magnetic", [True, False])
@pytest.mark.parametrize("kind", ["gradient", "training step"])
def test_counted_work_of_a_network_is_what_torch_counts(kind, magnetic):
    """On a lattice all slots are filled, and the padded products of the plain form do no idle work."""
    model = MHIP(cutoff=2.5, n_features=16, n_sensitivities=12, l_max=2 if magnetic else 0)
    sites = np.array([(x, y, 0) for x in range(5) for y in range(5)], float)
    spins = np.random.default_rng(0).normal(size=(25, 3))
    graph = spin_graph(SpinConfiguration(sites, np.diag([5.0, 5.0, 1.0]), (True, True, False), spins), 2.5)
    training, sizes = kind == "training step", Sizes(25, graph.edge_index.shape[1])
    plain = PlainMHIP(model.requires_grad_(training))
    with FlopCounterMode(display=False) as counter:
        # Of a non-magnetic network the spins' gradient is none: the forces stand for it.
        prediction = plain(graph, forces=not magnetic, differentiable=training)
        if training:
            gradient = prediction.field if magnetic else prediction.forces
            (gradient.square().sum() + prediction.terms.square().sum()).backward()
    expected = training_step(model, sizes) if training else gradient_of(model, sizes)
    assert expected.flop == pytest.approx(
        counter.get_total_flops(), rel=0.05
    )  # joining s and P: a product each, in a few places
