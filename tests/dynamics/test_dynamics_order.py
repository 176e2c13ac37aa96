"""Every integrator against scipy: order of convergence, free spins, vacancies, implicit steps that fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from every_integrator import ADAPTIVE, INTEGRATORS, noise_for
from gilbert_reference import reference
from toy_potentials import Frozen, heisenberg, random_coupling, zeeman, zero

from mhipnn.dynamics import Drive, LLGState, SphericalMidpoint
from mhipnn.errors import ConfigError, ConvergenceError, NonFiniteError
from mhipnn.nn.mhip import MHIP
from mhipnn.nn.network_potential import NetworkPotential
from mhipnn.structures import RandomSites, random_spins

N = 12
EXTERNAL = np.array([0.3, -0.2, 0.5])
MOMENTS = np.linspace(0.7, 2.5, N)
every_integrator = pytest.mark.parametrize("name", list(INTEGRATORS))


def learned(scale):
    torch.manual_seed(0)
    model = MHIP(cutoff=2.5, n_features=8, n_sensitivities=6).in_precision(torch.float64)
    model.scale.fill_(scale)
    return NetworkPotential(model).prepare([RandomSites(N, 2).sample(np.random.default_rng(4))])


FORCES = {"heisenberg": heisenberg(random_coupling(N)).prepare([]), "learned": learned(2.0), "strong": learned(5.0)}

ORDERS_ON = ("heisenberg", "learned")


def advance(integrator, spins, force, dt, steps, damping=0.1, moments=None, external=None, temperature=0.0, dtype=None):
    """Spins (R, N, 3) after so many steps; spins and moments with or without R."""
    spins = torch.as_tensor(spins if np.ndim(spins) == 3 else spins[None], dtype=dtype or torch.float64)
    mu = np.ones(spins.shape[1]) if moments is None else np.asarray(moments)
    mu = torch.as_tensor(mu, dtype=spins.dtype).expand(spins.shape[:2])
    b = None if external is None else torch.as_tensor(external, dtype=spins.dtype)
    state = LLGState(spins, seeds=tuple(range(len(spins))))
    for _ in range(steps):
        state = integrator.step(state, force, Drive(dt, damping, temperature, mu, b))
    return state.spins


@pytest.fixture(scope="module")
def exact():
    spins = random_spins(N, np.random.default_rng(1))
    return {name: (spins, reference(spins, FORCES[name], 2.0, 0.1, MOMENTS, EXTERNAL)) for name in ORDERS_ON}


@pytest.mark.parametrize("name", [name for name in INTEGRATORS if name != ADAPTIVE])
@pytest.mark.parametrize("potential", ORDERS_ON)
def test_the_order_of_convergence_is_the_documented_one(name, potential, exact):
    integrator = INTEGRATORS[name]
    start, end = exact[potential]
    errors = []
    for n in (40, 80):
        spins = advance(integrator, start, FORCES[potential], 2 / n, n, 0.1, MOMENTS, EXTERNAL)[0].numpy()
        errors.append(np.sqrt(((spins - end) ** 2).mean()))
    assert errors[1] < (1e-3 if integrator.order == 2 else 1e-6)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(integrator.order, abs=0.1)


@pytest.mark.parametrize(
    ("potential", "duration", "steps"),
    # in weak fields, rounding begins before the error of sixth order has died away
    [("heisenberg", 10.0, 200), ("strong", 5.0, 160)],
)
def test_the_adaptive_pair_at_fixed_steps_is_of_fifth_order(potential, duration, steps):
    start, force = random_spins(N, np.random.default_rng(1)), FORCES[potential]
    end = reference(start, force, duration, 0.1, MOMENTS, EXTERNAL)
    errors = []
    for n in (steps, 2 * steps):
        spins = advance(INTEGRATORS[ADAPTIVE], start, force, duration / n, n, 0.1, MOMENTS, EXTERNAL)[0].numpy()
        errors.append(np.sqrt(((spins - end) ** 2).mean()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(INTEGRATORS[ADAPTIVE].order, abs=0.1)


def free_spin(theta, phi):
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], -1)


@every_integrator
@pytest.mark.parametrize("damping", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("source", ["potential", "external"])
def test_free_spins_of_two_moments_follow_the_closed_form(name, damping, source):
    """phi = phi_0 + b t/(1 + alpha^2), tan(theta/2) = tan(theta_0/2) exp(-alpha b t/(1 + alpha^2))."""
    integrator, field, theta, phi, time = INTEGRATORS[name], 1.3, 2.0, 0.4, 6.0
    moments = np.array([1.0, 2.5])
    b = field / moments if source == "potential" else field * np.ones(2)
    force = (zeeman([0, 0, field]) if source == "potential" else zero()).prepare([])
    external = None if source == "potential" else [0, 0, field]
    spins = advance(integrator, np.tile(free_spin(theta, phi), (2, 1)), force, 0.02, 300, damping, moments, external)
    rate = b / (1 + damping**2)
    closed = free_spin(2 * np.arctan(np.tan(theta / 2) * np.exp(-damping * rate * time)), phi + rate * time)
    assert np.abs(spins[0].numpy() - closed).max() < (5e-4 if integrator.order == 2 else 1e-7)


def test_depondt_mertens_turns_a_free_spin_exactly_at_any_time_step():
    spins = advance(
        INTEGRATORS["depondt_mertens"], free_spin(1.0, 0.0)[None], zeeman([0, 0, 1.7]).prepare([]), 2.0, 3, 0
    )
    np.testing.assert_allclose(spins[0, 0].numpy(), free_spin(1.0, 1.7 * 6.0), atol=1e-14)


@every_integrator
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_vacancies_stay_and_give_no_nan(name, dtype):
    """A site without a spin, a site without a moment, a site without neighbours; with noise and an external field."""
    coupling = random_coupling(N)
    coupling[3] = coupling[:, 3] = coupling[7] = coupling[:, 7] = 0
    spins, moments = random_spins(N, np.random.default_rng(2)), MOMENTS.copy()
    kT = noise_for(INTEGRATORS[name], 0.2)
    spins[2], moments[3], moments[4] = 0.0, 0.0, 0.0
    force = heisenberg(coupling).prepare([])
    end = advance(INTEGRATORS[name], spins, force, 0.05, 20, 0.3, moments, EXTERNAL, kT, dtype)[0].double().numpy()
    assert np.isfinite(end).all()
    np.testing.assert_allclose(end[[2, 3, 4]], spins[[2, 3, 4]], atol=1e-5 if dtype == torch.float32 else 1e-13)
    moved = np.linalg.norm(end - spins, axis=1)
    assert np.delete(moved, [2, 3, 4]).min() > 1e-3
    np.testing.assert_allclose(np.linalg.norm(end, axis=1), np.linalg.norm(spins, axis=1), atol=1e-5)


@every_integrator
def test_the_field_at_rest_is_a_fixed_point(name):
    """Spins along their fields neither move nor become NaN, with a field of zero neither."""
    for field in (0.0, 2.0):
        end = advance(INTEGRATORS[name], np.array([[0.0, 0, 1]]), zeeman([0, 0, field]).prepare([]), 0.3, 5, 0.5)
        np.testing.assert_allclose(end[0, 0].numpy(), [0, 0, 1], atol=1e-14)


@every_integrator
def test_a_replica_is_bit_for_bit_the_same_alone_and_in_a_batch(name):
    """Implicit steps too: a replica stops iterating at its own convergence, not at that of the slowest."""

    def pairs(spins):  # site by site in one order: no reduction whose order depends on the batch
        field = spins.roll(1, dims=1) * torch.tensor([0.4, 1.0, -0.7], dtype=spins.dtype) * scale[: len(spins)]
        return field.sum((1, 2)), field

    kT = noise_for(INTEGRATORS[name], 0.1)
    spins = np.stack([random_spins(N, np.random.default_rng(seed)) for seed in (1, 2, 3)])
    scale = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)[:, None, None]
    together = advance(INTEGRATORS[name], spins, Frozen(pairs), 0.1, 10, 0.2, temperature=kT)
    alone = advance(INTEGRATORS[name], spins[:1], Frozen(pairs), 0.1, 10, 0.2, temperature=kT)
    assert torch.equal(together[:1], alone)


def test_spherical_midpoint_says_where_it_does_not_converge():
    def stiff(spins):
        field = torch.zeros_like(spins)
        field[1, 4] = 400 * spins[1, 4].flip(0)
        return field.sum((1, 2)), field

    spins = np.stack([random_spins(N, np.random.default_rng(seed)) for seed in (1, 2)])
    with pytest.raises(
        ConvergenceError, match=r"LLG step 1 .*60 iterations, site 4 of replica 1 .*lower the time step"
    ):
        advance(SphericalMidpoint(), spins, Frozen(stiff), 0.1, 1)
    advance(SphericalMidpoint(), spins, Frozen(stiff), 0.001, 1)


@every_integrator
def test_a_field_that_is_not_finite_ends_the_step_with_its_site(name):
    def function(spins):
        field = torch.ones_like(spins)
        field[1, 4, 2] = torch.inf
        return spins.sum((1, 2)), field

    spins = np.stack([random_spins(N, np.random.default_rng(seed)) for seed in (1, 2)])
    with pytest.raises(NonFiniteError, match=r"step 1 .*site 4 of replica 1"):
        advance(INTEGRATORS[name], spins, Frozen(function), 0.1, 1)


@pytest.mark.parametrize("arguments", [{"tolerance": 0.0}, {"tolerance": float("nan")}, {"max_iterations": 0}])
def test_settings_of_the_spherical_midpoint_are_checked(arguments):
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        SphericalMidpoint(**arguments)
