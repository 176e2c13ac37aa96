"""Whether the spread of an ensemble says how wrong it is: ranks, ratios and bins of spread against true error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from ..configuration import Array
from ..errors import InputError

N_BINS = 20
MIN_IN_BIN = 20  # fewer bins where there would be fewer predictions in each: the rms of a handful is noise


@dataclass(frozen=True)
class Calibration:
    """n predictions, each with its spread and its true error, both >= 0 and in the same unit.

    Args:
        spread: (n,), what the ensemble says of itself.
        error: (n,), |mean prediction - truth|.
        factor: what spreads are multiplied by before they are compared with errors; ranks do not depend on it.

    Raises:
        InputError: arrays of different shapes, none, or numbers that are negative or not finite.
    """

    spread: Array
    error: Array
    factor: float = 1.0

    def __post_init__(self) -> None:
        if self.spread.ndim != 1 or self.spread.shape != self.error.shape or self.spread.size == 0:
            raise InputError(
                f"calibration: spread {self.spread.shape} and error {self.error.shape} must be two equal rows"
            )
        for name, values in (("spread", self.spread), ("error", self.error), ("factor", np.array(self.factor))):
            if not (np.isfinite(values) & (values >= 0)).all():
                raise InputError(f"calibration: {name} holds a number that is negative or not finite")

    @property
    def spearman(self) -> float:
        """Rank correlation of spread and error; NaN if either is the same everywhere."""
        if np.ptp(self.spread) == 0 or np.ptp(self.error) == 0:
            return float("nan")
        return float(spearmanr(self.spread, self.error).statistic)

    @property
    def ratio(self) -> float:
        """rms error / (factor x rms spread): 1 if calibrated, above if overconfident; NaN without any spread.

        Its value on a validation split is the factor that calibrates other splits.
        """
        said = self.factor * _rms(self.spread)
        return float(_rms(self.error) / said) if said > 0 else float("nan")

    def bins(self) -> tuple[Array, Array]:
        """(rms of factor x spread, rms error) of predictions sorted by spread, in `N_BINS` bins of equal number."""
        order = np.argsort(self.spread, kind="stable")
        parts = np.array_split(order, max(1, min(N_BINS, len(order) // MIN_IN_BIN)))
        said = self.factor * np.array([_rms(self.spread[part]) for part in parts])
        return said, np.array([_rms(self.error[part]) for part in parts])

    def ence(self) -> float:
        r"""Expected normalised calibration error: <|spread_b - error_b| / spread_b> over the bins; NaN without spread.

        Source: D. Levi, L. Gispan, N. Giladi, E. Fetaya, Sensors 22, 5540 (2022).
        """
        said, error = self.bins()
        if not (said > 0).all():
            return float("nan")
        return float((np.abs(said - error) / said).mean())

    def attainable_spearman(self, seed: int = 0) -> float:
        """The rank correlation if the spreads were exact: of errors drawn from them, two normal components each.

        A torque is normal to its spin, so two components of it can be wrong. Even exact spreads do not rank single
        errors perfectly, so this, not 1, is what `spearman` compares with.

        Source: M. H. Rasmussen, C. Duan, H. J. Kulik, J. H. Jensen, J. Cheminform. 15, 121 (2023).
        """
        drawn = np.random.default_rng(seed).rayleigh(size=self.spread.shape)
        return Calibration(self.spread, self.spread * drawn).spearman


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
