"""Fields of mhip_ts and mhip_eq at frozen sites on a CPU: ``compiled_mhip`` with the tensors of neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from .chemical_potential import CompiledCharges
from .compiled_hidden import HiddenVectors
from .compiled_mhip import Block, added, read
from .kernels import cpu_senders, cpu_spins, cpu_tensors
from .kernels.compiled import array
from .neighbourhood import Neighbourhood
from .tensor_interaction import TensorInteraction, Tensors


class CompiledMHIPTS:
    """Site terms and the gradient of their sum; one call at a time: the buffers are the object's own.

    Args:
        blocks: interaction, on-site layers and readout of every block; their parameters are copied.
        charges: readings of every block of the shared chemical potential; none without.
        l_max: highest Legendre order.
        n_species: length of the features that enter the first block.
        neighbours: the frozen geometry, on a CPU.
        couplings: sensitivities of every block, Y_l of every order, then R_l of every block and order.
    """

    def __init__(
        self,
        blocks: Iterable[tuple[TensorInteraction, nn.Sequential, nn.Linear]],
        charges: Sequence[nn.Linear],
        l_max: int,
        n_species: int,
        neighbours: Neighbourhood,
        couplings: list[Tensor],
    ) -> None:
        self._charges = CompiledCharges(charges, neighbours) if charges else None
        self._where = array(neighbours.index), array(neighbours.counts)
        n_sites, width = self._where[0].shape
        features = array(one_hot(neighbours.species, n_species).to(neighbours.distance.dtype))
        self._P = np.zeros((n_sites, l_max + 1, width), features.dtype)
        self._of_P = np.zeros_like(self._P)
        layers = list(blocks)
        tensors = layers[0][0].tensors
        orders = tensors.bond_rank + 1
        sensitivities, angular = couplings[: len(layers)], couplings[len(layers) : len(layers) + orders]
        radial = couplings[len(layers) + orders :]
        Y = array(torch.cat(angular, 1))
        self._T = np.ones((n_sites, (tensors.spin_rank + 1) ** 2), features.dtype)
        self._of_T = np.empty_like(self._T)
        H = np.empty((n_sites, 3, 0), features.dtype)
        self._blocks: list[_TensorBlock] = []
        for place, ((interaction, onsite, readout), s) in enumerate(zip(layers, sensitivities, strict=True)):
            R = array(torch.cat(radial[place * orders : (place + 1) * orders], 2))
            self._blocks.append(_TensorBlock(interaction, onsite, readout, array(s), features, R, Y, H))
            features, H = self._blocks[-1].features, self._blocks[-1].vectors

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Spins (N, 3) -> e_i^(n), (N, n_terms), and the gradient of their sum by the spins, (N, 3)."""
        vectors = array(spins)
        cpu_spins.legendre_into(vectors, *self._where, self._P)
        cpu_senders.tensors_of_spins(vectors, self._T)
        for block in self._blocks:
            block.forward_with(self._P, self._T, *self._where)
        self._of_T[:] = 0
        terms, of_charges = read(self._blocks, self._charges)
        of_features = of_vectors = np.empty((0, 0), vectors.dtype)
        for block in reversed(self._blocks):
            last, first = block is self._blocks[-1], block is self._blocks[0]
            block.of_vectors = of_vectors
            of_features = block.backward(
                added(of_features, of_charges.pop()), self._P, *self._where, self._of_P, not last, not first
            )
            of_vectors = block.tensors_backward(of_features, self._T, *self._where, self._of_T)
        gradient = np.zeros_like(vectors)
        cpu_spins.adjoint_into(vectors, self._of_P, *self._where, gradient)
        cpu_senders.adjoint_of_spins(vectors, self._of_T, gradient)
        return torch.from_numpy(terms), torch.from_numpy(gradient)


class _TensorBlock(Block):
    """A block of ``compiled_mhip`` whose message also holds the products of tensors."""

    def __init__(
        self,
        interaction: TensorInteraction,
        onsite: nn.Sequential,
        readout: nn.Linear,
        s: np.ndarray,
        z: np.ndarray,
        R: np.ndarray,
        Y: np.ndarray,
        H: np.ndarray,
    ) -> None:
        super().__init__(interaction, onsite, readout, s, z)
        tensors = interaction.tensors
        self._R, self._Y, n_sites = R, Y, len(z)
        self._plan, self._spans, sizes = _plan(tensors)
        C, width = tensors.n_vectors, int(self._spans[-1, 0] + self._spans[-1, 1] * tensors.n_vectors)
        senders: list[Any] = list(interaction.senders)
        hidden_senders: list[Any] = list(interaction.hidden_senders)
        self._senders = array(torch.cat([layer.weight for layer in senders])).copy()
        self._send_bias = array(torch.cat([layer.bias for layer in senders])).copy()
        self._senders_turned = np.ascontiguousarray(self._senders.T)
        products = _whole(interaction.products.weight, sizes)
        self._products, self._doubled = np.ascontiguousarray(array(products).T), array(2 * products)
        n_M = int((self._plan[:, 3] * (2 * self._plan[:, 0] + 1)).sum()) * C
        self._weights = np.empty((n_sites, len(self._senders)), z.dtype)
        self._w, self._of_w = np.empty((n_sites, width), z.dtype), np.empty((n_sites, width), z.dtype)
        self._M, self._of_M = np.empty((n_sites, n_M), z.dtype), np.empty((0, n_M), z.dtype)
        self._H, self._of_H = H, np.empty_like(H)
        weights = [layer.weight for layer in hidden_senders]
        self._B = array(torch.stack(weights)).copy() if weights else np.empty((len(self._spans), C, 0), z.dtype)
        self._B_turned = np.ascontiguousarray(self._B.transpose(0, 2, 1))
        self._hidden: HiddenVectors | None = None
        if tensors.n_hidden_out:
            self._hidden = HiddenVectors(interaction, self._plan, self._M, H, self._given[0])
        self.vectors = H if self._hidden is None else self._hidden.vectors
        self.of_vectors = np.empty((0, 0), z.dtype)

    def forward_with(self, P: np.ndarray, T: np.ndarray, index: np.ndarray, counts: np.ndarray) -> None:
        self.sum(P, index, counts)
        send = (self._z, T, self._H, self._senders_turned, self._send_bias, self._B_turned, self._plan)
        cpu_senders.send(*send, self._weights, self._w)
        geometry = (index, counts, self._plan, self._spans)
        cpu_tensors.tensors_into(
            self._R, self._Y, self._w, T, self._H, *geometry, self._products, self._M, self._message
        )
        self.refine()
        if self._hidden is not None:
            self._hidden.forward()

    def add_others(self, of_z: np.ndarray) -> None:
        self._of_H[:] = 0
        if self._hidden is not None:
            self._of_M = self._hidden.backward(self.of_vectors, self._message, self._of_H, of_z)

    def tensors_backward(
        self, of_z: np.ndarray, T: np.ndarray, index: np.ndarray, counts: np.ndarray, of_T: np.ndarray
    ) -> np.ndarray:
        """What tensors add to the derivatives by z and T; returns those by the hidden vectors."""
        self._of_w[:] = 0
        given = (self._R, self._Y, self._M, T, self._H, index, counts, self._plan, self._spans, self._doubled)
        cpu_tensors.adjoint(*given, self._message, self._of_M, self._of_w, of_T, self._of_H)
        cpu_senders.adjoint(self._of_w, self._weights, T, self._senders, self._B, self._plan, of_T, of_z, self._of_H)
        return self._of_H


def _plan(tensors: Tensors) -> tuple[np.ndarray, np.ndarray, list[int]]:
    """``plan`` and ``spans`` of the kernels, and how many channels each matrix of products has."""
    C, kinds, hidden = tensors.n_vectors, tensors.spin_rank + 1, tensors.n_hidden_in
    plan, spans, sizes = [], [], []
    at_w = at_M = at_products = 0
    for order in range(tensors.bond_rank + 1):
        first = at_w
        at_own = at_products
        if order:
            sizes.append(kinds * C)
            at_products += sizes[-1] ** 2
        for kind in range(order == 0, kinds):
            n = 2 * kind + 1
            plan.append((order, kind, kind * kind, n, at_w, at_M, at_products))
            at_w, at_M = at_w + n * C, at_M + (2 * order + 1) * n * C
            if kind:
                sizes.append(C + hidden + 1 if hidden and not order and kind == 1 else C)
                at_products += sizes[-1] ** 2
        spans.append((first, (at_w - first) // C, at_own))
    return np.array(plan), np.array(spans), sizes


def _whole(weight: Tensor, sizes: list[int]) -> Tensor:
    """Weights of the products a <= b of every matrix -> symmetric weights of all a, b: (n_out, sum of size^2)."""
    missing = sum(size * (size + 1) // 2 for size in sizes) - weight.shape[1]  # S_i.S_i, the last of the first matrix
    first = sizes[0] * (sizes[0] + 1) // 2 - missing
    weight = torch.cat([weight[:, :first], weight.new_zeros(len(weight), missing), weight[:, first:]], 1)
    parts = []
    for size, part in zip(sizes, weight.split([size * (size + 1) // 2 for size in sizes], 1), strict=True):
        rows, columns = torch.triu_indices(size, size)
        upper = part.new_zeros(len(part), size, size)
        upper[:, rows, columns] = part / 2
        parts.append((upper + upper.mT).flatten(1))
    return torch.cat(parts, 1)
