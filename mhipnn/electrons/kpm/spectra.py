"""Densities of states from Chebyshev moments, with the kernel that keeps the truncated series in bounds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...configuration import Array
from ...errors import ConfigError, InputError, suggest
from .spectrum import Band


def jackson(n: int) -> Array:
    """g_m of the Jackson kernel, m = 0 .. n - 1: positive, nearly Gaussian of width pi/n; Weisse et al. RMP 78, 275."""
    m, q = np.arange(n), np.pi / (n + 1)
    return ((n - m + 1) * np.cos(q * m) + np.sin(q * m) / np.tan(q)) / (n + 1)


def lorentz(n: int, resolution: float = 4.0) -> Array:
    """g_m = sinh(lambda (1 - m/n))/sinh(lambda): nearly a Lorentzian of half width lambda/n, causal."""
    return np.sinh(resolution * (1 - np.arange(n) / n)) / np.sinh(resolution)


KERNELS = {"jackson": jackson, "lorentz": lorentz}


@dataclass(frozen=True)
class Spectrum:
    """Moments mu_m = Tr T_m((H - centre)/half_width), both spins together, and the band that they belong to."""

    moments: Array
    band: Band

    def density_of_states(self, energies: ArrayLike, kernel: str = "jackson") -> Array:
        """g(E) = [mu_0 + 2 sum_m g_m mu_m T_m(x)] / (pi a sqrt(1 - x^2)), x = (E - centre)/a; its integral is 2N.

        Args:
            energies: (K,), energy; g is 0 outside the band.
            kernel: ``jackson`` or ``lorentz``.

        Returns:
            (K,), 1/energy.

        Raises:
            ConfigError: an unknown kernel.
            InputError: energies that are not finite.
        """
        if kernel not in KERNELS:
            raise ConfigError(f"kernel {kernel!r}: {suggest(kernel, KERNELS)}")
        grid = np.asarray(energies, float)
        if not np.isfinite(grid).all():
            raise InputError("energies of the density of states: expected finite numbers")
        x = (grid - self.band.centre) / self.band.half_width
        series = KERNELS[kernel](len(self.moments)) * self.moments
        series[1:] *= 2
        inside = np.abs(x) < 1
        root = np.sqrt(1 - np.where(inside, x, 0.0) ** 2)
        values = np.polynomial.chebyshev.chebval(np.where(inside, x, 0.0), series)
        return np.where(inside, values / (np.pi * self.band.half_width * root), 0.0)
