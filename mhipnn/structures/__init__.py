"""Disordered sites, spin samplers and periodic neighbour lists."""

from .neighbours import Edges, neighbour_list
from .random_sites import RandomSites, random_sites
from .spins import RandomSpins, SpinSampler, random_spins

__all__ = ["Edges", "RandomSites", "RandomSpins", "SpinSampler", "neighbour_list", "random_sites", "random_spins"]
