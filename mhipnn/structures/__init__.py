"""Disordered sites, lattices, spin samplers and periodic neighbour lists."""

from .amorphous import Amorphous
from .boltzmann import BoltzmannSpins
from .crystal import Crystal, DilutedLattice, DisplacedLattice
from .disorder import RandomSites, random_sites
from .exchange import Exchange, ExponentialExchange, ShellExchange
from .lattice import LATTICES
from .neighbours import Edges, neighbour_list
from .ordered import OrderedSpins, canted
from .species import Species
from .spins import RandomSpins, SpinSampler, random_spins

__all__ = [
    "LATTICES",
    "Amorphous",
    "BoltzmannSpins",
    "Crystal",
    "DilutedLattice",
    "DisplacedLattice",
    "Edges",
    "Exchange",
    "ExponentialExchange",
    "OrderedSpins",
    "RandomSites",
    "RandomSpins",
    "ShellExchange",
    "Species",
    "SpinSampler",
    "canted",
    "neighbour_list",
    "random_sites",
    "random_spins",
]
