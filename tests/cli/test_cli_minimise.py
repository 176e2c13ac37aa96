"""Copies, starts and minima from the command line: what works together, and what is one line with exit code 1."""

from __future__ import annotations

import json
import signal

import h5py
import numpy as np
import pytest
from test_cli_simulate import PAIRS, at_call, call, checkpoint, full, refused  # noqa: F401

from mhipnn.analysis.simulation import minimisation
from mhipnn.dynamics import TrajectoryReader, read_trajectory

SYSTEM = ["system.n_sites=16", "replicas=2"]
MINIMA = ["potential=heisenberg", "potential.J.J=-1", "dynamics=minimise"]


def test_inherent_structures_of_a_quench(call, tmp_path):  # noqa: F811
    assert call(*PAIRS, "potential.J.J=-1", "copies=2", "run_dir=quench")[0] == 0
    code, out, err = call(*MINIMA, "start=quench/trajectory.h5", "output_root=out")
    assert (code, err) == (0, "")
    for words in (
        "Minima of 2 x 2 copies x 16 spins",
        "energy per site at the minimum",
        "largest torque",
        "iterations",
    ):
        assert words in out
    (folder,) = (tmp_path / "out" / "simulate" / "from_file").iterdir()
    first, last = (read_trajectory(path / "trajectory.h5")[0] for path in (tmp_path / "quench", folder))
    np.testing.assert_array_equal(last.spins[0], first.spins[-1])
    np.testing.assert_allclose(last.energies[0], first.energies[-1], atol=1e-12)
    assert (last.energies[1] < last.energies[0]).all()
    assert json.loads((folder / "metrics.json").read_text())["largest_torque_end"] < 1e-6
    assert (folder / "figures" / "descent.png").stat().st_size > 10_000


def test_a_network_in_single_precision_comes_to_rest(call, tmp_path):  # noqa: F811
    learned = ["potential=learned", checkpoint(tmp_path / "best.ckpt"), "dynamics=minimise", "run_dir=run"]
    assert call(*SYSTEM, *learned)[0] == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["largest_torque_end"] < metrics["tolerance"]
    with h5py.File(tmp_path / "run" / "trajectory.h5") as file:
        assert metrics["tolerance"] == (1e-6 if file["spins"].dtype == np.float64 else 1e-4)


def test_what_is_not_at_rest_is_one_line_and_keeps_the_groups_before_it(call, tmp_path):  # noqa: F811
    limited = [*SYSTEM, *MINIMA, "max_memory=1B", "run_dir=run"]
    err = refused(call(*limited, "dynamics.max_iterations=3"))
    for words in ("replica 0 is not at rest after 3 iterations", "raise max_iterations", "failed_state.npz"):
        assert words in err
    with TrajectoryReader(tmp_path / "run" / "trajectory.h5") as reader:
        assert reader.recorded == [1, 0]
        assert reader.spins(0).shape == (1, 16, 3)
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert "replica 0 is not at rest" in refused(call(*limited, "dynamics.max_iterations=3"))  # gone on with
    assert "another configuration" in refused(call(*limited))
    assert call(*limited[:-1], "run_dir=other")[0] == 0
    with TrajectoryReader(tmp_path / "other" / "trajectory.h5") as reader:
        assert reader.recorded == [2, 2]


def interrupt():
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize(
    ("action", "code", "says"),
    [
        (interrupt, 130, "interrupted at iteration 0: the same command goes on from here"),
        (full, 1, "No space left on device; its 0 frames are kept"),
    ],
    ids=["ctrl-c", "full"],
)
def test_the_same_command_goes_on(call, monkeypatch, tmp_path, action, code, says):  # noqa: F811
    """What happens when the start of the second group is written."""
    monkeypatch.setattr(minimisation, "save", lambda figure, path: path)  # pictures take longer than all the rest
    each = [*SYSTEM, *MINIMA, "max_memory=1B"]
    assert call(*each, "run_dir=whole")[0] == 0
    with monkeypatch.context() as patch:
        at_call(patch, 3, action)
        ended, _, err = call(*each, "output_root=out")
    assert (ended, err.count("\n")) == (code, 1)
    assert says in err
    (folder,) = (tmp_path / "out" / "simulate" / "random_sites").iterdir()
    with TrajectoryReader(folder / "trajectory.h5") as reader:
        assert reader.recorded == [2, 1 if code == 130 else 0]
    ended, out, _ = call(*each, "output_root=out")
    assert ended == 0
    assert "going on in" in out
    whole, gone_on = (read_trajectory(path / "trajectory.h5")[0] for path in (tmp_path / "whole", folder))
    np.testing.assert_array_equal(gone_on.spins, whole.spins)


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["copies=0"], "copies=0: give a whole number >= 1"),
        (["copies=1.5"], "copies=1.5: give a whole number >= 1"),
        (["copies=two"], "copies=two: expected a number"),
        (["start=none.h5"], "start=none.h5: there is no such file"),
        (["start=text.h5"], "text.h5 cannot be read"),
        (["start=empty.h5"], "empty.h5 is not a trajectory"),
        (["dynamics=minimize"], "did you mean 'minimise'"),
        (["dynamics=minimise", "dynamics.tolerance=0"], "tolerance is 0"),
        (["dynamics=minimise", "dynamics.tolerance=small"], "tolerance is small; it must be an energy > 0"),
        (["dynamics=minimise", "dynamics.max_iterations=0"], "max_iterations is 0"),
        (["dynamics=minimise", "dynamics.temperature=[0.1,0.2]"], "unknown key 'dynamics.temperature'"),
        (["dynamics=minimise", "dynamics/integrator=rk4"], "integrator"),
        (["dynamics=minimise", "potential=exact", "audit=exact"], "audit: dynamics=minimise"),
    ],
)
def test_bad_values_are_one_line(call, tmp_path, overrides, says):  # noqa: F811
    (tmp_path / "text.h5").write_text("no trajectory")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    assert says in refused(call(*SYSTEM, "potential=heisenberg", *overrides))
    assert not (tmp_path / "outputs" / "simulate").exists()
