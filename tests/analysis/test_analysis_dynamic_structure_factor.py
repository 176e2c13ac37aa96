"""S(q, omega) against closed forms: a free spin, spin waves of a chain, their direction, the sum over frequencies."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mhipnn import SpinConfiguration
from mhipnn.analysis.dynamic_structure_factor import dynamic_structure_factor, evenly_spaced
from mhipnn.analysis.structure_factor import spin_amplitudes, structure_factor_at
from mhipnn.dynamics import RK4, Quench
from mhipnn.errors import InputError
from mhipnn.structures import random_spins

L, J, B = 24, 0.7, 0.5


class Chain:
    """E = -J sum_i S_i.S_{i+1} on a ring."""

    device, dtype = torch.device("cpu"), torch.float64

    def prepare(self, configs):
        return self

    def __call__(self, spins):
        field = J * (spins.roll(1, 1) + spins.roll(-1, 1))
        return -0.5 * (spins * field).sum((1, 2)), field


def ring(spins):
    positions = np.arange(L)[:, None] * np.array([1.0, 0, 0])
    return SpinConfiguration(positions, np.diag([L, 1.0, 1.0]), (True, False, False), spins)


WAVES = np.array([[m, 0, 0] for m in range(-L // 2 + 1, L // 2 + 1)])


def run(transverse, duration=120.0, step=0.1):
    """Spins along +z but for small transverse parts, without damping, in a field B along z."""
    spins = np.concatenate([transverse, np.sqrt(1 - (transverse**2).sum(1, keepdims=True))], 1)
    quench = Quench(duration, step, 0.0, 0.0, 5, RK4(), (0.0, 0.0, B))
    path = quench.run(Chain(), [ring(spins)], [0])
    return path.times, np.stack([spin_amplitudes(ring(spins), state, WAVES) for state in path.spins[:, 0]])


@pytest.fixture(scope="module")
def small_noise():
    return run(0.01 * np.random.default_rng(0).normal(size=(L, 2)))


def dispersion(waves):
    """omega(q) = B + 2 J (1 - cos q) of dS/dt = -S x b with b = J (S_left + S_right) + B z."""
    return B + 2 * J * (1 - np.cos(2 * np.pi * waves[:, 0] / L))


def test_spin_waves_of_a_ferromagnetic_chain_turn_counter_clockwise(small_noise):
    times, amplitudes = small_noise
    omega, spectrum = dynamic_structure_factor(times, amplitudes, axis=(0, 0, 1))
    resolution = omega[1] - omega[0]
    peaks = omega[spectrum.argmax(-1)]
    np.testing.assert_allclose(peaks, dispersion(WAVES), atol=resolution)
    near = np.abs(omega - dispersion(WAVES)[:, None]) < 3 * resolution
    assert (np.where(near, spectrum, 0).sum(-1) > 0.99 * spectrum.sum(-1)).all()
    _, other_way = dynamic_structure_factor(times, amplitudes, axis=(0, 0, -3))
    np.testing.assert_allclose(omega[other_way.argmax(-1)], -dispersion(WAVES), atol=resolution)


def test_a_wave_that_runs_to_the_right_is_at_positive_q_and_omega():
    """The transverse spin exp(i (k R - omega t)), taken as S_x - i S_y, is counter-clockwise in time."""
    k = 2 * np.pi * 3 / L
    phase = k * np.arange(L)
    times, amplitudes = run(0.01 * np.stack([np.cos(phase), -np.sin(phase)], 1), duration=100.0)
    omega, spectrum = dynamic_structure_factor(times, amplitudes, axis=(0, 0, 1))
    wave, frequency = np.unravel_index(spectrum.argmax(), spectrum.shape)
    assert WAVES[wave, 0] == 3
    assert omega[frequency] == pytest.approx(B + 2 * J * (1 - np.cos(k)), abs=omega[1] - omega[0])
    assert spectrum[WAVES[:, 0] == -3].max() < 1e-6 * spectrum.max()


def test_a_free_spin_is_at_plus_and_minus_its_field():
    n, dt = 256, 0.25
    times = dt * np.arange(n)
    field = 2 * np.pi * 20 / (n * dt)  # on the grid of frequencies
    spins = np.stack(
        [np.sin(0.3) * np.cos(field * times), np.sin(0.3) * np.sin(field * times), 0 * times + np.cos(0.3)], 1
    )
    config = SpinConfiguration(np.zeros((1, 3)), np.eye(3), False, [[0, 0, 1.0]])
    amplitudes = spin_amplitudes(config, spins[:, None], np.zeros((1, 3), int))
    omega, spectrum = dynamic_structure_factor(times, amplitudes, "boxcar")
    weight = spectrum[0] * (omega[1] - omega[0])
    at = [int(np.abs(omega - w).argmin()) for w in (-field, 0, field)]
    np.testing.assert_allclose(weight[at], [np.sin(0.3) ** 2 / 2, np.cos(0.3) ** 2, np.sin(0.3) ** 2 / 2], atol=1e-12)
    assert weight.sum() == pytest.approx(1, abs=1e-12)
    omega, one_way = dynamic_structure_factor(times, amplitudes, "boxcar", axis=(0, 0, 2))
    weight = one_way[0] * (omega[1] - omega[0])
    np.testing.assert_allclose(weight[at], [0, 0, np.sin(0.3) ** 2 / 2], atol=1e-12)


@pytest.mark.parametrize("window", ["boxcar", "hann", "blackman"])
def test_the_integral_over_frequencies_is_the_structure_factor(window):
    rng = np.random.default_rng(4)
    config = ring(random_spins(L, rng))
    spins = np.stack([random_spins(L, rng) for _ in range(64)])
    amplitudes = spin_amplitudes(config, spins, WAVES)
    omega, spectrum = dynamic_structure_factor(0.3 * np.arange(64), amplitudes, window)
    from scipy.signal import get_window

    weight = get_window(window, 64) ** 2
    wanted = weight @ structure_factor_at(config, spins, WAVES) / weight.sum()
    np.testing.assert_allclose(spectrum.sum(-1) * (omega[1] - omega[0]), wanted, rtol=1e-12)
    assert omega[-1] <= np.pi / 0.3


def test_circular_parts_and_the_part_along_the_axis_make_up_the_whole():
    rng = np.random.default_rng(5)
    config = ring(random_spins(L, rng))
    amplitudes = spin_amplitudes(config, np.stack([random_spins(L, rng) for _ in range(33)]), WAVES[:-1])
    times, axis = np.arange(33.0), np.array([1.0, 2.0, -2.0]) / 3
    _, total = dynamic_structure_factor(times, amplitudes)
    _, circular = dynamic_structure_factor(times, amplitudes, axis=axis)
    along = np.zeros_like(amplitudes)
    along[:, 0] = np.einsum("taq,a->tq", amplitudes, axis)
    _, parallel = dynamic_structure_factor(times, along)
    np.testing.assert_allclose(circular + circular[::-1, ::-1] + parallel, total, rtol=1e-9)


def test_bad_requests_are_refused():
    amplitudes = np.zeros((20, 3, 2), complex)
    times = np.arange(20.0)
    with pytest.raises(InputError, match="at least 16 frames, got 5"):
        dynamic_structure_factor(times[:5], amplitudes[:5])
    with pytest.raises(InputError, match="unknown window 'hanning2'"):
        dynamic_structure_factor(times, amplitudes, "hanning2")
    with pytest.raises(InputError, match="not evenly spaced"):
        dynamic_structure_factor(times**1.1, amplitudes)
    with pytest.raises(InputError, match="axis"):
        dynamic_structure_factor(times, amplitudes, axis=(0, 0, 0))
    assert evenly_spaced(np.array([0, 1, 2, 3, 3.5])) == 4
    assert evenly_spaced(times) == 20
