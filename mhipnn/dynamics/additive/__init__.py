"""Energies that are added to those of electrons or of a network: fields, anisotropy, pair exchange, dipoles, sums.

All of them are :class:`mhipnn.potential.Potential` s, in which a site with mu_i = 0 is a vacancy: it has no energy, and
no bonds.
"""

from __future__ import annotations

from .base import AdditivePotential, FrozenTerm
from .dipolar import Dipolar
from .onsite import CubicAnisotropy, UniaxialAnisotropy, Zeeman
from .pairs import BondExchange, PairExchange
from .sum import Sum

__all__ = [
    "AdditivePotential",
    "BondExchange",
    "CubicAnisotropy",
    "Dipolar",
    "FrozenTerm",
    "PairExchange",
    "Sum",
    "UniaxialAnisotropy",
    "Zeeman",
]
