"""Ways down without noise: the integrator that chooses its steps, and the minimiser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gilbert_reference import reference
from toy_potentials import Frozen, Toy, heisenberg, random_coupling

from mhipnn import SDModel, SpinConfiguration
from mhipnn.dynamics import RK4, DormandPrince, Drive, LLGState, Quench, minimise
from mhipnn.dynamics.additive import BondExchange, PairExchange, Sum, UniaxialAnisotropy, Zeeman
from mhipnn.errors import ConfigError, ConvergenceError, InputError, NonFiniteError
from mhipnn.structures import RandomSites, random_spins
from mhipnn.structures.exchange import ExponentialExchange, ShellExchange

N = 12
MOMENTS = np.linspace(0.7, 2.5, N)
EXTERNAL = np.array([0.3, -0.2, 0.5])


def advance(integrator, spins, force, dt, steps, damping, temperature=0.0):
    spins = torch.as_tensor(spins if spins.ndim == 3 else spins[None])
    moments = torch.as_tensor(MOMENTS).expand(spins.shape[:2])
    state = LLGState(spins, seeds=(0,) * len(spins))
    for _ in range(steps):
        state = integrator.step(state, force, Drive(dt, damping, temperature, moments, torch.as_tensor(EXTERNAL)))
    return state


def test_the_tolerance_bounds_the_error_whatever_the_time_step():
    force = heisenberg(random_coupling(N)).prepare([])
    start = random_spins(N, np.random.default_rng(1))
    exact = reference(start, force, 4.0, 0.1, MOMENTS, EXTERNAL)
    calls, errors = [], []
    for dt, tolerance in ((4.0, 1e-5), (0.5, 1e-5), (4.0, 1e-8)):
        force.calls = 0
        end = advance(DormandPrince(tolerance), start, force, dt, round(4 / dt), 0.1)
        assert end.time == pytest.approx(4.0)
        errors.append(np.abs(end.spins[0].numpy() - exact).max())
        calls.append(force.calls)
    assert max(errors[:2]) < 20 * 1e-5
    assert errors[2] < 20 * 1e-8
    assert calls[0] < calls[2] < 1000


def test_evaluations_are_seven_for_one_part():
    force = heisenberg(random_coupling(N)).prepare([])
    advance(DormandPrince(1.0), random_spins(N, np.random.default_rng(1)), force, 0.01, 3, 0.1)
    assert force.calls == 3 * 7


def test_a_replica_chooses_its_own_parts():
    """A stiff neighbour in the batch changes nothing, to the last bit."""

    def pairs(spins):
        field = spins.roll(1, dims=1) * torch.tensor([0.4, 1.0, -0.7], dtype=spins.dtype) * scale[: len(spins)]
        return field.sum((1, 2)), field

    scale = torch.tensor([0.3, 30.0], dtype=torch.float64)[:, None, None]
    spins = np.stack([random_spins(N, np.random.default_rng(seed)) for seed in (1, 2)])
    together = advance(DormandPrince(), spins, Frozen(pairs), 0.7, 3, 0.2)
    force = Frozen(pairs)
    alone = advance(DormandPrince(), spins[:1], force, 0.7, 3, 0.2)
    assert torch.equal(together.spins[:1], alone.spins)
    assert force.calls < 100


def test_the_adaptive_integrator_says_what_it_cannot_do():
    force, spins = heisenberg(50 * random_coupling(N)).prepare([]), random_spins(N, np.random.default_rng(1))
    with pytest.raises(ConfigError, match=r"has no noise: set temperature 0, or take heun"):
        advance(DormandPrince(), spins, force, 0.1, 1, 0.1, temperature=0.1)
    advance(DormandPrince(), spins, force, 0.01, 1, 0.0, temperature=0.1)  # no damping, no noise
    for kT in (0.1, [0.0, 0.1], {"schedule": "quench", "before": 0.0, "after": 0.1, "time": 0.5}):
        with pytest.raises(ConfigError, match="quench: DormandPrince has no noise"):
            Quench(1.0, 0.1, 0.1, kT, integrator=DormandPrince())
    Quench(1.0, 0.1, 0.0, 0.1, integrator=DormandPrince())
    with pytest.raises(ConvergenceError, match=r"LLG step 1 .*replica 0 got through .*in 5 parts"):
        advance(DormandPrince(max_parts=5), spins, force, 10.0, 1, 0.1)
    for arguments in ({"tolerance": 0.0}, {"tolerance": float("nan")}, {"max_parts": 0}):
        with pytest.raises(ConfigError, match=next(iter(arguments))):
            DormandPrince(**arguments)


def disordered(n, seeds):
    return [RandomSites(n, 2).sample(np.random.default_rng(seed)) for seed in seeds]


def test_a_ferromagnet_in_a_field_comes_to_lie_along_it():
    potential = Sum(PairExchange(ExponentialExchange(1.0)), Zeeman([0, 0.3, 0.4]))
    configs = disordered(20, (1, 2))
    found = minimise(potential, configs, tolerance=1e-9)
    np.testing.assert_allclose(found.spins, np.broadcast_to([0, 0.6, 0.8], (2, 20, 3)), atol=1e-7)
    exact = [potential.evaluate(c.with_spins(np.tile([0, 0.6, 0.8], (20, 1)))).energy for c in configs]
    np.testing.assert_allclose(found.energies, exact, rtol=1e-12)
    assert (found.torques < 1e-9).all()
    assert (found.iterations > 0).all()
    assert (found.iterations < 300).all()


def test_a_chain_with_dzyaloshinskii_moriya_exchange_winds_up():
    """Open ends, an easy plane: a spiral of tan q = D/J about the chain, and the energy of its bonds."""
    n, J, D = 12, 1.0, 0.4
    potential = Sum(
        PairExchange(ShellExchange([J], [1.0]), ShellExchange([D], [1.0])), UniaxialAnisotropy(-0.2, [1, 0, 0])
    )
    rng = np.random.default_rng(3)
    start = np.array([0, 0, 1.0]) + 0.2 * rng.normal(size=(n, 3))
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    chain = SpinConfiguration(np.arange(n)[:, None] * np.eye(3)[0], 30 * np.eye(3), False, start)
    found = minimise(potential, [chain], tolerance=1e-9)
    spins = found.spins[0]
    phase = np.unwrap(np.arctan2(spins[:, 2], spins[:, 1]))
    np.testing.assert_allclose(np.diff(phase), np.arctan(D / J), atol=1e-6)
    np.testing.assert_allclose(spins[:, 0], 0, atol=1e-6)
    assert found.energies[0] == pytest.approx(-(n - 1) * np.hypot(J, D))


def test_a_frustrated_cluster_comes_to_rest_where_damped_motion_does():
    coupling = random_coupling(8, seed=3)
    potential = heisenberg(coupling)
    config = disordered(8, (4,))[0]
    relaxed = Quench(200.0, 2.0, 1.0, 0.0, 10**6, DormandPrince(1e-6)).run(potential, [config], [0])
    below = minimise(potential, [config.with_spins(relaxed.spins[-1, 0])], tolerance=1e-10)
    assert below.energies[0] == pytest.approx(relaxed.energies[-1, 0], abs=1e-6)
    from_random = minimise(potential, [config], tolerance=1e-10)
    spins = from_random.spins[0]
    assert np.abs(np.cross(spins, coupling @ spins)).max() < 1e-10
    assert from_random.energies[0] == pytest.approx(-0.5 * np.einsum("ij,ia,ja", coupling, spins, spins))
    # The Hessian on the spheres has no negative mode: a minimum, not a saddle.
    assert np.linalg.eigvalsh(hessian(spins, coupling)).min() > -1e-8
    assert from_random.energies[0] == pytest.approx(relaxed.energies[-1, 0], abs=1e-6)


def hessian(spins, coupling):
    """Second derivatives of E along two directions at every site at right angles to its spin, (2N, 2N)."""
    n = len(spins)
    frames = np.stack([np.linalg.svd(s[None])[2][1:] for s in spins])
    along = (spins * (coupling @ spins)).sum(1)
    blocks = -np.einsum("ij,ica,jda->icjd", coupling, frames, frames)
    blocks[np.arange(n), :, np.arange(n), :] += along[:, None, None] * np.eye(2)
    return blocks.reshape(2 * n, 2 * n)


def test_electrons_are_minimised_too_and_stay_in_their_batch():
    electrons = SDModel(J=3.0, filling=1.0, temperature=0.05)
    configs = disordered(12, (1, 2))
    together = minimise(electrons, configs, tolerance=1e-5)
    assert (together.torques < 1e-5).all()
    for config, spins, energy in zip(configs, together.spins, together.energies, strict=True):
        found = electrons.evaluate(config.with_spins(spins), forces=False)
        assert np.linalg.norm(found.torque, axis=1).max() < 2e-5
        assert found.energy == pytest.approx(energy)
        assert found.energy < electrons.evaluate(config, forces=False).energy


def test_replicas_and_vacancies_are_left_alone():
    potential = PairExchange(ExponentialExchange(-1.0))
    configs = disordered(16, (1, 2, 3))
    configs[1] = replace(configs[1], moments=np.where(np.arange(16) == 5, 0.0, 1.0))
    together = minimise(potential, configs, tolerance=1e-7)
    alone = minimise(potential, configs[1:2], tolerance=1e-7)
    np.testing.assert_array_equal(together.spins[1:2], alone.spins)
    assert together.iterations[1] == alone.iterations[0]
    np.testing.assert_array_equal(together.spins[1, 5], configs[1].spins[5])
    np.testing.assert_allclose(np.linalg.norm(together.spins, axis=-1), 1, atol=1e-12)
    rest = minimise(potential, [c.with_spins(s) for c, s in zip(configs, together.spins, strict=True)], 1e-6)
    assert not rest.iterations.any()


def test_single_precision_reaches_what_it_can():
    potential, configs = PairExchange(ExponentialExchange(-1.0), dtype="float32"), disordered(16, (1,))
    minimise(potential, configs, tolerance=1e-4)
    with pytest.raises(ConvergenceError, match="the potential in float32 is no more precise"):
        minimise(potential, configs, tolerance=1e-12, max_iterations=300)


def test_the_minimiser_refuses_what_it_cannot_use():
    potential, configs = BondExchange([[0, 1]], J=-1.0), disordered(3, (1,))
    with pytest.raises(ConfigError, match="tolerance is 0"):
        minimise(potential, configs, tolerance=0.0)
    with pytest.raises(ConfigError, match="max_iterations is 0"):
        minimise(potential, configs, max_iterations=0)
    with pytest.raises(InputError, match="at least one configuration"):
        minimise(potential, [])
    with pytest.raises(ConvergenceError, match=r"replica 0 is not at rest after 1 iterations, .* at site [01]"):
        minimise(potential, configs, max_iterations=1)
    broken = Toy(lambda spins: (spins.sum((1, 2)), torch.full_like(spins, torch.nan)))
    with pytest.raises(NonFiniteError, match="field of replica 0 is not finite"):
        minimise(broken, configs)


def test_both_ways_down_agree_with_fixed_steps():
    """At critical damping RK4, the adaptive integrator and the minimiser find one minimum of a dimer in a field."""
    potential = Sum(BondExchange([[0, 1]], J=-0.5), Zeeman([0, 0, 1.5]))
    config = SpinConfiguration(np.eye(3)[:2], 9 * np.eye(3), False, [[1.0, 0, 0], [0, 0.6, 0.8]])
    ends = [Quench(40.0, 0.25, 1.0, 0.0, 600, i).run(potential, [config], [0]).energies[-1, 0]
            for i in (RK4(), DormandPrince())]  # fmt: skip
    # b > 2 |J|: both along the field, E = |J| - 2 b
    np.testing.assert_allclose([*ends, minimise(potential, [config]).energies[0]], 0.5 - 3.0, atol=1e-9)
