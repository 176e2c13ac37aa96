"""Without damping: what the spherical midpoint conserves over long runs, and what the other integrators lose."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_integrator import INTEGRATORS
from toy_potentials import heisenberg, random_coupling

from mhipnn.dynamics import Drive, LLGState, SphericalMidpoint
from mhipnn.structures import random_spins

N = 12
MOMENTS = torch.linspace(0.7, 2.5, N, dtype=torch.float64)[None]
POTENTIAL = heisenberg(random_coupling(N))


def states(integrator, dt, steps, every=1):
    """Spins (1, N, 3) at every ``every``-th step."""
    force = POTENTIAL.prepare([])
    spins = torch.from_numpy(random_spins(N, np.random.default_rng(1)))[None]
    state = LLGState(spins, seeds=(0,))
    yield spins
    for step in range(1, steps + 1):
        state = integrator.step(state, force, Drive(dt, 0.0, 0.0, MOMENTS))
        if step % every == 0:
            yield state.spins


def energy(spins):
    return float(POTENTIAL.prepare([])(spins)[0])


def total(spins):
    return (MOMENTS[..., None] * spins).sum(1)[0].numpy()


def shadow_energy(spins, dt):
    """E - dt^2/24 D^2 E(f, f), the second derivative of the energy E(S/|S|) along f = dS/dt.

    What the spherical midpoint conserves to order dt^4: lifted to spinors it is the midpoint rule, whose modified
    Hamiltonian begins like this (Hairer, Lubich and Wanner, Geometric Numerical Integration, sec. IX.3). For
    E = -1/2 S.K S it is -f.K f + sum_i |f_i|^2 S_i.B_i.
    """
    force = POTENTIAL.prepare([])
    e, field = force(spins)
    f = torch.linalg.cross(field / MOMENTS[..., None], spins)
    curvature = -(f * force(f)[1]).sum() + ((f * f).sum(-1) * (spins * field).sum(-1)).sum()
    return float(e - dt**2 / 24 * curvature)


def relative(values):
    values = np.array(values)
    return np.abs(values - values[0]).max() / abs(values[0])


def test_spherical_midpoint_conserves_its_shadow_energy_to_fourth_order():
    ranges = []
    for dt in (0.08, 0.04):
        run = list(states(SphericalMidpoint(), dt, round(12 / dt)))
        ranges.append(relative([shadow_energy(spins, dt) for spins in run]))
        assert ranges[-1] < 0.05 * relative([energy(spins) for spins in run])
    assert 12 < ranges[0] / ranges[1] < 24


def test_spherical_midpoint_conserves_the_total_spin_and_the_others_to_their_order():
    for name, integrator in INTEGRATORS.items():
        lost = []
        for dt in (0.1, 0.05):
            totals = [total(spins) for spins in states(integrator, dt, round(4 / dt))]
            lost.append(np.linalg.norm(totals - totals[0], axis=1).max())
        if name == "spherical_midpoint":
            assert max(lost) < 1e-11
        else:
            assert 1e-9 < lost[0] < 0.5
            assert lost[0] / lost[1] > 0.8 * 2**integrator.order


def test_a_tolerance_is_what_the_total_spin_costs():
    totals = [total(spins) for spins in states(SphericalMidpoint(tolerance=1e-4), 0.1, 40)]
    assert 1e-9 < np.linalg.norm(totals - totals[0], axis=1).max() < 1e-2


@pytest.mark.slow
def test_spherical_midpoint_energy_does_not_drift_over_1e5_steps():
    """Per site and relative: 1e-8 of the energy, once its bounded oscillation of order dt^2 is taken out."""
    dt = 0.01
    run = list(states(SphericalMidpoint(), dt, 100_000, every=50))
    energies = np.array([energy(spins) for spins in run])
    shadow = np.array([shadow_energy(spins, dt) for spins in run])
    assert np.abs(energies - energies[0]).max() < 1e-3 * abs(energies[0])
    assert relative(shadow) / N < 1e-8
    slope = np.polyfit(np.linspace(0, 1, len(shadow)), shadow, 1)[0]
    assert abs(slope / shadow[0]) / N < 1e-9  # no trend from the first step to the last
    totals = np.array([total(spins) for spins in run])
    assert np.linalg.norm(totals - totals[0], axis=1).max() < 1e-8
