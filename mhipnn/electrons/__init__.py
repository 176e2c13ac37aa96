"""Electrons that hop between the sites and feel the spins: the exact s-d model."""

from .hopping import ExponentialHopping, GaussianHopping, Hopping, PowerLawHopping
from .hopping_shells import ShellHopping
from .kpm import KPM
from .occupation import DegeneracyWarning
from .sd_model import ElectronicEvaluation, SDModel

__all__ = [
    "KPM",
    "DegeneracyWarning",
    "ElectronicEvaluation",
    "ExponentialHopping",
    "GaussianHopping",
    "Hopping",
    "PowerLawHopping",
    "SDModel",
    "ShellHopping",
]
