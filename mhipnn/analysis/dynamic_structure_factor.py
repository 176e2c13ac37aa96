"""S(q, omega): the power of the spin waves in a trajectory, by wave vector and frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import get_window

from ..configuration import Array
from ..errors import InputError

MIN_FRAMES = 16
"""Fewer instants than this resolve no frequency worth drawing."""


def evenly_spaced(times: Array) -> int:
    """How many instants from the first on are evenly spaced (to 1e-6 of the spacing).

    The last frame of a run may come early: it is recorded whether it is due or not.
    """
    if len(times) < 3:
        return len(times)
    steps = np.diff(times)
    irregular = np.abs(steps - steps[0]) > 1e-6 * abs(steps[0])
    return int(np.argmax(irregular)) + 1 if irregular.any() else len(times)


def dynamic_structure_factor(
    times: Array, amplitudes: NDArray[np.complex128], window: str = "hann", axis: Sequence[float] | None = None
) -> tuple[Array, Array]:
    r"""S(q, omega) = |m(q, omega)|^2 / (2 pi \int w(t)^2 dt) with m(q, omega) = \int dt w(t) e^{+i omega t} m(q, t).

    m(q, t) = N^(-1/2) sum_i S_i(t) exp(-i q.R_i), so that a wave exp(i(k.R - omega_0 t)) is a peak at q = k and
    omega = omega_0. The integral over omega is S(q): the mean of |m(q, t)|^2 over the window with the weight w^2.

    Without ``axis`` the three Cartesian components are summed: the spectrum is the same at (q, omega) and at
    (-q, -omega), and a spin that precesses in a field B has a peak at +B and one at -B. With ``axis`` n = e_1 x e_2 it
    is that of m.(e_1 - i e_2)/sqrt(2): what turns **counter-clockwise** about n, as a spin does in a field along +n, is
    at positive frequencies, what turns clockwise at negative ones. The two circular parts and that along n,
    S(q, omega; n) + S(-q, -omega; n) + S_nn(q, omega), make up the sum over components.

    Args:
        times: (T,), evenly spaced, hbar/t0.
        amplitudes: (T, ..., 3, Q), of :func:`.structure_factor.spin_amplitudes`.
        window: a name that ``scipy.signal.get_window`` knows: hann, blackman, boxcar, ... The frequency resolution is
            2 pi/(T dt) times 1 (boxcar) to 2 (hann); the largest frequency is pi/dt, and faster motion is folded back.
        axis: three numbers, or None.

    Returns:
        omega (T,), ascending, t0/hbar, and S (..., Q, T), hbar/t0.

    Raises:
        InputError: fewer than 16 instants, uneven times, an unknown window, an axis without direction.
    """
    n = len(times)
    if n < MIN_FRAMES:
        raise InputError(
            f"S(q, omega): needs at least {MIN_FRAMES} frames, got {n}; record more often (dynamics.record_every)"
        )
    if evenly_spaced(times) != n:
        raise InputError("S(q, omega): the frames are not evenly spaced in time; choose a range in which they are")
    try:
        weight = get_window(window, n, fftbins=True)
    except ValueError:
        raise InputError(
            f"S(q, omega): unknown window {window!r}; scipy.signal has hann, hamming, blackman, nuttall, boxcar, ..."
        ) from None
    dt = float(times[1] - times[0])
    parts = np.moveaxis(amplitudes if axis is None else _circular(amplitudes, axis), 0, -1)
    # numpy's ifft is the one with exp(+i omega t), divided by n
    transform = n * np.fft.ifft(parts * weight, axis=-1)
    power = (transform.real**2 + transform.imag**2).sum(-3) * dt / (2 * np.pi * (weight**2).sum())
    return np.fft.fftshift(2 * np.pi * np.fft.fftfreq(n, dt)), np.fft.fftshift(power, axes=-1)


def _circular(amplitudes: NDArray[np.complex128], axis: Sequence[float]) -> NDArray[np.complex128]:
    """m.(e_1 - i e_2)/sqrt(2) with e_1 x e_2 along the axis, (T, ..., 1, Q)."""
    normal = np.asarray(axis, float)
    if normal.shape != (3,) or not np.isfinite(normal).all() or not normal.any():
        raise InputError(f"S(q, omega): axis is {axis}; give three numbers that are not all zero")
    normal = normal / np.linalg.norm(normal)
    first = np.cross(normal, np.eye(3)[np.argmin(np.abs(normal))])
    first /= np.linalg.norm(first)
    second = np.cross(normal, first)
    return np.einsum("...aq,a->...q", amplitudes, (first - 1j * second) / np.sqrt(2))[..., None, :]
