"""Order, conservation and purity of the integrators."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from every_integrator import INTEGRATORS as BY_NAME
from every_integrator import noise_for
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_potentials import Frozen, heisenberg, random_coupling

from mhipnn import SDModel
from mhipnn.dynamics import RK4, Drive, Heun, LLGState, Quench
from mhipnn.errors import NonFiniteError
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.structures import RandomSites, random_spins

INTEGRATORS = list(BY_NAME.values())
EXPLICIT = [integrator for integrator in INTEGRATORS if integrator.evaluations_per_step]
N = 12


def start(seed=0, replicas=2, lengths=1.0):
    rng = np.random.default_rng(seed)
    spins = np.stack([random_spins(N, rng) for _ in range(replicas)]) * lengths
    return LLGState(torch.from_numpy(spins), seeds=tuple(range(replicas)))


def advance(integrator, state, force, dt, steps, damping=0.3, temperature=0.0, external=None):
    moments = torch.ones(state.spins.shape[:2], dtype=state.spins.dtype)
    for _ in range(steps):
        state = integrator.step(state, force, Drive(dt, damping, temperature, moments, external))
    return state


@pytest.mark.parametrize("integrator", [i for i in INTEGRATORS if i.order < 5], ids=lambda i: type(i).__name__)
def test_order_of_convergence(integrator):
    force = heisenberg(random_coupling(N)).prepare([])
    external = torch.tensor([0.3, -0.2, 0.5], dtype=torch.float64)
    exact = advance(RK4(), start(), force, 1 / 256, 512, external=external).spins
    errors = [
        float((advance(integrator, start(), force, 2 / n, n, external=external).spins - exact).abs().max())
        for n in (16, 32)
    ]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(integrator.order, abs=0.35)


@pytest.mark.parametrize("integrator", EXPLICIT, ids=lambda i: type(i).__name__)
def test_evaluations_per_step_are_as_promised_and_a_known_field_is_used(integrator):
    force = heisenberg(random_coupling(N)).prepare([])
    state = advance(integrator, start(), force, 0.1, 5)
    assert force.calls == 5 * integrator.evaluations_per_step
    evaluated = state.evaluated(force)
    advance(integrator, evaluated, force, 0.1, 1)
    assert force.calls == 6 * integrator.evaluations_per_step
    assert evaluated.evaluated(force) is evaluated


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    damping=st.floats(0, 2),
    dt=st.floats(0.01, 0.5),
    integrator=st.sampled_from(INTEGRATORS),
)
def test_lengths_of_spins_are_kept(seed, damping, dt, integrator):
    lengths = np.random.default_rng(seed).uniform(0.2, 3.0, size=(2, N, 1))
    state = start(seed, lengths=lengths)
    force = heisenberg(random_coupling(N, seed)).prepare([])
    if integrator not in EXPLICIT:
        dt = dt / 20  # it has to converge, too
    end = advance(integrator, state, force, dt, 20, damping, temperature=noise_for(integrator, 0.1))
    assert np.abs(end.spins.norm(dim=-1).numpy() / lengths[..., 0] - 1).max() < 1e-12


def drift(integrator, force, dt, duration, spins):
    state = LLGState(spins, seeds=(0,) * len(spins)).evaluated(force)
    moments = torch.ones(spins.shape[:2], dtype=spins.dtype)
    first, largest = state.energy, 0.0
    for _ in range(round(duration / dt)):
        state = integrator.step(state, force, Drive(dt, 0.0, 0.3, moments)).evaluated(force)
        largest = max(largest, float((state.energy - first).abs().max()))
    return largest


@pytest.mark.parametrize(("integrator", "bound"), [(Heun(), 3e-2), (RK4(), 2e-5)])
def test_energy_is_conserved_without_damping_heisenberg(integrator, bound):
    force = heisenberg(random_coupling(N)).prepare([])
    coarse, fine = (drift(integrator, force, dt, 4.0, start().spins) for dt in (0.1, 0.05))
    assert fine < bound
    assert coarse / fine > 0.9 * 2**integrator.order


@pytest.mark.parametrize(("integrator", "bound"), [(Heun(), 1e-2), (RK4(), 2e-5)])
def test_energy_is_conserved_without_damping_exact_electrons(integrator, bound):
    config = RandomSites(16, 2).sample(np.random.default_rng(4))
    force = SDModel(J=3.0, filling=1.0, temperature=0.05).prepare([config])
    spins = torch.from_numpy(config.spins)[None]
    coarse, fine = (drift(integrator, force, dt, 8.0, spins) for dt in (1.0, 0.5))
    assert fine < bound
    assert coarse / fine > 0.9 * 2**integrator.order


@pytest.mark.parametrize(("integrator", "bound", "dt"), [(Heun(), 1e-5, 0.125), (RK4(), 2e-7, 1.0)])
def test_energy_is_conserved_without_damping_learned(integrator, bound, dt):
    config = RandomSites(16, 2).sample(np.random.default_rng(4))
    torch.manual_seed(0)
    model = MHIP(cutoff=2.5, n_features=8, n_sensitivities=6).in_precision(torch.float64)
    model.scale.fill_(0.5)
    force = NetworkPotential(model).prepare([config])
    spins = torch.from_numpy(config.spins)[None]
    assert float(force(spins)[1].abs().max()) > 0.05  # there is something to conserve
    coarse, fine = (drift(integrator, force, step, 8.0, spins) for step in (dt, dt / 2))
    assert fine < bound
    assert coarse / fine > 0.9 * 2**integrator.order


@pytest.mark.parametrize("integrator", INTEGRATORS, ids=lambda i: type(i).__name__)
def test_damping_lowers_the_energy(integrator):
    force = heisenberg(random_coupling(N)).prepare([])
    state = start().evaluated(force)
    for _ in range(40):
        after = advance(integrator, state, force, 0.05, 1, damping=0.2).evaluated(force)
        assert (after.energy < state.energy).all()
        state = after


@pytest.mark.parametrize("integrator", INTEGRATORS, ids=lambda i: type(i).__name__)
def test_a_step_is_pure_and_a_restart_goes_on_with_the_same_noise(integrator):
    force = heisenberg(random_coupling(N)).prepare([])
    state = start()
    before = state.spins.clone()
    kT = noise_for(integrator, 0.2)
    through = advance(integrator, state, force, 0.1, 8, temperature=kT)
    assert torch.equal(state.spins, before)
    half = advance(integrator, state, force, 0.1, 4, temperature=kT)
    restarted = replace(half, spins=torch.from_numpy(half.spins.numpy().copy()))
    end = advance(integrator, restarted, force, 0.1, 4, temperature=kT)
    assert torch.equal(end.spins, through.spins)
    assert (end.step, end.time) == (8, pytest.approx(0.8))


@pytest.mark.parametrize("integrator", INTEGRATORS, ids=lambda i: type(i).__name__)
def test_replicas_do_not_feel_each_other(integrator):
    potential = heisenberg(random_coupling(N))
    configs = [RandomSites(N, 2).sample(np.random.default_rng(seed)) for seed in (1, 2, 3)]
    quench = Quench(2.0, 0.1, 0.2, noise_for(integrator, 0.3), 5, integrator)
    together = quench.run(potential, configs, [11, 12, 13])
    alone = quench.run(potential, configs[1:2], [12])
    np.testing.assert_allclose(together.spins[:, 1:2], alone.spins, atol=1e-12)


@pytest.mark.parametrize("integrator", INTEGRATORS, ids=lambda i: type(i).__name__)
def test_a_field_that_is_not_finite_is_named(integrator):
    def function(spins):
        field = torch.ones_like(spins)
        field[1, 4, 2] = torch.nan
        return spins.sum((1, 2)), field

    with pytest.raises(NonFiniteError, match=r"step 1 .*site 4 of replica 1"):
        advance(integrator, start(), Frozen(function), 0.1, 3)
