"""Temperature, damping and fields in time: their values, their errors, and what every integrator makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from every_integrator import INTEGRATORS, STOCHASTIC
from scipy.integrate import quad
from scipy.spatial.transform import Rotation
from toy_potentials import Frozen, zero

from mhipnn import SpinConfiguration, registry
from mhipnn.config import compose_config
from mhipnn.dynamics import Drive, Heun, LLGState, Quench
from mhipnn.dynamics.schedules import as_schedule
from mhipnn.errors import ConfigError
from mhipnn.structures import random_spins

every_integrator = pytest.mark.parametrize("name", list(INTEGRATORS))
every_stochastic = pytest.mark.parametrize("name", list(STOCHASTIC))


def schedule(name, **arguments):
    return registry.get("schedule", name)(**arguments)


def sites(spins):
    spins = np.atleast_2d(spins)
    return SpinConfiguration(np.arange(3 * len(spins)).reshape(-1, 3), 9 * np.eye(3), False, spins)


# name, arguments, and the same function written out by hand
NUMBERS = {
    "constant": ({"value": 0.7}, lambda t: 0.7),
    "quench": ({"before": 2.0, "after": 0.5, "time": 1.0}, lambda t: 2.0 if t < 1 else 0.5),
    "linear": (
        {"start": 2.0, "end": 0.5, "duration": 2.0, "begin": 0.5},
        lambda t: 2.0 if t < 0.5 else 0.5 if t > 2.5 else 2 - 0.75 * (t - 0.5),
    ),
    "exponential": (
        {"start": 2.0, "end": 0.5, "duration": 2.0, "begin": 0.5},
        lambda t: 2.0 * 0.25 ** min(max((t - 0.5) / 2, 0), 1),
    ),
    "table": (
        {"times": [0.5, 1.0, 2.0], "values": [2.0, 0.2, 1.2]},
        lambda t: 2.0 if t < 0.5 else 1.2 if t > 2 else 2 - 3.6 * (t - 0.5) if t < 1 else 0.2 + (t - 1),
    ),
}
KINKS = (0.5, 1.0, 2.0, 2.5)


@pytest.mark.parametrize("name", list(NUMBERS))
def test_values_in_time(name):
    arguments, by_hand = NUMBERS[name]
    number = schedule(name, **arguments)
    vector = None
    if name != "exponential":
        three = {k: np.multiply.outer(v, [1, -2, 0.5]).tolist() for k, v in arguments.items() if k in VALUES}
        vector = schedule(name, **(arguments | three))
    for time in (-1.0, 0.0, 0.3, 0.7, 1.0, 1.6, 2.2, 4.0):
        assert number(time) == pytest.approx(by_hand(time), rel=1e-12)
        assert isinstance(number(time), float)
        assert min(number.extremes) <= number(time) <= max(number.extremes)
        if vector is not None:
            assert vector(time) == pytest.approx([by_hand(time), -2 * by_hand(time), 0.5 * by_hand(time)], rel=1e-12)


VALUES = ("value", "before", "after", "start", "end", "values")


def test_driving_fields_in_time():
    rotating = schedule("rotating", field=[0.4, 0, 0.3], angular_frequency=2.0)
    pulse = schedule("pulse", field=[0, 2.0, 0], centre=3.0, width=0.5, offset=[0, 0, 1.0])
    carried = schedule("pulse", field=[0, 2.0, 0], centre=3.0, width=0.5, angular_frequency=4.0, phase=0.3)
    sweep = schedule("sweep", start=-2.0, end=2.0, duration=4.0, axis=[0, 0, 5.0], back=True, begin=1.0)
    for time in np.linspace(0, 12, 13):
        assert rotating(time) == pytest.approx([0.4 * np.cos(2 * time), 0.4 * np.sin(2 * time), 0.3], abs=1e-12)
        gauss = 2 * np.exp(-2 * (time - 3) ** 2)
        assert pulse(time) == pytest.approx([0, gauss, 1.0], abs=1e-12)
        assert carried(time) == pytest.approx([0, gauss * np.cos(4 * (time - 3) + 0.3), 0], abs=1e-12)
        up, down = np.clip(time - 3, -2, 2), np.clip(7 - time, -2, 2)
        assert sweep(time) == pytest.approx([0, 0, min(up, down)], abs=1e-12)
        for one in (rotating, pulse, carried, sweep):
            assert (np.min(one.extremes, 0) - 1e-12 <= one(time)).all()
            assert (one(time) <= np.max(one.extremes, 0) + 1e-12).all()


def test_a_table_comes_from_a_file(tmp_path):
    (tmp_path / "cooling.csv").write_text("# time, kT\n0, 2.0\n1, 1.0\n\n3, 0.5\n")
    (tmp_path / "field.txt").write_text("0 1 2 3\n2 3 2 1\n")
    assert schedule("table", path=str(tmp_path / "cooling.csv"))(2.0) == pytest.approx(0.75)
    assert schedule("table", path=str(tmp_path / "field.txt"))(1.0) == pytest.approx([2, 2, 2])
    for text, message in (
        ("0, 1\n0, 2\n", "times must increase, got 0 and then 0"),
        ("0 1 2\n", "3 columns; it needs time, value or time, x, y, z"),
        ("zero one\n", "could not convert"),
        ("", "one number or three"),
        ("0 nan\n", "not a finite"),
    ):
        (tmp_path / "bad.txt").write_text(text)
        with pytest.raises(ConfigError, match=message):
            schedule("table", path=str(tmp_path / "bad.txt"))
    with pytest.raises(ConfigError, match="cannot be read"):
        schedule("table", path=str(tmp_path / "none.txt"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"temperature": {"schedule": "linaer"}}, "temperature: unknown schedule 'linaer': did you mean 'linear'"),
        ({"temperature": {"start": 1.0}}, "names no schedule; write .* constant, exponential, linear"),
        ({"temperature": {"schedule": "linear", "start": 1, "end": -0.5, "duration": 2}}, "goes down to -0.5"),
        ({"damping": {"schedule": "table", "times": [0, 1], "values": [0.1, -0.1]}}, "damping: .* goes down to -0.1"),
        ({"damping": {"schedule": "table", "times": [0, 1], "values": [0.1]}}, "one number or three"),
        ({"damping": {"schedule": "table", "times": [0, 1]}}, "give times and values"),
        ({"damping": {"schedule": "table", "times": [1, 1], "values": [0, 0]}}, "times must increase, got 1 and then"),
        ({"temperature": {"schedule": "exponential", "start": 1, "end": 0, "duration": 2}}, "end is 0; it must be > 0"),
        ({"temperature": {"schedule": "linear", "start": 1, "end": 0, "duration": 0}}, "duration is 0; it must be > 0"),
        ({"temperature": {"schedule": "linear", "strat": 1}}, "schedule linear: .*'strat'"),
        ({"temperature": {"schedule": "rotating", "field": [1, 0, 0], "angular_frequency": 1}}, "one number a time"),
        ({"temperature": True}, "temperature is True"),
        ({"temperature": "warm"}, "temperature is warm"),
        ({"temperature": min}, "is not a schedule; allowed: constant"),
        ({"external_field": {"schedule": "linear", "start": 1, "end": 2, "duration": 1}}, "three numbers a time"),
        ({"external_field": {"schedule": "quench", "before": 1, "after": [1, 2, 3]}}, "both be three numbers"),
        ({"external_field": {"schedule": "sweep", "start": 0, "end": 1, "duration": 1, "axis": [0, 0, 0]}}, "be zero"),
        ({"external_field": 2.0}, "external_field is 2.0; give three finite numbers"),
    ],
)
def test_bad_schedules_are_refused_in_one_line(setting, message):
    with pytest.raises(ConfigError, match=message) as caught:
        Quench(**({"duration": 2.0, "time_step": 0.1} | setting))
    assert "\n" not in str(caught.value)


def end_of(name, start, dt, duration=3.0, **settings):
    quench = Quench(duration, dt, record_every=10**6, integrator=INTEGRATORS[name], **settings)
    return quench.run(zero(), [sites(start)], [0]).spins[-1, 0, 0]


def measured_order(name, start, exact, **settings):
    errors = [np.linalg.norm(end_of(name, start, dt, **settings) - exact) for dt in (0.05, 0.025)]
    return errors[0], (np.log2(errors[0] / errors[1]) if min(errors) > 1e-10 else np.inf)


def polar(theta, phi):
    return np.array([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


def integral(function, duration):
    return quad(function, 0, duration, points=KINKS, epsabs=1e-12, limit=200)[0]


@every_integrator
@pytest.mark.parametrize("kind", list(NUMBERS))
def test_a_free_spin_while_field_and_damping_change(name, kind):
    """phi = int b/(1 + alpha^2) dt, and ln tan(theta/2) falls by int alpha b/(1 + alpha^2) dt."""
    arguments, by_hand = NUMBERS[kind]
    fields = {k: np.multiply.outer(v, [0, 0, 1.0]).tolist() for k, v in arguments.items() if k in VALUES}
    along_z = {"value": [0, 0, 1.0]} if kind == "exponential" else arguments | fields
    b = (lambda t: 1.0) if kind == "exponential" else by_hand
    drive = {"schedule": "constant" if kind == "exponential" else kind} | along_z
    exact = polar(
        2 * np.arctan(np.tan(0.9) * np.exp(-integral(lambda t: by_hand(t) * b(t) / (1 + by_hand(t) ** 2), 3.0))),
        0.4 + integral(lambda t: b(t) / (1 + by_hand(t) ** 2), 3.0),
    )
    damping = {"schedule": kind} | arguments
    error, order = measured_order(name, polar(1.8, 0.4), exact, damping=damping, external_field=drive)
    assert error < 4e-3
    assert order > (1.8 if kind != "constant" else INTEGRATORS[name].order - 0.2)


@every_integrator
def test_a_free_spin_in_a_rotating_field(name):
    """In the frame that turns with the drive the field b - omega z is at rest: Rabi's formula."""
    static, drive, omega, duration = 1.1, 0.6, 0.8, 3.0
    turning = Rotation.from_rotvec(np.array([drive, 0, static - omega]) * duration)
    exact = (Rotation.from_rotvec([0, 0, omega * duration]) * turning).apply(polar(1.8, 0.4))
    field = {"schedule": "rotating", "field": [drive, 0, static], "angular_frequency": omega}
    error, order = measured_order(name, polar(1.8, 0.4), exact, damping=0.0, external_field=field)
    assert error < 1e-3
    assert 1.8 < order < 2.4


@every_integrator
@pytest.mark.parametrize(
    ("drive", "angle"),
    [
        ({"schedule": "pulse", "field": [0, 1.5, 0], "centre": 1.4, "width": 0.3},
         integral(lambda t: 1.5 * np.exp(-((t - 1.4) ** 2) / 0.18), 3.0)),
        ({"schedule": "sweep", "start": -1.0, "end": 2.0, "duration": 2.0, "axis": [0, 1.0, 0], "back": True}, 2.25),
    ],
)  # fmt: skip
def test_a_free_spin_turns_by_the_integral_of_the_field(name, drive, angle):
    exact = Rotation.from_rotvec([0, angle, 0]).apply(polar(1.8, 0.4))
    error, order = measured_order(name, polar(1.8, 0.4), exact, damping=0.0, external_field=drive)
    assert error < 1e-3
    assert order > 1.8


@every_stochastic
@pytest.mark.parametrize("kind", list(NUMBERS))
def test_the_noise_has_the_temperature_of_the_middle_of_the_step(name, kind):
    """<|dS|^2> = 4 alpha kT dt/(mu (1 + alpha^2)) in a step of a free spin."""
    arguments, by_hand = NUMBERS[kind]
    n, dt, alpha = 3000, 0.02, 0.1
    config = sites(random_spins(n, np.random.default_rng(3)))
    quench = Quench(1.04, dt, alpha, {"schedule": kind} | arguments, integrator=INTEGRATORS[name])
    steps = [0, 1, 24, 25, 37, 49, 50, 51]
    frames = list(quench.frames(zero(), [config], [5], steps=sorted({s for k in steps for s in (k, k + 1)})))
    at = {round(frame.time / dt): frame.spins[0] for frame in frames}
    for step in steps:
        moved = ((at[step + 1] - at[step]) ** 2).sum(-1).mean()
        kT = by_hand((step + 0.5) * dt)
        assert moved == pytest.approx(4 * alpha * kT * dt / (1 + alpha**2), rel=0.08)


@dataclass(frozen=True)
class Recorder:
    """What a step is given."""

    order = 2
    evaluations_per_step = 2
    seen: list = field(default_factory=list)

    def step(self, state, force, drive):
        self.seen.append((drive.damping, drive.temperature, drive.external_field.tolist()))
        return Heun().step(state, force, drive)


def test_steps_take_the_middle_and_frames_their_own_time():
    recorder = Recorder()
    ramp = {"schedule": "linear", "start": 0.0, "end": 1.0, "duration": 1.0}
    up = {"schedule": "linear", "start": [0, 0, 0], "end": [0, 0, 1.0], "duration": 1.0}
    quench = Quench(0.3, 0.1, ramp, ramp, integrator=recorder, external_field=up)
    config = sites([[0, 0.6, 0.8]])
    run = quench.run(zero(), [config], [1])
    np.testing.assert_allclose([s[0] for s in recorder.seen], [0.05, 0.15, 0.25])
    np.testing.assert_allclose([s[1] for s in recorder.seen], [0.05, 0.15, 0.25])
    np.testing.assert_allclose([s[2][2] for s in recorder.seen], [0.05, 0.15, 0.25])
    np.testing.assert_allclose(run.energies[:, 0], -run.spins[:, 0, 0, 2] * [0, 0.1, 0.2, 0.3], atol=1e-14)


@every_stochastic
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_replica_has_its_own_temperature_bit_for_bit(name, dtype):

    def pairs(spins):  # site by site in one order: no reduction whose order depends on the batch
        field = spins.roll(1, dims=1) * torch.tensor([0.4, 1.0, -0.7], dtype=spins.dtype)
        return field.sum((1, 2)), field

    force = Frozen(pairs)
    temperatures = (0.0, 0.05, 0.3, 1.7)
    spins = torch.from_numpy(random_spins(10, np.random.default_rng(2))).to(dtype).expand(4, -1, -1)
    moments = torch.linspace(0.7, 2.5, 10).to(dtype).expand(4, -1)

    def advance(spins, moments, seeds, temperature):
        state = LLGState(spins, seeds)
        for _ in range(5):
            state = INTEGRATORS[name].step(state, force, Drive(0.05, 0.2, temperature, moments))
        return state.spins

    together = advance(spins, moments, (3, 4, 5, 6), torch.tensor(temperatures, dtype=torch.float64))
    for r, kT in enumerate(temperatures):
        assert torch.equal(together[r : r + 1], advance(spins[:1], moments[:1], (3 + r,), kT))


def test_the_command_line_takes_a_schedule_by_its_name():
    cfg = compose_config(
        "simulate",
        [
            "dynamics.temperature={schedule: exponential, start: 1.0, end: 0.01, duration: 20}",
            "dynamics.external_field={schedule: sweep, start: 0, end: 1, duration: 9, axis: [1, 0, 0]}",
        ],
    )
    from hydra.utils import instantiate

    quench = instantiate(cfg.dynamics)
    assert quench.temperature(10.0) == pytest.approx(0.1)
    assert quench.external_field(4.5) == pytest.approx([0.5, 0, 0])


def test_constants_stay_what_they_are():
    assert as_schedule("kT", 0) == 0.0
    assert as_schedule("B", [1, 2, 3], vector=True) == (1.0, 2.0, 3.0)
    same = schedule("constant", value=0.3)
    assert as_schedule("kT", same) is same
