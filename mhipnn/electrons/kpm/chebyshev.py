"""Chebyshev expansions of the grand potential and of the Fermi function on [-1, 1]."""

from __future__ import annotations

import math

import numpy as np
from scipy.fft import dct
from scipy.special import expit

from ...configuration import Array

NODES = 4  # times the order: what is aliased has decayed four times as far as what is cut


def nodes(order: int) -> Array:
    """Zeros of a Chebyshev polynomial, enough of them for coefficients up to ``order``."""
    n = NODES * (order + 1)
    return np.cos(np.pi * (np.arange(n) + 0.5) / n)


def coefficients(values: Array, order: int) -> Array:
    """c_m, m = 0 .. order, with function(x) = sum_m c_m T_m(x), from values at :func:`nodes`."""
    c = dct(values, type=2)[: order + 1] / len(values)
    c[0] /= 2
    return np.asarray(c)


def grand_potential_expansion(mu: float, kT: float, centre: float, half_width: float, order: int) -> Array:
    """Of omega(e) = -kT ln(1 + exp(-(e - mu)/kT)) with e = centre + half_width x; energy."""
    e = centre + half_width * nodes(order)
    return coefficients(-kT * np.logaddexp(0.0, (mu - e) / kT), order)


def fermi_expansion(mu: float, kT: float, centre: float, half_width: float, order: int) -> Array:
    """Of f(e) = 1/(exp((e - mu)/kT) + 1) = -d omega/d mu, coefficient by coefficient."""
    e = centre + half_width * nodes(order)
    return coefficients(expit((mu - e) / kT), order)


def quadratic_weights(c: Array) -> Array:
    """(P + 1, 2): e_m, o_m with sum_{m<=2P} c_m <T_m> = sum_m e_m |alpha_m|^2 + o_m Re<alpha_{m+1}|alpha_m>.

    alpha_m = T_m r. T_{2m} = 2 T_m^2 - 1 and T_{2m+1} = 2 T_{m+1} T_m - T_1 halve the number of products.
    """
    half = (len(c) - 1) // 2
    weights = np.zeros((half + 1, 2))
    weights[1:, 0] = 2 * c[2::2]
    weights[1:half, 1] = 2 * c[3::2]
    weights[0] = c[0] - c[2::2].sum(), c[1] - c[3::2].sum()
    return weights


def fermi_error(kT: float, half_width: float, order: int) -> float:
    """max over the band of |f - d/de of the expanded omega|, with mu in its middle, the slowest case.

    This is what truncation does to fields: they are the gradient of the expanded grand potential.
    """
    fine = 4 * order + 64
    c = grand_potential_expansion(0.0, kT, 0.0, half_width, order)
    slope = np.polynomial.chebyshev.chebder(c) / half_width
    x = np.cos(np.linspace(0.0, np.pi, fine))
    return float(np.abs(np.polynomial.chebyshev.chebval(x, slope) - expit(-half_width * x / kT)).max())


def order_for(kT: float, half_width: float, tolerance: float) -> int:
    """The smallest even order with :func:`fermi_error` <= tolerance.

    The poles of f nearest to the band, at distance pi kT, make the error fall as exp(-order asinh(pi kT/half_width)).
    """
    rate = math.asinh(math.pi * kT / half_width)
    low, high = 1, 2 + math.ceil(math.log(1 / tolerance) / rate / 2)
    while fermi_error(kT, half_width, 2 * high) > tolerance:
        low, high = high, math.ceil(1.3 * high)
    while high - low > max(1, high // 50):
        middle = (low + high) // 2
        low, high = (low, middle) if fermi_error(kT, half_width, 2 * middle) <= tolerance else (middle, high)
    return 2 * high
