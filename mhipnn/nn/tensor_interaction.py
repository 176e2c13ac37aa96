"""Messages that carry spins: sums over neighbours of their spin vectors and tensors, which enter by scalar products."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .interaction import Interaction
from .message_blocks import message_by_blocks
from .message_sum import message_sum
from .neighbourhood import Neighbourhood


class TensorInteraction(Interaction):
    r"""An :class:`Interaction` whose neighbours also send their spins,

    .. math:: M_i^c = \sum_j \sum_\nu s_\nu(r_{ij}) V'[\nu, c, a] z_j[a] \, T_{ij}, \qquad
              z_i[b] \leftarrow f\Big(\ldots + \sum_{c \le d} U[b, cd] \, M_i^c \cdot M_i^d \Big),

    for every kind of T that is sent (see :func:`sent_tensors`), M.M the sum of products of components. A product of two
    sums over neighbours j, k holds S_j.S_k: what a site between two others knows of their spins, in one layer. Products
    M_i.S_i are left out, since the scalar messages of l = 1 and 2 are those already.

    Args:
        n_in, n_out: number of features before and after.
        n_sensitivities: radial functions.
        n_polynomials: scalar invariants of a pair.
        n_vectors: c = 1 .. n_vectors, of each kind.
        components: how many each kind of T has.
        activation: f.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        n_sensitivities: int,
        n_polynomials: int,
        n_vectors: int,
        components: Sequence[int],
        activation: nn.Module,
    ) -> None:
        super().__init__(n_in, n_out, n_sensitivities * n_polynomials, activation)
        self.parts = [n_polynomials, *components]
        self.senders = nn.ModuleList(nn.Linear(n_sensitivities * n_in, n_vectors, bias=False) for _ in components)
        rows, columns = torch.triu_indices(n_vectors, n_vectors)
        self.register_buffer("_pairs", rows * n_vectors + columns, persistent=False)
        self.products = nn.Linear(len(components) * len(rows), n_out, bias=False)

    def forward(self, features: Tensor, sensitivities: Tensor, invariants: Tensor, neighbours: Neighbourhood) -> Tensor:
        """features (N, n_in), s_nu (N, n_nu, K), P_l and the components of T_ij (N, n, K) -> (N, n_out)."""
        scalar, *tensors = self._messages(features, sensitivities, invariants, neighbours)
        gram = [(M.mT @ M).flatten(1).index_select(1, self._pairs) for M in tensors]  # type: ignore[arg-type]
        return self.activation(scalar + self.products(torch.cat(gram, 1)) + self.self_interaction(features))

    def _messages(self, z: Tensor, s: Tensor, invariants: Tensor, neighbours: Neighbourhood) -> list[Tensor]:
        """The scalar message (N, n_out), and M of each kind (N, components, n_vectors)."""
        weights: list[Any] = [self.message.weight, *(sender.weight for sender in self.senders)]
        if neighbours.block_sites is not None:
            polynomials, *components = invariants.split(self.parts, 1)
            messages = [message_by_blocks(s, polynomials, z, weights[0], neighbours)]
            for group, weight in zip(components, weights[1:], strict=True):
                each = (message_by_blocks(s, one.contiguous(), z, weight, neighbours) for one in group.split(1, 1))
                messages.append(torch.stack(list(each), 1))
            return messages
        summed = message_sum(s, invariants, z, neighbours).unflatten(1, (s.shape[1], invariants.shape[1]))
        polynomials, *components = summed.split(self.parts, 2)
        by_component = [
            group.transpose(1, 2).flatten(2) @ w.mT for group, w in zip(components, weights[1:], strict=True)
        ]
        return [self.message(polynomials.flatten(1)), *by_component]


def n_components(spin_rank: int, bond_rank: int) -> list[int]:
    """Of the kinds of tensors that :func:`sent_tensors` gives."""
    return [3, 5][:spin_rank] + [3, 9] * bond_rank


def sent_tensors(spins: Tensor, neighbours: Neighbourhood, spin_rank: int, bond_rank: int) -> list[Tensor]:
    """What neighbours send, (N, components, K) each.

    Args:
        spins: (N, 3).
        neighbours: which site sits in which slot, and in which direction u_ij.
        spin_rank: 1, S_j; 2, also the traceless tensor of S_j, whose products are P_2(S_j.S_k).
        bond_rank: 1, also u_ij and u_ij (x) S_j, whose products are u_ij.u_ik and that times S_j.S_k; 0, neither.
    """
    near = neighbours.gather(spins)
    sent = [near, _traceless(near)][:spin_rank]
    if bond_rank:
        u = neighbours.direction
        sent += [u, (u[..., :, None] * near[..., None, :]).flatten(2)]
    return [tensor.transpose(1, 2) for tensor in sent]


def _traceless(spins: Tensor) -> Tensor:
    """3/2 (S S - |S|^2/3) in an orthonormal basis, (..., 3) -> (..., 5)."""
    x, y, z = spins.unbind(-1)
    root = math.sqrt(3)
    parts = [root * x * y, root * y * z, root * z * x, root / 2 * (x * x - y * y), z * z - (x * x + y * y) / 2]
    return torch.stack(parts, -1)
