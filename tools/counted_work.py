"""How much work an operation is, by formula: products and sums, and bytes that must move if nothing moves twice."""

from __future__ import annotations

from dataclasses import dataclass

from mhipnn.nn.mhip import MHIP


@dataclass(frozen=True)
class Work:
    """FLOP, and bytes of every operand and every result once (what stays in a cache is not counted)."""

    flop: float
    bytes: float

    def __add__(self, other: Work) -> Work:
        return Work(self.flop + other.flop, self.bytes + other.bytes)

    def __mul__(self, factor: float) -> Work:
        return Work(factor * self.flop, factor * self.bytes)


@dataclass(frozen=True)
class Sizes:
    """Of a graph or batch: N sites, E directed edges; and the bytes of one number."""

    n_sites: int
    n_edges: int
    item: int = 4


def message(sizes: Sizes, n_nu: int, n_l: int, n_features: int, stored: bool = True) -> Work:
    """m[i, nu, l, a] = sum over the edges of i of s[e, nu] P[e, l] z[j(e), a]; its adjoints take as much each.

    ``stored``: m goes to memory; else the dense product with it follows in the cache.
    """
    weights, rows = n_nu * n_l, n_nu * n_l * n_features
    moved = sizes.n_edges * (n_nu + n_l) + sizes.n_sites * (n_features + rows * stored)
    joined = weights if n_l > 1 else 0
    return Work(sizes.n_edges * (joined + 2 * weights * n_features), sizes.item * moved + 8 * sizes.n_edges)


def dense(sizes: Sizes, n_in: int, n_out: int, stored: bool = True) -> Work:
    """One product of (N, n_in), in memory if ``stored``, and (n_in, n_out)."""
    moved = sizes.n_sites * (n_in * stored + n_out) + n_in * n_out
    return Work(2 * sizes.n_sites * n_in * n_out, sizes.item * moved)


def network(model: MHIP, sizes: Sizes, first: int, later: int, layers: int, stored: bool) -> Work:
    """Products of an mHIP-NN: its first sum over neighbours ``first`` times, others ``later``, dense ones ``layers``.

    Exponentials, activations and polynomials are not counted.
    """
    total, times = Work(0, 0), first
    for interaction, sensitivity, onsite in zip(model.interactions, model.sensitivities, model.onsite, strict=True):
        n_in, n_out = interaction.self_interaction.in_features, interaction.self_interaction.out_features
        n_nu, n_l = len(sensitivity.width), model.l_max + 1
        total += message(sizes, n_nu, n_l, n_in, stored) * times
        once = dense(sizes, n_nu * n_l * n_in, n_out, stored) + dense(sizes, n_in, n_out) + dense(sizes, n_out, 1)
        total += (once + dense(sizes, n_out, n_out) * (2 * len(onsite))) * layers
        times = later
    return total


def gradient_of(model: MHIP, sizes: Sizes, stored: bool = False) -> Work:
    """Energy and its gradient by spins or by positions: a sum over neighbours m(x, z) and its adjoints by x and by z.

    x is s P (the derivatives by either are the same products). The features z of the first layer are constants.
    """
    return network(model, sizes, first=2, later=3, layers=2, stored=stored)


def training_step(model: MHIP, sizes: Sizes) -> Work:
    """Energy, its gradient, and the derivative of a loss on both by all parameters.

    A sum over neighbours m(x, z): itself and two adjoints; the derivatives of the adjoints along (x', z') by x, z and
    the cotangents, 1 + 1 + 2; and those of m again, 2. A dense layer: itself, its adjoint, and the derivatives of each
    by two factors.
    """
    return network(model, sizes, first=4, later=9, layers=6, stored=True)
