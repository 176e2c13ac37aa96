"""Runs that are killed, interrupted or out of space: nothing written is lost, and the rest is the same to the bit."""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import signal
import subprocess
from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from interrupted_run import N, main, simulation
from toy_potentials import Toy, heisenberg, random_coupling, zeeman

from mhipnn.dynamics import SavedState, TrajectoryReader, TrajectoryWriter, read_trajectory
from mhipnn.errors import DatasetError, InputError, NonFiniteError

STEPS = 300


def contents(path):
    """Every array of the file."""
    found = {}
    with h5py.File(path, "r") as file:  # an ended run is readable without further ado
        file.visititems(
            lambda name, item: found.__setitem__(name, item[...]) if isinstance(item, h5py.Dataset) else None
        )
    return found


def assert_same(one, two):
    one, two = contents(one), contents(two)
    assert one.keys() == two.keys()
    assert {"spins", "energies", "times", "steps", "streams/m/m"} <= one.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name, strict=True)


def start(*arguments):
    """The process, and an iterator of what it says. One server imports everything, and forks a process for each."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mhipnn.dynamics", "mhipnn.structures"])
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=main, args=(there, *arguments))
    process.start()
    there.close()
    return process, said(here)


def said(pipe):
    while pipe.poll(120):
        try:
            yield pipe.recv()
        except EOFError:
            return
    raise TimeoutError


def killed_at(step, *arguments):
    """Start the run and kill it as soon as it says that it made ``step`` steps."""
    process, says = start(*arguments)
    for word in says:
        if word >= step:
            process.kill()
            break
    process.join()


def interrupted(process, says, at, number):
    for word in says:
        if word == at:
            os.kill(process.pid, number)
            break
    *_, last = says
    process.join()
    return last


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    simulation(folder, 2, STEPS).run()
    return folder / "trajectory.h5"


def check_killed(folder, whole, steps):
    path = folder / "trajectory.h5"
    for step in steps:
        killed_at(step, folder, 2, STEPS)
        if path.exists():
            back, _ = read_trajectory(path)
            np.testing.assert_array_equal(back.spins, contents(whole)["spins"][: len(back.times)])
    simulation(folder, 2, STEPS).run(resume=True)
    assert_same(path, whole)
    assert {file.name for file in folder.iterdir()} == {"trajectory.h5"}


def test_two_kills_change_nothing(tmp_path, whole):
    check_killed(tmp_path, whole, [40, 170])


@pytest.mark.slow
def test_twenty_kills_change_nothing(tmp_path, whole):
    drawn = random.Random(5)
    check_killed(tmp_path, whole, sorted(drawn.randrange(1, STEPS) for _ in range(20)))


def test_a_run_in_groups_is_the_same_and_survives_a_kill(tmp_path, whole):
    killed_at(STEPS + 50, tmp_path, 2, STEPS, [1, 1])
    with TrajectoryReader(tmp_path / "trajectory.h5") as reader:  # the second group is under way
        assert (reader.n_replicas, reader.n_frames) == (1, STEPS // 3 + 1)
    simulation(tmp_path, 2, STEPS, [1, 1]).run(resume=True)
    grouped, alone = contents(tmp_path / "trajectory.h5"), contents(whole)
    for name in ("spins", "energies", "times", "streams/m/m"):
        np.testing.assert_array_equal(grouped[name], alone[name])


def test_readable_while_it_runs(tmp_path):
    process, says = start(tmp_path, 2, 50_000)
    seen = []
    for word in says:
        if word in (30, 60):
            back, _ = read_trajectory(tmp_path / "trajectory.h5")
            seen.append(len(back.times))
            np.testing.assert_allclose(np.linalg.norm(back.spins, axis=-1), 1, atol=1e-12)
        if len(seen) == 2:
            break
    assert process.is_alive()
    process.kill()
    process.join()
    assert 10 <= seen[0] < seen[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_in_order(tmp_path, whole, number):
    error = interrupted(*start(tmp_path, 2, STEPS), 100, number)
    assert error.startswith("KeyboardInterrupt: interrupted at step ")
    assert error.endswith("the same command goes on from here")
    kept = SavedState.load(tmp_path / "state.npz")
    assert f"step {kept.step} of" in error
    with TrajectoryReader(tmp_path / "trajectory.h5") as reader:
        assert kept.step // 3 + 1 == reader.n_frames
    done = []
    simulation(tmp_path, 2, STEPS).run(lambda step, total: done.append(step), resume=True)
    assert done[0] == kept.step  # not from the frame before
    assert_same(tmp_path / "trajectory.h5", whole)


def test_the_precision_of_a_run_is_kept(tmp_path):
    def running(folder):
        folder.mkdir(exist_ok=True)
        return replace(simulation(folder, 2, 30), potential=Toy(heisenberg(random_coupling(N)).function, torch.float32))

    running(tmp_path / "one").run()

    def stop(done, total):
        if done == 17:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        running(tmp_path / "two").run(stop)
    running(tmp_path / "two").run(resume=True)
    assert contents(tmp_path / "one" / "trajectory.h5")["spins"].dtype == np.float32
    assert_same(tmp_path / "one" / "trajectory.h5", tmp_path / "two" / "trajectory.h5")


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda run: replace(run, seeds=[5, 6]), "noise"),
        (lambda run: replace(run, quench=replace(run.quench, damping=0.2)), "dynamics"),
        (lambda run: replace(run, configs=run.configs[::-1]), "system"),
    ],
)
def test_another_run_is_refused(tmp_path, other, what):
    running = simulation(tmp_path, 2, 6)
    running.run()
    before = (tmp_path / "trajectory.h5").read_bytes()
    with pytest.raises(InputError, match=f"of another run, its {what} differs"):
        other(running).run(resume=True)
    with pytest.raises(InputError, match="exists already"):
        running.run()
    assert (tmp_path / "trajectory.h5").read_bytes() == before


def test_a_state_of_another_run_is_not_used(tmp_path, whole):
    simulation(tmp_path, 3, 6).run()
    SavedState(np.ones((2, N, 3)), 200, 10.0, (7, 8)).save(tmp_path / "state.npz")
    (tmp_path / "trajectory.h5").unlink()
    simulation(tmp_path, 2, STEPS).run(resume=True)
    assert_same(tmp_path / "trajectory.h5", whole)
    (tmp_path / "text.npz").write_text("no state")
    with pytest.raises(DatasetError, match="not a saved state"):
        SavedState.load(tmp_path / "text.npz")


def test_a_value_that_is_not_finite_leaves_the_state_before_it(tmp_path):
    field = zeeman([0.3, 0.1, 1.0])

    def breaks(spins):
        energies, fields = field.function(spins)
        if breaks.calls == 20:
            fields = torch.where(torch.arange(2 * N).view(2, N, 1) == N + 5, torch.nan, fields)
        breaks.calls += 1
        return energies, fields

    breaks.calls = 0
    running = replace(simulation(tmp_path, 2, 60), potential=Toy(breaks))
    with pytest.raises(NonFiniteError) as caught:
        running.run()
    message = str(caught.value)
    for part in ("site 5", "replica 1", "failed_state.npz", "LLG step", "time"):
        assert part in message
    kept = SavedState.load(tmp_path / "failed_state.npz")
    assert f"LLG step {kept.step + 1} " in message
    assert np.isfinite(kept.spins).all()
    # The same run, without the fault, goes through that state.
    replace(running, potential=field).run(resume=True)
    states = list(running.quench.states(field.prepare([]), running.configs, running.seeds))
    np.testing.assert_array_equal(states[kept.step].spins.numpy(), kept.spins)


def test_a_full_disk_loses_nothing(tmp_path, whole):
    process, says = start(tmp_path, 2, STEPS, None, 400_000)
    *_, error = says
    process.join()
    back, _ = read_trajectory(tmp_path / "trajectory.h5")
    assert error.startswith("InputError: trajectory ")
    assert f"cannot be written: File too large; its {len(back.times)} frames are kept" in error
    simulation(tmp_path, 2, STEPS).run(resume=True)
    assert_same(tmp_path / "trajectory.h5", whole)


def test_a_full_file_system_loses_nothing(tmp_path, whole):
    """A real one, where this process may mount it."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=384k", "tmpfs", str(place)], capture_output=True).returncode:
        pytest.skip("no right to mount a tmpfs")
    try:
        process, says = start(place, 2, STEPS)
        *_, error = says
        process.join()
        assert "cannot be written: No space left on device; " in error
        back, _ = read_trajectory(place / "trajectory.h5")
        assert len(back.times) > 2
        shutil.copy(place / "trajectory.h5", tmp_path)
    finally:
        subprocess.run(["umount", str(place)], check=True)
    place.rmdir()
    simulation(tmp_path, 2, STEPS).run(resume=True)
    assert_same(tmp_path / "trajectory.h5", whole)


def test_a_failing_write_is_one_line(tmp_path, monkeypatch):
    """Should HDF5 itself meet the full disk: frames so far are there, and the run goes on."""
    config = simulation(tmp_path, 1, 3).configs[0]

    def full(*_):
        raise OSError(28, "No space left on device")

    with TrajectoryWriter(tmp_path / "run.h5", [config]) as writer:
        writer.append(0.0, config.spins[None], np.array([-1.0]))
        monkeypatch.setattr("mhipnn.dynamics.growing_data.Growing.put", full)
        with pytest.raises(InputError, match="cannot be written: No space left on device; its 1 frames are kept"):
            writer.append(0.1, config.spins[None], np.array([-1.0]))
    monkeypatch.undo()
    with TrajectoryWriter.reopened(tmp_path / "run.h5") as writer:
        assert writer.recorded == [1]
        writer.append(0.1, config.spins[None], np.array([-2.0]))
    back, _ = read_trajectory(tmp_path / "run.h5")
    np.testing.assert_array_equal(back.energies, [[-1.0], [-2.0]])


def test_a_frozen_quench_is_what_is_simulated(whole):
    """The driver adds nothing to the dynamics."""
    running = simulation(whole.parent, 2, STEPS)
    run = running.quench.run(running.potential, running.configs, running.seeds)
    np.testing.assert_array_equal(run.spins, contents(whole)["spins"])
    np.testing.assert_array_equal(run.energies, contents(whole)["energies"])
    np.testing.assert_allclose(contents(whole)["streams/m/m"], run.spins.mean(2), atol=1e-14)
