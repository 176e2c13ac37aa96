"""Disordered sites, spin samplers and periodic neighbour lists."""

from .disorder import RandomSites, random_sites
from .neighbours import Edges, neighbour_list
from .spins import RandomSpins, SpinSampler, random_spins

__all__ = ["Edges", "RandomSites", "RandomSpins", "SpinSampler", "neighbour_list", "random_sites", "random_spins"]
