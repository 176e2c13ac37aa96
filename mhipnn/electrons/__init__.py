"""Electrons that hop between the sites and feel the spins: the exact s-d model."""

from .hopping import ExponentialHopping
from .sd_model import ElectronicEvaluation, SDModel

__all__ = ["ElectronicEvaluation", "ExponentialHopping", "SDModel"]
