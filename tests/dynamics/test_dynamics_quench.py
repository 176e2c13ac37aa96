"""The quench, its snapshots and its file."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import torch
from toy_potentials import Toy, heisenberg, random_coupling, zeeman, zero

from mhipnn import SDModel
from mhipnn.dynamics import (
    RK4,
    Heun,
    Quench,
    QuenchSnapshots,
    TrajectoryWriter,
    read_trajectory,
    write_trajectory,
)
from mhipnn.errors import ConfigError, DatasetError, InputError, NonFiniteError, UserError
from mhipnn.structures import RandomSites
from mhipnn.structures.spins import SpinSampler

N = 10
POTENTIAL = heisenberg(random_coupling(N))


def configurations(replicas=2, n=N):
    return [RandomSites(n, 2).sample(np.random.default_rng(seed)) for seed in range(replicas)]


def test_records_the_start_every_so_many_steps_and_the_end():
    calls = []
    quench = Quench(2.3, 0.1, record_every=5)
    run = quench.run(POTENTIAL, configurations(), [1, 2], progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_allclose(run.times, [0.0, 0.5, 1.0, 1.5, 2.0, 2.3])
    assert run.spins.shape == (6, 2, N, 3)
    assert run.energies.shape == (6, 2)
    assert calls == [(step, 23) for step in range(1, 24)]
    np.testing.assert_allclose(run.spins[0], [config.spins for config in run.configs], atol=1e-15)


def test_recording_costs_at_most_one_evaluation():
    counted = []

    class Counted(Toy):
        def prepare(self, configs):
            counted.append(super().prepare(configs))
            return counted[-1]

    Quench(1.0, 0.1, record_every=1).run(Counted(POTENTIAL.function), configurations(), [1, 2])
    assert counted[0].calls == 2 * 10 + 1


def test_energies_and_fields_are_those_of_the_recorded_spins():
    b = np.array([0.1, 0.0, 0.4])
    configs = [replace(config, moments=np.linspace(0.5, 2, N)) for config in configurations()]
    quench = Quench(1.0, 0.1, 0.2, record_every=3, external_field=tuple(b))
    coupling = random_coupling(N)
    frames = list(quench.frames(POTENTIAL, configs, [1, 2]))
    for frame in frames:
        for replica, spins in enumerate(frame.spins):
            own = -0.5 * np.einsum("ij,ia,ja", coupling, spins, spins)
            zeeman_energy = -(configs[replica].moments * (spins @ b)).sum()
            assert frame.energies[replica] == pytest.approx(own + zeeman_energy, abs=1e-12)
            np.testing.assert_allclose(frame.fields[replica], coupling @ spins, atol=1e-12)


def test_an_external_field_is_a_zeeman_term():
    b = (0.3, -0.2, 0.9)
    configs = configurations()
    with_term = Quench(2.0, 0.05, 0.1, 0.2).run(zeeman(b), configs, [1, 2])
    with_field = Quench(2.0, 0.05, 0.1, 0.2, external_field=b).run(zero(), configs, [1, 2])
    np.testing.assert_allclose(with_term.spins, with_field.spins, atol=1e-12)
    np.testing.assert_allclose(with_term.energies, with_field.energies, atol=1e-12)


def test_two_potentials_feel_the_same_noise_in_either_precision():
    quench = Quench(0.5, 0.05, 0.3, 0.4, integrator=Heun())
    double = quench.run(POTENTIAL, configurations(), [1, 2])
    single = quench.run(Toy(POTENTIAL.function, torch.float32), configurations(), [1, 2])
    weak = quench.run(heisenberg(1e-9 * random_coupling(N)), configurations(), [1, 2])
    free = quench.run(zero(), configurations(), [1, 2])
    other = quench.run(zero(), configurations(), [3, 4])
    assert np.abs(double.spins - single.spins).max() < 1e-4
    assert np.abs(weak.spins - free.spins).max() < 1e-6
    assert np.abs(other.spins - free.spins).max() > 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"duration": 0.0}, "duration"),
        ({"time_step": -0.1}, "time_step"),
        ({"time_step": float("nan")}, "time_step"),
        ({"time_step": 3.0}, "longer than the duration"),
        ({"damping": -0.1}, "damping"),
        ({"temperature": -1.0}, "temperature"),
        ({"record_every": 0}, "record_every"),
        ({"external_field": (1.0, 0.0)}, "external_field"),
    ],
)
def test_bad_settings_are_refused_by_name(change, message):
    with pytest.raises(ConfigError, match=message):
        Quench(**({"duration": 2.0, "time_step": 0.1} | change))


def test_bad_input_is_refused():
    quench = Quench(0.2, 0.1, 0.1, 0.1)
    with pytest.raises(InputError, match="at least one configuration"):
        quench.run(POTENTIAL, [], [])
    with pytest.raises(InputError, match="2 configurations but 1 seeds"):
        quench.run(POTENTIAL, configurations(), [1])
    with pytest.raises(InputError, match="seeds must be integers"):
        quench.run(POTENTIAL, configurations(), [1, -2])
    with pytest.raises(InputError, match=r"equal sizes, got \[9, 10\]"):
        quench.run(POTENTIAL, [*configurations(1), *configurations(1, 9)], [1, 2])
    long = configurations(1)[0]
    long = long.with_spins(long.spins * np.where(np.arange(N) == 3, 2.0, 1.0)[:, None])
    with pytest.raises(InputError, match="site 3 of replica 0"):
        quench.run(POTENTIAL, [long], [1])
    Quench(0.2, 0.1, 0.1, 0.0).run(POTENTIAL, [long], [1])


def test_an_energy_that_is_not_finite_is_named():
    potential = Toy(lambda spins: (torch.tensor([0.0, torch.inf], dtype=spins.dtype), torch.zeros_like(spins)))
    with pytest.raises(NonFiniteError, match="energy of replica 1 is inf"):
        Quench(0.2, 0.1).run(potential, configurations(), [1, 2])


def test_snapshots_are_the_quench_at_those_times():
    sites = configurations(1, 12)[0]
    exact = SDModel(J=3.0, filling=1.0, temperature=0.05)
    quench = Quench(6.0, 0.5, 0.1, 0.05, integrator=RK4())
    sampler = QuenchSnapshots([1.0, 3.5, 6.0], quench, every=4, float32=False)
    assert isinstance(sampler, SpinSampler)
    assert sampler.every == 4
    sampled = sampler.sample(sites, exact, np.random.default_rng(8))
    again = sampler.sample(sites, exact, np.random.default_rng(8))
    other = sampler.sample(sites, exact, np.random.default_rng(9))
    single = QuenchSnapshots([1.0, 3.5, 6.0], quench).sample(sites, exact, np.random.default_rng(8))
    assert [time for time, _ in sampled] == [1.0, 3.5, 6.0]
    for (_, one), (_, two), (_, three), (_, four) in zip(sampled, again, other, single, strict=True):
        assert one.dtype == four.dtype == np.float64
        np.testing.assert_array_equal(one, two)
        assert np.abs(one - three).max() > 0.1
        assert 0 < np.abs(one - four).max() < 1e-3
        np.testing.assert_allclose(np.linalg.norm(four, axis=1), 1, atol=1e-14)
    # The same start and noise by hand: spins first, then one seed from the generator.
    rng = np.random.default_rng(8)
    start = rng.normal(size=(12, 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    run = quench.run(exact, [sites.with_spins(start)], [int(rng.integers(2**63))])
    np.testing.assert_allclose(sampled[1][1], run.spins[7, 0], atol=1e-12)


@pytest.mark.parametrize("times", [[], [0.0, 1.0], [2.0, 1.0], [1.0, 1.01], [7.0]])
def test_bad_snapshot_times_are_refused(times):
    with pytest.raises(ConfigError, match=r"times|time 7\.0"):
        QuenchSnapshots(times, Quench(6.0, 0.5))


def test_trajectory_survives_the_disk(tmp_path):
    configs = [replace(config, species=np.arange(N), moments=np.linspace(1, 2, N)) for config in configurations(3)]
    run = Quench(1.0, 0.1, 0.2, 0.1, 3).run(POTENTIAL, configs, [1, 2, 3])
    write_trajectory(tmp_path / "run.h5", run, {"J": 3.0, "seeds": [1, 2, 3]})
    back, metadata = read_trajectory(tmp_path / "run.h5")
    assert metadata == {"J": 3.0, "seeds": [1, 2, 3]}
    for name in ("times", "spins", "energies"):
        np.testing.assert_array_equal(getattr(back, name), getattr(run, name))
    for one, two in zip(back.configs, configs, strict=True):
        for name in ("positions", "cell", "pbc", "spins", "species", "moments"):
            np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    with pytest.raises(InputError, match="exists already"):
        write_trajectory(tmp_path / "run.h5", run)
    with pytest.raises(InputError, match="cannot be written"):
        write_trajectory(tmp_path / "nowhere" / "run.h5", run)


def test_a_half_written_frame_is_left_out(tmp_path):
    path = tmp_path / "run.h5"
    config = configurations(1)[0]
    with TrajectoryWriter(path, [config], precision="float32") as writer:
        writer.append(0.0, config.spins[None], np.array([-1.0]))
    with h5py.File(path, "a") as file:
        file["spins"].resize(2, axis=0)
    back, _ = read_trajectory(path)
    assert back.spins.shape == (1, 1, N, 3)
    np.testing.assert_allclose(back.spins[0, 0], config.spins, atol=1e-7)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(DatasetError, match="cannot be read"):
        read_trajectory(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("not a trajectory")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_trajectory(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file.attrs["format"] = "something else"
    with pytest.raises(DatasetError, match="not a trajectory"):
        read_trajectory(tmp_path / "other.h5")
    with pytest.raises(UserError, match="precision 'float16'"):
        TrajectoryWriter(tmp_path / "new.h5", configurations(1), precision="float16")
    with pytest.raises(InputError, match="one size"):
        TrajectoryWriter(tmp_path / "new.h5", [*configurations(1), *configurations(1, 9)])
