"""Replicas and temperatures side by side: what one of them does depends on nothing but itself."""

from __future__ import annotations

import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from toy_potentials import heisenberg, random_coupling, zero

from mhipnn import SDModel
from mhipnn.dynamics import Heun, Quench, Recording, Simulation, SphericalMidpoint, read_trajectory
from mhipnn.dynamics.additive import PairExchange, Sum, Zeeman
from mhipnn.dynamics.advice import time_step_advice
from mhipnn.dynamics.memory import bytes_of, groups_within, memory_of_one
from mhipnn.dynamics.schedules import Constant
from mhipnn.errors import ConfigError, InputError
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.mhip_eq import MHIPEQ
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.structures import RandomSites
from mhipnn.structures.exchange import ExponentialExchange

N, R = 13, 4  # an odd number: the ends of vectorised loops differ between a batch and a replica alone


def configurations(n=N, replicas=R):
    return [RandomSites(n, 2).sample(np.random.default_rng(seed)) for seed in range(replicas)]


def learned(model=MHIP):
    torch.manual_seed(1)
    network = model(cutoff=2.5, n_features=5, n_sensitivities=4).double()
    return NetworkPotential(network, dtype=torch.float64)


DRIVE = {"schedule": "rotating", "field": [0.6, 0, 1.1], "angular_frequency": 0.8}
POTENTIALS = {
    "exact": lambda: SDModel(J=3.0, filling=1.0),
    "kpm": lambda: SDModel(J=3.0, filling=1.0, solver="kpm"),
    "heisenberg": lambda: PairExchange(ExponentialExchange(-1.0)),
    "sum": lambda: Sum(heisenberg(random_coupling(N)), Zeeman(DRIVE)),
    "mhip": learned,
    "mhip_eq": lambda: learned(MHIPEQ),
}


def trajectory(path, quench, potential, configs, seeds, **options):
    Simulation(quench, potential, configs, seeds, Recording(path), **options).run()
    return read_trajectory(path)[0]


@pytest.mark.parametrize("name", POTENTIALS)
@pytest.mark.parametrize("integrator", [Heun(), SphericalMidpoint(1e-9)], ids=["heun", "midpoint"])
def test_a_replica_is_what_it_is_alone(tmp_path, name, integrator):
    if name == "kpm" and not isinstance(integrator, Heun):
        pytest.skip("takes long")
    n_replicas, steps = (2, 1) if name == "kpm" else (R, 6)
    potential, configs = POTENTIALS[name](), configurations(replicas=n_replicas)
    temperatures = (0.0, 0.3, Constant(0.1), 0.05)[:n_replicas]
    quench = Quench(steps * 0.1, 0.1, 0.2, temperatures, 2, integrator)
    seeds = list(range(n_replicas))
    together = trajectory(tmp_path / "all.h5", quench, potential, configs, seeds, deterministic=True)
    batched = trajectory(tmp_path / "batch.h5", quench, potential, configs, seeds)
    np.testing.assert_allclose(batched.spins, together.spins, atol=1e-11)
    np.testing.assert_allclose(batched.energies, together.energies, atol=1e-10)
    for k in range(n_replicas):
        alone = replace(quench, temperature=temperatures[k]).run(potential, [configs[k]], [seeds[k]])
        np.testing.assert_array_equal(together.spins[:, k], alone.spins[:, 0])
        np.testing.assert_array_equal(together.energies[:, k], alone.energies[:, 0])
    assert np.abs(together.spins[-1, 0] - together.spins[0, 0]).max() > 1e-4


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("name", POTENTIALS)
def test_a_resumed_run_is_the_same(tmp_path, name, deterministic):
    """Nothing is carried from step to step but the state, by any potential."""
    n_replicas, steps, after = (1, 3, 1) if name == "kpm" else (3, 9, 5)
    potential, configs = POTENTIALS[name](), configurations(replicas=n_replicas)
    quench = Quench(steps * 0.1, 0.1, 0.2, {"schedule": "linear", "start": 0.3, "end": 0.1, "duration": 1.0}, 2)
    seeds = list(range(n_replicas))
    whole = trajectory(tmp_path / "whole.h5", quench, potential, configs, seeds, deterministic=deterministic)
    (tmp_path / "other").mkdir()
    path = tmp_path / "other" / "run.h5"
    running = Simulation(quench, potential, configs, seeds, Recording(path), deterministic)

    def interrupt(done, total):
        if done == after:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt, match=f"at step {after} of {steps}"):
        running.run(interrupt)
    replace(running, potential=POTENTIALS[name]()).run(resume=True)
    again = read_trajectory(path)[0]
    np.testing.assert_array_equal(again.spins, whole.spins)
    np.testing.assert_array_equal(again.energies, whole.energies)


def test_a_list_of_temperatures_is_one_for_each_replica(tmp_path):
    configs = configurations(replicas=1) * 3
    quench = Quench(1.0, 0.1, 0.3, [0.0, 0.2, 0.2])
    run = quench.run(zero(), configs, [4, 4, 5])
    assert np.abs(run.spins[-1, 0] - run.spins[0, 0]).max() == 0  # cold and free: nothing moves
    assert np.abs(run.spins[-1, 1] - run.spins[0, 1]).max() > 0.1
    assert np.abs(run.spins[-1, 1] - run.spins[-1, 2]).max() > 0.1
    assert quench.of_replicas(slice(1, 3)).temperature == (0.2, 0.2)
    with pytest.raises(InputError, match="3 temperatures for 2 replicas"):
        quench.run(zero(), configs[:2], [1, 2])
    for bad in ([], [0.1, -0.1], ["warm"]):
        with pytest.raises(ConfigError, match="temperature"):
            Quench(1.0, 0.1, temperature=bad)


def test_groups_fit_into_the_memory():
    potential, configs = SDModel(J=3.0, filling=1.0), configurations(250, 5)
    one = memory_of_one(potential, configs[0])
    assert 16 * 500**2 < one < 64 * 16 * 500**2  # at least one complex matrix 2N x 2N, and not many
    assert groups_within(potential, configs, 2**40) == [5]
    assert groups_within(potential, configs, 1) == [1, 1, 1, 1, 1]
    assert groups_within(potential, configs, int(2.9 * one))[:1] in ([2], [3], [1])
    assert sum(groups_within(potential, configs, int(2.9 * one))) == 5
    assert groups_within(potential, configs[:1], 1) == [1]
    assert groups_within(potential, configs, None) == [5]


@pytest.mark.parametrize(
    ("given", "size"), [("2GiB", 2**31), ("500 MB", 500_000_000), (1.5, 3 * 2**29), ("4", 2**32), (None, None)]
)
def test_amounts_of_memory(given, size):
    assert bytes_of(given) == size


@pytest.mark.parametrize("given", ["2 gallons", "much", 0, -1, "1.2.3", "inf", float("nan")])
def test_bad_amounts_of_memory(given):
    with pytest.raises(ConfigError, match="max_memory="):
        bytes_of(given)


def test_the_advice_is_the_field_and_the_error_of_a_step():
    """A free spin in a field: the angle is dt b, and Heun's error after a step is known."""
    b, dt = 0.8, 0.1
    config = configurations(1, 1)[0].with_spins([[1.0, 0.0, 0.0]])
    quench = Quench(1.0, dt, 0.0, 0.0, external_field=(0.0, 0.0, b))
    advice = time_step_advice(quench, zero(), config)
    assert advice.angle == pytest.approx(b * dt, rel=1e-12)
    turned = quench.run(zero(), [config], [0]).spins[1, 0, 0]
    exact = np.array([np.cos(b * dt), np.sin(b * dt), 0.0])
    assert advice.error == pytest.approx(np.linalg.norm(turned - exact) / dt, rel=0.05)
    assert not advice.too_long
    assert str(advice).startswith("time_step 0.1: 0.08 rad a step at the largest field, error ")
    long = time_step_advice(
        replace(quench, time_step=1.0, duration=2.0, external_field=(0.0, 0.0, 3.0)), zero(), config
    )
    assert long.too_long
    assert "too long, dynamics.time_step=0." in str(long)
    damped = time_step_advice(replace(quench, damping=1.0), zero(), config)
    assert damped.angle == pytest.approx(b * dt / 2, rel=1e-12)
