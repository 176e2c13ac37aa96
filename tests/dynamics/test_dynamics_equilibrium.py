"""Fluctuation and dissipation: every integrator, at every damping, leads to exp(-E/kT) with closed forms.

Many independent copies fill the sites of one system, moments 1 and 2.5 side by side. A standard error is that of the
copies' time averages, whatever the correlations in time.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_integrator import STOCHASTIC
from toy_potentials import Frozen, zero

from mhipnn.dynamics import Drive, LLGState, SphericalMidpoint
from mhipnn.structures import random_spins

FIELD, EXCHANGE, TEMPERATURE, MOMENTS = 2.4, 2.4, 0.8, (1.0, 2.5)
# damping: (time step, start of the average, its end); relaxation takes about (1 + alpha^2)/(alpha (b + 2 kT/mu))
QUICK = {1.0: (0.04, 4.5, 10.5)}
FULL = {0.01: (0.06, 220.0, 700.0), 0.1: (0.06, 25.0, 80.0), 1.0: (0.01, 5.0, 16.0)}
# Averages are biased to first order in dt, Heun's most; and without damping Heun's spin leaves its field at the rate
# b^4 dt^3/8, which must be small against alpha b.
SHORTER = {"heun": 3}
# The noise is far above what is left of the iteration.
EVERY = STOCHASTIC | {"spherical_midpoint": SphericalMidpoint(tolerance=1e-6)}


def langevin(x):
    return 1 / np.tanh(x) - 1 / x


def dimers(spins):
    """E = -K sum S_2k . S_2k+1: the moments of the two differ."""
    field = EXCHANGE * spins.unflatten(1, (-1, 2)).flip(2).flatten(1, 2)
    return -0.5 * (spins * field).sum((1, 2)), field


def time_averages(integrator, force, observe, n, damping, schedule, external=None):
    """The mean over the window of ``observe(spins)``, one number a copy."""
    dt, begin, end = schedule
    spins = torch.from_numpy(random_spins(n, np.random.default_rng(5)))[None]
    state = LLGState(spins, seeds=(3,))
    moments = torch.tensor(MOMENTS, dtype=spins.dtype).repeat(n // 2)[None]
    b = None if external is None else torch.tensor(external, dtype=spins.dtype)
    sums, count = 0.0, 0
    for step in range(1, round(end / dt) + 1):
        state = integrator.step(state, force, Drive(dt, damping, TEMPERATURE, moments, b))
        if step * dt > begin and step % 4 == 0:
            sums, count = sums + observe(state.spins[0]), count + 1
    return (sums / count).numpy()


def assert_agrees(values, exact, precision):
    """Within ``precision`` (relative) and 4 standard errors, which must be small enough to say something."""
    mean, error = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
    assert error < 0.4 * precision * exact
    assert abs(mean - exact) < min(4 * error, precision * exact), (mean, error, exact)


def in_a_field(integrator, n, damping, schedule, precision):
    """<S_z> = coth x - 1/x and <S_z^2> = 1 - 2 <S_z>/x with x = mu b/kT, of two moments in one system."""

    def observe(spins):
        return torch.stack([spins[:, 2], spins[:, 2] ** 2])

    averages = time_averages(integrator, zero().prepare([]), observe, n, damping, schedule, [0, 0, FIELD])
    for kind, moment in enumerate(MOMENTS):
        x = moment * FIELD / TEMPERATURE
        assert_agrees(averages[0, kind::2], langevin(x), precision)
        assert_agrees(averages[1, kind::2], 1 - 2 * langevin(x) / x, precision)


def in_dimers(integrator, n, damping, schedule, precision):
    """<S_1.S_2> = coth x - 1/x with x = K/kT, whatever the moments."""

    def observe(spins):
        return (spins[::2] * spins[1::2]).sum(-1)

    averages = time_averages(integrator, Frozen(dimers), observe, n, damping, schedule)
    assert_agrees(averages, langevin(EXCHANGE / TEMPERATURE), precision)


def schedule_of(name, times):
    dt, begin, end = times
    return dt / SHORTER.get(name, 1), begin, end


@pytest.mark.parametrize("case", [in_a_field, in_dimers])
@pytest.mark.parametrize("name", list(EVERY))
def test_stationary_state_is_boltzmanns(name, case):
    case(EVERY[name], 3000, 1.0, schedule_of(name, QUICK[1.0]), 0.03)


@pytest.mark.slow
@pytest.mark.parametrize("damping", list(FULL))
@pytest.mark.parametrize("case", [in_a_field, in_dimers])
@pytest.mark.parametrize("name", list(EVERY))
def test_stationary_state_is_boltzmanns_at_every_damping(name, case, damping):
    case(EVERY[name], 8000, damping, schedule_of(name, FULL[damping]), 0.01)
