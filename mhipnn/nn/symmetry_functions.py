"""Magnetic atom-centred symmetry functions: fixed numbers that say where the neighbours of a site are and point."""

from __future__ import annotations

from itertools import combinations_with_replacement
from math import comb, factorial, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from ..errors import ConfigError
from .message_sum import message_sum
from .neighbourhood import Neighbourhood
from .spin_correlation import legendre_of_neighbours

L_MAX = 2


class SymmetryFunctions(nn.Module):
    r"""Invariants of a site's neighbourhood, with nothing to learn,

    .. math:: G^{rad}_i[\nu, l, a] &= \sum_{j \in a} g_\nu(r_{ij}) P_l(S_i \cdot S_j), \qquad l = 0, 1, 2, \\
              G^{ang}_i[\nu, \lambda, \zeta, w, ab] &= \sum_{j \in a, k \in b} g_\nu(r_{ij}) g_\nu(r_{ik})
              (1 + \lambda \cos\theta_{jik})^\zeta \, w_{ijk},

    with lambda = -1, 1, zeta = 1 .. zeta_max, the weights w = 1, S_j.S_k and (S_i.S_j)(S_i.S_k), species a <= b, and
    the radial functions

    .. math:: g_\nu(r) = \exp[-(r - r_\nu)^2 / (2 \sigma^2)] \cos^2(\pi r / 2 r_{cut}),

    zero beyond r_cut, their centres evenly spaced from r_inner to r_cut and sigma that spacing. Angular sums take j = k
    along, which adds sums of g^2 over single neighbours.

    No loop over triplets: (1 + lambda cos)^zeta is a polynomial in u_j.u_k with u the unit vectors to the neighbours,
    and a weighted sum of (u_j.u_k)^n is the square of a tensor of rank n,

    .. math:: \sum_{jk} g_j g_k (u_j \cdot u_k)^n \, v_j \cdot v_k = \Big|\sum_j g_j u_j^{\otimes n} \otimes v_j\Big|^2,
              \qquad v_j = 1, \; S_j, \; S_i \cdot S_j.

    Args:
        cutoff: r_cut, length.
        n_radial: number of radial functions.
        zeta_max: highest power of an angular function.
        n_species: number of species.
        r_inner: innermost centre, about the closest approach of two sites, length.

    Source: J. Behler, J. Chem. Phys. 134, 074106 (2011) for symmetry functions of positions; M. Shi, S. Zhang,
    G.-W. Chern, arXiv:2311.16964 (2023) for weighting them with scalar products of spins.
    """

    def __init__(self, cutoff: float, n_radial: int, zeta_max: int, n_species: int, r_inner: float) -> None:
        super().__init__()
        if min(n_radial, zeta_max) < 1 or not 0 < r_inner < cutoff:
            raise ConfigError(
                f"bp: need n_radial, zeta_max >= 1 and 0 < r_inner < cutoff, got n_radial={n_radial}, "
                f"zeta_max={zeta_max}, r_inner={r_inner}, cutoff={cutoff}"
            )
        self.cutoff, self.n_radial, self.n_species = float(cutoff), n_radial, n_species
        self.width = (cutoff - r_inner) / max(n_radial - 1, 1)
        self.exponents = monomials(zeta_max)
        # From products of tensor components of rank n to (1 + lambda cos)^zeta: the binomial theorem, for every g_nu.
        functions = [(sign, zeta) for sign in (-1, 1) for zeta in range(1, zeta_max + 1)]
        ranks = [sum(powers) for powers in self.exponents]
        binomial = torch.tensor([[float(comb(zeta, n) * sign**n) for sign, zeta in functions] for n in ranks])
        expansion = torch.einsum("cf,vw->cvwf", binomial, torch.eye(n_radial)).flatten(2).flatten(0, 1)
        self.register_buffer("expansion", expansion, persistent=False)  # both are functions of the arguments
        self.register_buffer("centre", torch.linspace(r_inner, cutoff, n_radial), persistent=False)
        n_pairs = n_species * (n_species + 1) // 2
        self.n_features = n_radial * ((L_MAX + 1) * n_species + 3 * len(functions) * n_pairs)

    centre: Tensor
    expansion: Tensor

    def geometry(self, neighbours: Neighbourhood) -> list[Tensor]:
        """g (N, n_radial, K), g u^n (N, components x n_radial, K), and the angular functions of weight 1, (N, n)."""
        g = self._radial(neighbours)
        tensors = (directional(neighbours.direction, self.exponents)[:, :, None] * g[:, None]).flatten(1, 2)
        summed = message_sum(tensors, _ones(g), self._species(neighbours, g), neighbours)
        return [g, tensors, self._angular(summed[..., None])]

    def forward(self, spins: Tensor, neighbours: Neighbourhood, geometry: list[Tensor]) -> Tensor:
        """spins (N, 3) and what ``geometry`` gave -> (N, n_features)."""
        g, tensors, of_positions = geometry
        species = self._species(neighbours, g)
        radial = message_sum(g, legendre_of_neighbours(spins, neighbours, L_MAX), species, neighbours)
        sent = (species[:, :, None] * spins[:, None]).flatten(1)
        summed = message_sum(tensors, _ones(g), sent, neighbours).unflatten(2, (self.n_species, 3))
        along = (summed.flatten(1, 2) @ spins[:, :, None]).view(*summed.shape[:3], 1)
        return torch.cat([radial.flatten(1), of_positions, self._angular(summed), self._angular(along)], 1)

    def _radial(self, neighbours: Neighbourhood) -> Tensor:
        r = neighbours.distance
        inside = neighbours.mask * (r < self.cutoff)
        envelope = torch.cos(0.5 * torch.pi / self.cutoff * r) ** 2 * inside
        return torch.exp(-0.5 * ((r[:, None] - self.centre[:, None]) / self.width) ** 2) * envelope[:, None]

    def _species(self, neighbours: Neighbourhood, like: Tensor) -> Tensor:
        return one_hot(neighbours.species, self.n_species).to(like.dtype)

    def _angular(self, tensors: Tensor) -> Tensor:
        """Tensors (N, components x n_radial, species, vector) -> functions of all pairs of species, (N, n)."""
        expansion = self.expansion[:, None].expand(-1, tensors.shape[3], -1).flatten(0, 1)  # sums over the vector, too
        pairs = combinations_with_replacement(tensors.unbind(2), 2)
        return torch.cat([(one * other).flatten(1) @ expansion for one, other in pairs], 1)


def monomials(degree: int) -> list[tuple[int, int, int]]:
    """(a, b, c) of all x^a y^b z^c with a + b + c = 0 .. degree."""
    return [(n - b - c, b, c) for n in range(degree + 1) for b in range(n + 1) for c in range(n - b + 1)]


def directional(u: Tensor, exponents: list[tuple[int, int, int]]) -> Tensor:
    """x^a y^b z^c sqrt(n!/(a! b! c!)), so that sums of products over a + b + c = n are (u.u')^n.

    Args:
        u: unit vectors, (N, K, 3).
        exponents: as of ``monomials``.

    Returns:
        (N, components, K).
    """
    powers = [torch.ones_like(u)]
    for _ in range(max(sum(each) for each in exponents)):
        powers.append(powers[-1] * u)
    components = []
    for a, b, c in exponents:
        weight = sqrt(factorial(a + b + c) / (factorial(a) * factorial(b) * factorial(c)))
        components.append(weight * powers[a][..., 0] * powers[b][..., 1] * powers[c][..., 2])
    return torch.stack(components, 1)


def _ones(g: Tensor) -> Tensor:
    return g.new_ones(g.shape[0], 1, g.shape[2])
