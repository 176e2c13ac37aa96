"""Do two runs of one quench agree: C(r, t) in units of its standard error, and how far their spins have parted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...configuration import Array
from ..correlations import MeanAndError

N_ERRORS = 2.0


@dataclass(frozen=True)
class CorrelationAgreement:
    """C(r, t) of a run beside that of a reference, means over the same realisations.

    t = 0 is left out of all counts, where both are equal by construction, and so are bins that hold pairs in fewer
    than two realisations. Without any bin left the numbers are NaN.

    Args:
        times: (T,), hbar/t0.
        reference, other: C(r, t) and its standard error over realisations (ddof = 1), each (T, B).
    """

    times: Array
    reference: MeanAndError
    other: MeanAndError

    @cached_property
    def deviation(self) -> Array:
        """C - C_reference of the means, (T, B)."""
        return self.other.mean - self.reference.mean

    @cached_property
    def in_errors(self) -> Array:
        """|C - C_reference| in standard errors of the reference, (T, B); 0 where both are equal, NaN without error."""
        error, size = self.reference.error, np.abs(self.deviation)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((size == 0) & np.isfinite(error), 0.0, size / error)

    def fraction_within(self, n_errors: float = N_ERRORS, combined: bool = False, until: float = float("inf")) -> float:
        """Fraction of the (r, t) bins, t <= ``until``, with |C - C_reference| <= n_errors x standard error.

        The standard error is that of the reference, or with ``combined`` the root of the sum of both squares.
        """
        error = np.hypot(self.reference.error, self.other.error) if combined else self.reference.error
        counted = np.isfinite(error) & self._later(until)
        if not counted.any():
            return float("nan")
        return float((np.abs(self.deviation) <= n_errors * error)[counted].mean())

    def agreement_time(self, share: float = 0.95, n_errors: float = 1.0) -> float:
        """The last time t up to which :meth:`fraction_within` is at least ``share``; 0 if there is none, hbar/t0."""
        good = [t for t in self.times if self.fraction_within(n_errors, until=t) >= share]
        return float(max(good, default=0.0))

    def largest(self) -> tuple[float, int, int]:
        """The largest of :attr:`in_errors` with its instant and bin; NaN, 0, 0 if no bin is counted."""
        counted = np.where(self._later(), self.in_errors, np.nan)
        if np.isnan(counted).all():
            return float("nan"), 0, 0
        instant, r = np.unravel_index(int(np.nanargmax(counted)), counted.shape)
        return float(counted[instant, r]), int(instant), int(r)

    def summary(self) -> dict[str, float]:
        """Shares of bins within errors, the last time of agreement (hbar/t0), the largest deviation of C."""
        return {
            "within_1_error": self.fraction_within(1.0),
            "within_1_error_until": self.agreement_time(),
            "within_2_errors": self.fraction_within(),
            "within_2_combined_errors": self.fraction_within(combined=True),
            "max_correlation_deviation": float(np.nanmax(np.abs(self.deviation))),
        }

    def _later(self, until: float = float("inf")) -> np.ndarray:
        """(T, 1)."""
        return np.asarray((self.times > 0) & (self.times <= until))[:, None]


def rms_distance(spins: Array, reference: Array) -> Array:
    """sqrt(sum_i |S_i - S'_i|^2 / sum_i |S'_i|^2) of states (..., N, 3), (...): 0 the same, sqrt 2 unrelated spins.

    For unit spins the rms of |S_i - S'_i|. Sites without a spin do not count.
    """
    return np.asarray(np.sqrt(((spins - reference) ** 2).sum((-2, -1)) / (reference**2).sum((-2, -1))))
