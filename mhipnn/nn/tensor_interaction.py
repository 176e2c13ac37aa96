"""Messages that carry tensors, of spin and of space, which enter a site's features by products of two."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .harmonics import traceless
from .interaction import Interaction
from .message_sum import channel_sum
from .neighbourhood import Neighbourhood
from .pair_products import pair_products


class Tensors(NamedTuple):
    """What tensors an interaction layer sends and carries.

    ``n_vectors``: channels c of each kind; ``spin_rank``: 1, spin vectors; 2, also the traceless tensors of spins;
    ``bond_rank``: highest order of the angular functions of a bond; ``n_hidden_in``, ``n_hidden_out``: spin vectors
    that a site carries into the layer and out of it.
    """

    n_vectors: int
    spin_rank: int
    bond_rank: int
    n_hidden_in: int = 0
    n_hidden_out: int = 0


class SpinTensors(NamedTuple):
    """Of every site: ``spin`` (N, 4 or 9), the components of 1, S_i and its traceless tensor after one another;
    ``hidden`` (N, 3, n_carried), the vectors that it carries, or None."""

    spin: Tensor
    hidden: Tensor | None = None

    @classmethod
    def of(cls, spins: Tensor, spin_rank: int) -> SpinTensors:
        """Of spins (N, 3); where they are not of unit length, the tensor is that of S_i times |S_i|."""
        return cls(torch.cat([torch.ones_like(spins[:, :1]), spins, traceless(spins)][: spin_rank + 1], 1))


class TensorInteraction(Interaction):
    r"""An :class:`Interaction` whose neighbours also send tensors. For each order l = 0 .. bond_rank of a bond,

    .. math:: M_i^{l c} = \sum_j Y_l(\hat r_{ij}) R_{l c}(r_{ij}) \, w_j^{l c}, \qquad
              R_{lc}(r) = \sum_\nu A[l, \nu, c] s_\nu(r), \qquad w_j^{lc} = \sum_a V[l, c, a] z_j[a] \, T_j,

    with T = 1, the spin S_j, and the traceless tensor of it if ``spin_rank`` is 2 (l = 0 leaves out T = 1: it is in the
    scalar messages). They enter the features by all products of two channels that are invariant under rotations of
    spins and of space separately: M.M of the same kind, and, since S_i.M is a scalar of the spins, (S_i.M).(S_i.M) and
    (S_i.M).M^{T=1}. Products of two sums over neighbours j, k hold S_j.S_k and the angle between the bonds: what a site
    in a triangle knows of the two others, in one layer.

    With hidden vectors H_i^h, which turn with the spins, neighbours send S_j and H_j mixed, products of M, H_i and S_i
    for l = 0 enter as well, and the layer gives new ones: a mixture of M^{l=0}, of \sum_m M^{T=1}_m M^{T=S}_m for l > 0
    and of the old ones, each times a gate \sum_b G[h, b] z_i[b].

    Args:
        n_in, n_out: number of features before and after.
        n_sensitivities: s_nu.
        n_messages: products of a sensitivity and a polynomial in the scalar message.
        tensors: which tensors.
        activation: of the features.
        separate: see :class:`Interaction`.

    Source: angular functions in HIP-NN: Chigaev et al., J. Chem. Phys. 158, 184108 (2023); the product of all pairs of
    channels is the two-body-order step of the atomic cluster expansion, Drautz, Phys. Rev. B 99, 014104 (2019).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_sensitivities: int,
        n_messages: int,
        tensors: Tensors,
        activation: nn.Module,
        separate: bool = False,
    ) -> None:
        super().__init__(n_in, n_out, n_messages, activation, separate)
        c, kinds, orders, hidden = tensors.n_vectors, tensors.spin_rank + 1, tensors.bond_rank + 1, tensors.n_hidden_in
        self.tensors = tensors
        self.radial = nn.Parameter(torch.randn(orders, n_sensitivities, c) / n_sensitivities**0.5)
        self.senders = nn.ModuleList(nn.Linear(n_in, (kinds - (order == 0)) * c) for order in range(orders))
        self.hidden_senders = nn.ModuleList(nn.Linear(hidden, c, bias=False) for _ in range(orders if hidden else 0))
        at_zero = [c + hidden + 1 if hidden else c] + [c] * (tensors.spin_rank - 1)
        beyond = [kinds * c] + [c] * tensors.spin_rank
        sizes = at_zero + beyond * tensors.bond_rank
        n_products = sum(size * (size + 1) // 2 for size in sizes) - (hidden > 0)
        self.products = nn.Linear(n_products, n_out, bias=False)
        if tensors.n_hidden_out:
            self.mixture = nn.Linear(orders * c + hidden, tensors.n_hidden_out, bias=False)
            self.gate = nn.Linear(n_out, tensors.n_hidden_out)

    def radial_functions(self, sensitivities: Tensor, neighbours: Neighbourhood) -> list[Tensor]:
        """R_l of every slot, (N, K, n_vectors) for each order, zero in empty slots: a function of the geometry."""
        s = torch.where(neighbours.mask[:, None] > 0, sensitivities, 0).transpose(1, 2)
        return [s @ weights for weights in self.radial]

    def forward(  # type: ignore[override]
        self,
        features: Tensor,
        sensitivities: Tensor,
        polynomials: Tensor,
        neighbours: Neighbourhood,
        radial: list[Tensor],
        angular: list[Tensor],
        sites: SpinTensors,
    ) -> tuple[Tensor, Tensor | None]:
        """features (N, n_in), s_nu (N, n_nu, K), P_l (N, n_l, K), R_l, Y_l (N, 2l+1, K) -> features (N, n_out), H."""
        scalar = self._message(features, sensitivities, polynomials, neighbours)
        messages = [
            channel_sum(R, Y, self._sent(order, features, sites), neighbours).unflatten(2, (-1, R.shape[2]))
            for order, (R, Y) in enumerate(zip(radial, angular, strict=True))
        ]
        products = self._products_at_zero(messages[0], sites)
        for M in messages[1:]:
            products += self._products(M, sites.spin)
        mixed = self.products(torch.cat(products, 1))
        new = self.activation(scalar + mixed + self.self_interaction(features))
        return new, self._new_hidden(messages, sites.hidden, new) if self.tensors.n_hidden_out else None

    def _sent(self, order: int, features: Tensor, sites: SpinTensors) -> Tensor:
        """w_j of one order, (N, components x n_vectors)."""
        weights = self.senders[order](features).unflatten(1, (-1, self.tensors.n_vectors)).unbind(1)
        tensors = sites.spin.split(_sizes(self.tensors.spin_rank), 1)[order == 0 :]
        sent = [w[:, None] * tensor[:, :, None] for w, tensor in zip(weights, tensors, strict=True)]
        if sites.hidden is not None:
            vectors = int(order > 0)  # where they stand: after the scalars, if there are any
            sent[vectors] = sent[vectors] + self.hidden_senders[order](sites.hidden)
        return torch.cat(sent, 1).flatten(1)

    def _products_at_zero(self, message: Tensor, sites: SpinTensors) -> list[Tensor]:
        """Of l = 0, whose message (N, 1, components, C) begins with the spin vectors."""
        vectors, *rest = message[:, 0].split(_sizes(self.tensors.spin_rank)[1:], 1)
        if sites.hidden is not None:
            vectors = torch.cat([vectors, sites.hidden, sites.spin[:, 1:4, None]], 2)
        products = [pair_products(tensor) for tensor in [vectors, *rest]]
        if sites.hidden is not None:
            products[0] = products[0][:, :-1]  # not S_i.S_i, which knows nothing and would make a field along S_i
        return products

    def _products(self, message: Tensor, spin: Tensor) -> list[Tensor]:
        """Of l > 0: message (N, 2l+1, components, C)."""
        parts = message.split(_sizes(self.tensors.spin_rank), 2)
        own = spin.split(_sizes(self.tensors.spin_rank), 1)
        scalars = [(part * mine[:, None, :, None]).sum(2) for part, mine in zip(parts, own, strict=True)]
        return [pair_products(torch.cat(scalars, 2)), *(pair_products(part.flatten(1, 2)) for part in parts[1:])]

    def _new_hidden(self, messages: list[Tensor], hidden: Tensor | None, features: Tensor) -> Tensor:
        vectors = [messages[0][:, 0, :3]] + [(M[:, :, :1] * M[:, :, 1:4]).sum(1) for M in messages[1:]]
        if hidden is not None:
            vectors.append(hidden)
        return self.mixture(torch.cat(vectors, 2)) * self.gate(features)[:, None]


def _sizes(spin_rank: int) -> list[int]:
    """Components of 1, a spin, and its traceless tensor."""
    return [1, 3, 5][: spin_rank + 1]
