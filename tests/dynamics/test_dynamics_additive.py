"""Additive energies: derivatives by finite differences, closed forms, symmetries, sums, and what changes in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from every_integrator import STOCHASTIC
from hydra.utils import instantiate
from scipy.spatial.transform import Rotation
from toy_potentials import Toy, zero

from mhipnn import SDModel, SpinConfiguration
from mhipnn.config import compose_config
from mhipnn.dynamics import RK4, Quench
from mhipnn.dynamics.additive import (
    BondExchange,
    CubicAnisotropy,
    Dipolar,
    PairExchange,
    Sum,
    UniaxialAnisotropy,
    Zeeman,
)
from mhipnn.errors import ConfigError, InputError, UserError
from mhipnn.potential import Potential, frozen_at, has_forces
from mhipnn.structures import RandomSites
from mhipnn.structures.exchange import ExponentialExchange, ShellExchange

N = 10
RNG = np.random.default_rng(11)
PAIRS = np.array([[0, 1], [4, 2], [7, 3], [1, 0], [9, 5]])
POTENTIALS = {
    "zeeman": Zeeman([0.3, -0.4, 1.2]),
    "uniaxial": UniaxialAnisotropy([0.7, -0.3], axis=[[1, 2, -1], [0, 0, 3.0]]),
    "cubic": CubicAnisotropy([0.8, -0.5], axes=[[1, 1, 0], [1, -1, 1]]),
    "exchange": PairExchange(
        ExponentialExchange(1.0),
        ExponentialExchange(0.4, r_on=1.0, r_cut=2.0),
        ExponentialExchange(-0.3),
        factors=[[1.0, 0.5], [0.5, -0.8]],
    ),
    "interfacial": PairExchange(D=ExponentialExchange(0.6), direction="interfacial", normal=[0, 1, 2.0]),
    "bonds": BondExchange(PAIRS, J=RNG.normal(size=5), D=RNG.normal(size=(5, 3)), K=0.3),
    "dipolar": Dipolar(0.4, cutoff=2.5),
}
POTENTIALS["sum"] = Sum(POTENTIALS["zeeman"], POTENTIALS["dipolar"], POTENTIALS["uniaxial"])
every_potential = pytest.mark.parametrize("name", list(POTENTIALS))


def sites(seed, n=N):
    rng = np.random.default_rng(seed)
    config = RandomSites(n, 2).sample(rng)
    tilted = config.positions + 0.3 * rng.normal(size=(n, 3)) * [0, 0, 1]
    moments = rng.uniform(0.5, 2.5, n)
    return replace(config, positions=tilted, species=rng.integers(0, 2, n), moments=moments)


def line(spins, spacing=1.0, axis=0, moments=None):
    positions = spacing * np.arange(len(spins))[:, None] * np.eye(3)[axis]
    return SpinConfiguration(positions, 9 * np.eye(3), False, spins, moments=moments)


@every_potential
def test_field_and_forces_are_derivatives_of_the_energy(name):
    potential, config, h = POTENTIALS[name], sites(3), 1e-4
    assert isinstance(potential, Potential)
    config = config.with_spins(config.spins * np.linspace(0.6, 1.4, N)[:, None])
    found = potential.evaluate(config)
    assert found.site_energy.sum() == pytest.approx(found.energy, rel=1e-12)
    np.testing.assert_allclose(found.torque, np.cross(config.spins, found.field), atol=1e-14)
    assert np.abs(found.field).max() > 0.1
    for site, axis in ((0, 0), (3, 1), (4, 2), (7, 0), (9, 1)):
        step = np.zeros((N, 3))
        step[site, axis] = h
        up, down = (potential.evaluate(config.with_spins(config.spins + s * step)).energy for s in (1, -1))
        assert found.field[site, axis] == pytest.approx(-(up - down) / (2 * h), abs=1e-6)
        if has_forces(potential):
            up, down = (
                potential.evaluate(replace(config, positions=config.positions + s * step)).energy for s in (1, -1)
            )
            assert found.forces[site, axis] == pytest.approx(-(up - down) / (2 * h), abs=1e-5)
        else:
            assert found.forces is None


@every_potential
def test_a_batch_is_each_of_its_configurations_bit_for_bit(name):
    potential, configs = POTENTIALS[name], [sites(3), sites(5), sites(6)]
    spins = torch.from_numpy(np.stack([config.spins for config in configs]))
    energies, fields = potential.prepare(configs)(spins)
    for r, config in enumerate(configs):
        alone = potential.prepare([config])(spins[r : r + 1])
        assert torch.equal(alone[0], energies[r : r + 1])
        assert torch.equal(alone[1], fields[r : r + 1])
        single = potential.evaluate(config)
        assert energies[r].item() == pytest.approx(single.energy, rel=1e-12)
        np.testing.assert_allclose(fields[r].numpy(), single.field, atol=1e-12)


@every_potential
def test_precision_is_an_argument(name):
    potential, config = POTENTIALS[name], sites(3)
    frozen = potential.prepare([config], dtype=torch.float32)
    energies, fields = frozen(torch.from_numpy(config.spins).float()[None])
    assert (frozen.dtype, energies.dtype, fields.dtype) == (torch.float32,) * 3
    assert energies.item() == pytest.approx(potential.evaluate(config).energy, rel=1e-4, abs=1e-4)


@every_potential
def test_vacancies_have_neither_energy_nor_bonds(name):
    config = sites(3)
    empty = replace(config, moments=np.where(np.isin(np.arange(N), [1, 4]), 0.0, config.moments))
    found = POTENTIALS[name].evaluate(empty)
    assert np.isfinite(found.field).all()
    assert not found.field[[1, 4]].any()
    assert not found.site_energy[[1, 4]].any()
    moved = POTENTIALS[name].evaluate(
        empty.with_spins(np.where(np.isin(np.arange(N), [1, 4])[:, None], 0, config.spins))
    )
    assert moved.energy == pytest.approx(found.energy, abs=1e-13)


@pytest.mark.parametrize("length", [0.0, 1.0])
def test_a_quench_with_vacancies_gives_no_nan(length):
    """With noise, dipoles, a field and an anisotropy; neither the vacancies nor the correlations become NaN."""
    from mhipnn.analysis import trajectory_correlation

    empty = np.isin(np.arange(N), [1, 4])
    config = sites(3)
    config = replace(config, moments=np.where(empty, 0.0, config.moments))
    config = config.with_spins(np.where(empty[:, None], length * config.spins, config.spins))
    energies = Sum(POTENTIALS["exchange"], POTENTIALS["sum"], POTENTIALS["cubic"])
    for integrator in STOCHASTIC.values():
        quench = Quench(0.4, 0.02, 0.2, 0.3, 10, integrator, external_field=(0.0, 0.1, 0.2))
        run = quench.run(energies, [config], [1])
        assert np.isfinite(run.spins).all()
        assert np.isfinite(run.energies).all()
        np.testing.assert_allclose(run.spins[-1, 0, empty], config.spins[empty], atol=1e-12)
        assert np.linalg.norm(run.spins[-1, 0] - config.spins, axis=1)[~empty].min() > 1e-3
        correlation = trajectory_correlation(run)
        assert (np.isfinite(correlation.value) == (correlation.count > 0)).all()


def energy(potential, *spins, **arguments):
    return potential.evaluate(line(np.array(spins, float), **arguments)).energy


X, Y, Z = np.eye(3)


def test_energies_of_single_sites_by_hand():
    assert energy(Zeeman([0, 0, 2.0]), Z, -Z, X, moments=[1.5, 1, 1]) == pytest.approx(-3 + 2)
    easy = UniaxialAnisotropy(0.5, [0, 0, 2.0])
    assert energy(easy, Z) == energy(easy, -Z) == pytest.approx(-0.5)
    assert energy(easy, X) == 0
    cubic = CubicAnisotropy(0.6)
    assert energy(cubic, X) == energy(cubic, Z) == 0
    assert energy(cubic, (X + Y) / np.sqrt(2)) == pytest.approx(0.6 / 4)
    assert energy(cubic, (X + Y + Z) / np.sqrt(3)) == pytest.approx(0.6 / 3)


def test_dimers_by_hand():
    """Every pair counts once: E = -J, -D along z from the first to the second, -K cos^2."""
    for J in (BondExchange([[0, 1]], J=0.7), PairExchange(ShellExchange([0.7], [1.0]))):
        assert energy(J, Z, Z) == pytest.approx(-0.7)
        assert energy(J, Z, X) == pytest.approx(0)
    D = BondExchange([[0, 1]], D=[[0, 0, 0.4]])
    assert energy(D, X, Y) == pytest.approx(-0.4)
    assert energy(D, Y, X) == pytest.approx(0.4)
    assert energy(BondExchange([[1, 0]], D=[[0, 0, 0.4]]), X, Y) == pytest.approx(0.4)
    along = PairExchange(D=ShellExchange([0.4], [1.0]))
    assert energy(along, Y, Z) == pytest.approx(-0.4)  # r_ij = x, Y x Z = X
    film = PairExchange(D=ShellExchange([0.4], [1.0]), direction="interfacial")
    assert energy(film, Z, X) == pytest.approx(-0.4)  # z x r_ij = y, Z x X = Y
    K = BondExchange([[0, 1]], K=0.5)
    assert energy(K, Z, -Z) == pytest.approx(-0.5)
    assert energy(K, Z, (X + Z) / np.sqrt(2)) == pytest.approx(-0.25)


def test_a_chain_with_dzyaloshinskii_moriya_exchange_is_a_spiral_of_tan_q_equal_d_over_j():
    n, J, D = 40, 1.0, 0.5
    chain = PairExchange(ShellExchange([J], [1.0]), ShellExchange([D], [1.0]))
    positions = np.arange(n)[:, None] * X
    energies = []
    for turns in range(-6, 7):
        q = 2 * np.pi * turns / n
        phase = q * np.arange(n)
        spins = np.stack([0 * phase, np.cos(phase), np.sin(phase)], -1)  # counter-clockwise about +x = r_ij
        found = chain.evaluate(SpinConfiguration(positions, np.diag([n, 5.0, 5.0]), (True, False, False), spins))
        assert found.energy / n == pytest.approx(-J * np.cos(q) - D * np.sin(q))
        np.testing.assert_allclose(found.torque, 0, atol=1e-12)
        energies.append(found.energy)
    assert np.arange(-6, 7)[np.argmin(energies)] == round(np.arctan(D / J) * n / (2 * np.pi)) == 3


def test_two_dipoles_by_hand():
    """Side by side +g, head to tail -2 g, over r^3, times both moments."""
    g, r = 0.3, 1.7
    pair = dict(spacing=r, moments=[2.0, 1.5])
    unit = g * 3.0 / r**3
    dipolar = Dipolar(g)
    assert energy(dipolar, Z, Z, **pair) == pytest.approx(unit)
    assert energy(dipolar, X, X, **pair) == pytest.approx(-2 * unit)
    assert energy(dipolar, X, -X, **pair) == pytest.approx(2 * unit)
    assert energy(dipolar, X, Z, **pair) == pytest.approx(0)
    tilted = (X + Z) / np.sqrt(2)
    assert energy(dipolar, tilted, X, **pair) == pytest.approx(-2 * unit / np.sqrt(2))
    pulled = dipolar.evaluate(line(np.array([X, X]), **pair)).forces
    np.testing.assert_allclose(pulled, [6 * unit / r * X, -6 * unit / r * X], atol=1e-14)  # they attract


def test_dipoles_in_a_period_are_all_images_in_the_cutoff():
    """A chain along x, spins along x: E/N = -2 g sum_{n=1}^{4} 1/n^3, a cell smaller than the cutoff included."""
    sums = sum(1 / n**3 for n in range(1, 5))
    for n in (3, 20):
        cell = np.diag([n, 30.0, 30.0])
        chain = SpinConfiguration(np.arange(n)[:, None] * X, cell, (True, False, False), np.tile(X, (n, 1)))
        found = Dipolar(0.5, cutoff=4.5).evaluate(chain)
        assert found.energy / n == pytest.approx(-2 * 0.5 * sums)
        np.testing.assert_allclose(found.field, np.tile(4 * 0.5 * sums * X, (n, 1)), atol=1e-13)


def turned(config, space=None, spins=None):
    """Sites and spins turned independently."""
    space, spins = (Rotation.identity() if r is None else r for r in (space, spins))
    turned_sites = replace(config, positions=space.apply(config.positions), cell=space.apply(config.cell))
    return turned_sites.with_spins(spins.apply(config.spins))


@pytest.mark.parametrize(
    ("name", "free"), [("isotropic", True), ("exchange", False), ("dipolar", False), ("uniaxial", False)]
)
def test_rotations(name, free):
    """Heisenberg and biquadratic terms do not see spins turn; DMI and dipoles do, unless the sites turn with them."""
    isotropic = PairExchange(ExponentialExchange(1.0), K=ExponentialExchange(0.3))
    potential, config = {"isotropic": isotropic}.get(name) or POTENTIALS[name], sites(4)
    turn = Rotation.from_rotvec([0.4, -1.1, 0.7])
    before = potential.evaluate(config)
    alone = potential.evaluate(turned(config, spins=turn))
    assert (abs(alone.energy - before.energy) < 1e-11) == free
    if name != "uniaxial":
        both = potential.evaluate(turned(config, space=turn, spins=turn))
        assert both.energy == pytest.approx(before.energy, abs=1e-11)
        np.testing.assert_allclose(both.field, turn.apply(before.field), atol=1e-11)
        if both.forces is not None:
            np.testing.assert_allclose(both.forces, turn.apply(before.forces), atol=1e-10)


def test_a_sum_adds_up_and_adopts_precision():
    config = replace(sites(2), species=None, moments=None)
    electrons = SDModel(J=3.0, filling=1.0, temperature=0.05, dtype="float32")
    both = Sum(Zeeman([0, 0, 0.5]), None or electrons)
    frozen = both.prepare([config])
    assert frozen.dtype == torch.float32
    assert [term.dtype for term in frozen.terms] == [torch.float32] * 2
    energies, field = frozen(torch.from_numpy(config.spins).float()[None])
    exact = replace(electrons, dtype="float64").evaluate(config)
    assert energies.item() == pytest.approx(exact.energy - 0.5 * config.spins[:, 2].sum(), abs=1e-3)
    np.testing.assert_allclose(field[0].numpy(), exact.field + [0, 0, 0.5], atol=1e-4)
    found = Sum(exact=replace(electrons, dtype="float64"), field=Zeeman([0, 0, 0.5]), nothing=None).evaluate(config)
    np.testing.assert_allclose(found.field, exact.field + [0, 0, 0.5], atol=1e-12)
    np.testing.assert_allclose(found.forces, exact.forces, atol=1e-12)
    assert Sum(Sum(Zeeman([0, 0, 1.0])), Zeeman([0, 0, 2.0])).evaluate(config).field[0, 2] == pytest.approx(3.0)
    single = Sum(Toy(zero().function, torch.float64), Zeeman([0, 0, 1.0], dtype="float32")).prepare([config])
    assert single.dtype == torch.float64
    assert not has_forces(Sum(Zeeman([0, 0, 1.0]), BondExchange([[0, 1]], J=1.0)))


def test_what_changes_in_time_is_taken_at_the_middle_of_steps_and_at_the_time_of_frames():
    drive = {"schedule": "rotating", "field": [0.6, 0, 1.1], "angular_frequency": 0.8}
    configs = [sites(1), sites(2)]
    pairs = BondExchange(PAIRS, J=0.5)
    settings = dict(duration=2.0, time_step=0.1, damping=0.1, record_every=3, integrator=RK4())
    by_term = Quench(**settings).run(Sum(pairs, Zeeman(drive)), configs, [1, 2])
    by_field = Quench(**settings, external_field=drive).run(pairs, configs, [1, 2])
    np.testing.assert_allclose(by_term.spins, by_field.spins, atol=1e-13)
    np.testing.assert_allclose(by_term.energies, by_field.energies, atol=1e-12)
    frozen = Sum(pairs, Zeeman(drive)).prepare(configs)
    assert frozen_at(frozen, 1.0) is not frozen
    static = Sum(pairs, Zeeman([0, 0, 1.0])).prepare(configs)
    assert frozen_at(static, 1.0) is static


def test_the_command_line_composes_a_sum():
    cfg = compose_config(
        "simulate",
        [
            "potential=sum",
            "+potential@potential.electrons=exact",
            "+potential@potential.zeeman=zeeman",
            "+potential@potential.easy=uniaxial",
            "potential.zeeman.field=[0,0,0.3]",
            "potential.easy.K=0.2",
        ],
    )
    config = RandomSites(6, 2).sample(np.random.default_rng(1))
    exact = instantiate(cfg.potential.electrons).evaluate(config)
    found = instantiate(cfg.potential).evaluate(config)
    expected = exact.energy - (0.3 * config.spins[:, 2] + 0.2 * config.spins[:, 2] ** 2).sum()
    assert found.energy == pytest.approx(expected, abs=1e-12)
    drive = "potential.zeeman.field={schedule: sweep, start: 0, end: 1, duration: 2}"
    moving = compose_config("simulate", ["potential=sum", "+potential@potential.zeeman=zeeman", drive])
    assert instantiate(moving.potential).terms["zeeman"].field(1.0) == (0.0, 0.0, 0.5)
    cfg.potential.easy = None
    assert list(instantiate(cfg.potential).terms) == ["electrons", "zeeman"]
    for name in ("heisenberg", "cubic", "dipolar"):
        instantiate(compose_config("simulate", [f"potential={name}"]).potential)
    assert instantiate(compose_config("simulate", ["potential=heisenberg"]).potential).J(np.ones(1)) == 1.0


def test_bonds_come_from_a_file(tmp_path):
    np.savez(tmp_path / "bonds.npz", pairs=PAIRS, J=np.arange(5.0))
    read = BondExchange(path=str(tmp_path / "bonds.npz"))
    config = sites(1)
    assert read.evaluate(config).energy == BondExchange(PAIRS, J=np.arange(5.0)).evaluate(config).energy
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(InputError, match="cannot be read"):
        BondExchange(path=str(tmp_path / "text.npz"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Zeeman([0, 1.0]), "zeeman: field"),
        (lambda: Zeeman({"schedule": "rotatng"}), "unknown schedule 'rotatng': did you mean 'rotating'"),
        (lambda: UniaxialAnisotropy("x"), "K: expected a finite number"),
        (lambda: UniaxialAnisotropy(1.0, [0, 0, 0]), "axis: expected three finite numbers"),
        (
            lambda: UniaxialAnisotropy([1.0]).evaluate(sites(1)) and UniaxialAnisotropy([1, 2, 3], dtype="f"),
            "dtype: 'f'",
        ),
        (lambda: CubicAnisotropy(1.0, [[1, 0, 0], [1, 1, 0]]), "not at right angles"),
        (
            lambda: CubicAnisotropy([1.0, 2.0]).evaluate(replace(sites(1), species=np.full(N, 2))),
            "no value for species 2",
        ),
        (lambda: PairExchange(), "at least one of J, D and K"),
        (lambda: PairExchange(1.0), "J: expected a function"),
        (lambda: PairExchange(ExponentialExchange(), direction="bnd"), "direction: did you mean 'bond'"),
        (lambda: PairExchange(ExponentialExchange(), factors=[[1, 2], [3, 4]]), "symmetric matrix"),
        (lambda: PairExchange(ExponentialExchange(), factors=[[1]]).evaluate(sites(1)), "no row for species 1"),
        (lambda: BondExchange([[0, 1]]), "at least one of J, D and K"),
        (lambda: BondExchange([[1, 1]], J=1.0), "joins a site to itself"),
        (lambda: BondExchange([[0, 1]], J=[1.0, 2.0]), r"J: expected shape \(1,\), got \(2,\)"),
        (lambda: BondExchange([[0, 12]], J=1.0).evaluate(sites(1)), "site 12 of a bond, but there are 10 sites"),
        (lambda: Dipolar(1.0).evaluate(sites(1)), "give a cutoff"),
        (lambda: Dipolar(1.0, max_pairs=2).evaluate(line(np.eye(3))), "3 pairs, the limit is max_pairs=2"),
        (lambda: Dipolar(1.0, cutoff=-1), "cutoff: expected a length > 0"),
        (lambda: Sum(), "it has no terms"),
        (lambda: Sum(zeeman=3.0), "zeeman is 3.0, which is no potential"),
        (lambda: Zeeman([0, 0, 1.0]).prepare([sites(1), sites(1, 9)]), r"one size, got \[9, 10\]"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(make, message):
    with pytest.raises(UserError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ConfigError | InputError)
