"""Electrons that hop between the sites and feel the spins: the exact s-d model."""

from .hopping import ExponentialHopping, GaussianHopping, Hopping, PowerLawHopping
from .hopping_shells import ShellHopping
from .occupation import DegeneracyWarning
from .sd_model import ElectronicEvaluation, SDModel

__all__ = [
    "DegeneracyWarning",
    "ElectronicEvaluation",
    "ExponentialHopping",
    "GaussianHopping",
    "Hopping",
    "PowerLawHopping",
    "SDModel",
    "ShellHopping",
]
