"""The equation of motion and its noise, against closed forms and statistics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_potentials import heisenberg, zeeman, zero

from mhipnn import SpinConfiguration
from mhipnn.dynamics import RK4, Heun, Quench, llg_rate, thermal_field


def sites(spins, moments=None):
    spins = np.atleast_2d(spins)
    positions = np.arange(len(spins))[:, None] * np.array([1.0, 0, 0])
    return SpinConfiguration(positions, np.diag([len(spins), 1.0, 1.0]), False, spins, moments=moments)


def test_a_spin_along_x_in_a_field_along_z_starts_towards_y_and_towards_the_field():
    rate = llg_rate(torch.tensor([[1.0, 0, 0]]), torch.tensor([[0.0, 0, 2.0]]), 0.5)
    torch.testing.assert_close(rate, torch.tensor([[0.0, 2.0, 1.0]]) / 1.25)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), damping=st.floats(0, 5))
def test_the_rate_solves_gilberts_implicit_form(seed, damping):
    """dS/dt = -S x b + alpha S x dS/dt for unit spins: the form in which Gilbert wrote it."""
    spins, b = torch.from_numpy(np.random.default_rng(seed).normal(size=(2, 7, 3)))
    spins = spins / spins.norm(dim=-1, keepdim=True)
    rate = llg_rate(spins, b, damping)
    implicit = -torch.linalg.cross(spins, b) + damping * torch.linalg.cross(spins, rate)
    torch.testing.assert_close(rate, implicit, atol=1e-12, rtol=1e-12)
    assert (rate * spins).sum(-1).abs().max() < 1e-12 * (1 + b.abs().max())


@pytest.mark.parametrize(("integrator", "tolerance"), [(Heun(), 2e-4), (RK4(), 2e-9)])
@pytest.mark.parametrize("damping", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("source", ["potential", "external"])
def test_a_free_spin_follows_the_closed_form(integrator, tolerance, damping, source):
    """phi = phi_0 + B t/(1 + alpha^2), tan(theta/2) = tan(theta_0/2) exp(-alpha B t/(1 + alpha^2))."""
    b, theta, phi = 1.3, 2.0, 0.4
    start = [np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)]
    field = (0.0, 0.0, b)
    potential = zeeman(field) if source == "potential" else zero()
    quench = Quench(6.0, 0.01, damping, 0.0, 20, integrator, None if source == "potential" else field)
    run = quench.run(potential, [sites(start)], [0])
    tilt = 2 * np.arctan(np.tan(theta / 2) * np.exp(-damping * b * run.times / (1 + damping**2)))
    angle = phi + b * run.times / (1 + damping**2)
    closed = np.stack([np.sin(tilt) * np.cos(angle), np.sin(tilt) * np.sin(angle), np.cos(tilt)], -1)
    assert np.abs(run.spins[:, 0, 0] - closed).max() < tolerance
    assert np.abs(run.energies[:, 0] + b * closed[:, 2]).max() < tolerance * b
    assert np.abs(np.linalg.norm(run.spins, axis=-1) - 1).max() < 1e-12


def test_two_exchange_coupled_spins_turn_about_their_sum():
    """E = -K S_1.S_2: both turn counter-clockwise about M = S_1 + S_2 at the rate K |M|."""
    k, start = 0.8, np.array([[1.0, 0, 0], [0, 0.6, 0.8]])
    run = Quench(5.0, 0.01, 0.0, 0.0, 50, RK4()).run(heisenberg([[0, k], [k, 0]]), [sites(start)], [0])
    total = start.sum(0)
    axis = total / np.linalg.norm(total)
    for time, spins in zip(run.times, run.spins[:, 0], strict=True):
        angle = k * np.linalg.norm(total) * time
        along = np.outer(start @ axis, axis)
        turned = along + np.cos(angle) * (start - along) + np.sin(angle) * np.cross(axis, start)
        assert np.abs(spins - turned).max() < 1e-8


def test_a_larger_moment_precesses_slower_in_a_given_energy_gradient():
    run = Quench(1.0, 0.01, 0.0, 0.0, 100, RK4()).run(
        zeeman([0.0, 0, 1.0]), [sites([[1.0, 0, 0], [1.0, 0, 0]], moments=[1.0, 4.0])], [0]
    )
    angles = np.arctan2(run.spins[-1, 0, :, 1], run.spins[-1, 0, :, 0])
    np.testing.assert_allclose(angles, [1.0, 0.25], atol=1e-9)


@pytest.mark.parametrize("integrator", [Heun(), RK4()])
@pytest.mark.parametrize("damping", [0.3, 1.0])
def test_thermal_spins_in_a_field_obey_langevin(integrator, damping):
    """<S_z> = coth x - 1/x and <S_z^2> = 1 - 2 <S_z>/x with x = mu B/kT, at every damping."""
    b, moment, temperature, n = 1.5, 2.0, 1.2, 3000
    x = moment * b / temperature
    start = np.random.default_rng(1).normal(size=(n, 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    quench = Quench(14.0, 0.05, damping, temperature, 20, integrator, (0.0, 0.0, b))
    run = quench.run(zero(), [sites(start, moments=np.full(n, moment))], [7])
    late = run.spins[run.times >= 6, 0]
    langevin = 1 / np.tanh(x) - 1 / x
    assert abs(late[..., 2].mean() - langevin) < 0.012
    assert abs((late[..., 2] ** 2).mean() - (1 - 2 * langevin / x)) < 0.012
    assert np.abs(late[..., :2].mean((0, 1))).max() < 0.03


def test_noise_has_the_variance_of_the_fluctuation_dissipation_relation():
    moments = torch.tensor([[1.0, 4.0]], dtype=torch.float64).repeat(1, 20000)
    noise = thermal_field([3], 5, moments, damping=0.2, temperature=0.7, dt=0.05)
    variance = (noise**2).mean((0, 2)).reshape(-1, 2).mean(0)
    np.testing.assert_allclose(variance, [2 * 0.2 * 0.7 / 0.05, 2 * 0.2 * 0.7 / 0.05 / 4], rtol=0.02)


def test_noise_depends_on_seed_and_step_alone():
    moments = torch.ones(3, 500, dtype=torch.float64)
    both = thermal_field([5, 9, 5], 4, moments, 0.1, 0.1, 0.1)
    alone = thermal_field([9], 4, moments[:1], 0.1, 0.1, 0.1)
    assert torch.equal(both[1:2], alone)
    assert torch.equal(both[0], both[2])
    for other in (
        thermal_field([9], 5, moments[:1], 0.1, 0.1, 0.1),
        thermal_field([10], 4, moments[:1], 0.1, 0.1, 0.1),
    ):
        correlation = torch.corrcoef(torch.stack([alone.ravel(), other.ravel()]))[0, 1]
        assert abs(correlation) < 0.1
    single = thermal_field([9], 4, moments[:1].float(), 0.1, 0.1, 0.1)
    torch.testing.assert_close(single.double(), alone, rtol=1e-6, atol=1e-6)
