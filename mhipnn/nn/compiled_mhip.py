"""The field of an mhip at frozen sites on a CPU: its kernels one after the other, with the gradient written by hand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot
from torch.nn.utils import parameters_to_vector

from .chemical_potential import CompiledCharges
from .interaction import Interaction
from .kernels import cpu_layer, cpu_refinement, cpu_spins
from .kernels.compiled import array
from .neighbourhood import Neighbourhood


class CompiledMHIP:
    """Site terms and the gradient of their sum: what autograd does, without its records and with every buffer kept.

    One call at a time: the buffers are the object's own.

    Args:
        blocks: interaction, on-site layers and readout of every block; their parameters are copied.
        charges: readings of every block of the shared chemical potential; none without.
        l_max: highest Legendre order.
        n_species: length of the features that enter the first block.
        neighbours: the frozen geometry, on a CPU.
        couplings: sensitivities of every block, (N, n_nu, K).
    """

    def __init__(
        self,
        blocks: Iterable[tuple[Interaction, nn.Sequential, nn.Linear]],
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
        self._blocks: list[Block] = []
        for (interaction, onsite, readout), s in zip(blocks, couplings, strict=True):
            self._blocks.append(Block(interaction, onsite, readout, array(s), features))
            features = self._blocks[-1].features

    def __call__(self, spins: Tensor) -> tuple[Tensor, Tensor]:
        """Spins (N, 3) -> e_i^(n), (N, n_terms), and the gradient of their sum by the spins, (N, 3)."""
        vectors = array(spins)
        cpu_spins.legendre_into(vectors, *self._where, self._P)
        for block in self._blocks:
            block.forward(self._P, *self._where)
        terms, of_charges = read(self._blocks, self._charges)
        of_features = np.empty((0, 0), vectors.dtype)
        for block in reversed(self._blocks):
            last, first = block is self._blocks[-1], block is self._blocks[0]
            of_features = block.backward(
                added(of_features, of_charges.pop()), self._P, *self._where, self._of_P, not last, not first
            )
        gradient = np.zeros_like(vectors)
        cpu_spins.adjoint_into(vectors, self._of_P, *self._where, gradient)
        return torch.from_numpy(terms), torch.from_numpy(gradient)


def read(blocks: Sequence[Block], charges: CompiledCharges | None) -> tuple[np.ndarray, list[np.ndarray]]:
    """Site terms (N, n_terms), and what charges add to the derivatives by the features of every block (or no rows)."""
    terms = [block.terms for block in blocks]
    if charges is None:
        return np.stack(terms, axis=1), [block.features[:0] for block in blocks]
    shared, of_features = charges([block.features for block in blocks])
    return np.stack([*terms, shared], axis=1), of_features


def added(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The sum of two derivatives, each of which may have no rows."""
    return a + b if len(a) and len(b) else a if len(a) else b


class Block:
    """Parameters and buffers of one block; ``z``, the features that it is given, belong to the block before."""

    def __init__(
        self, interaction: Interaction, onsite: nn.Sequential, readout: nn.Linear, s: np.ndarray, z: np.ndarray
    ) -> None:
        self._s, self._z = s, z
        self._V = array(interaction.message.weight).copy()
        self._turned = np.ascontiguousarray(self._V.T)
        layers: list[Any] = [interaction.self_interaction]
        layers += [linear for layer in onsite for linear in (layer.expand, layer.project)]
        parameters = parameters_to_vector(p for layer in (*layers, readout) for p in (layer.weight, layer.bias))
        self._parameters = array(parameters).copy()
        n_sites, n_out = len(z), len(self._V)
        self._message = np.empty((n_sites, n_out), z.dtype)  # on the way back, the derivative by it
        self._given = np.empty((1 + len(onsite), n_sites, n_out), z.dtype)
        self.features = np.empty((n_sites, n_out), z.dtype)
        self.terms = np.empty(n_sites, z.dtype)

    def forward(self, P: np.ndarray, index: np.ndarray, counts: np.ndarray) -> None:
        self.sum(P, index, counts)
        self.refine()

    def sum(self, P: np.ndarray, index: np.ndarray, counts: np.ndarray) -> None:
        cpu_layer.message_into(self._s, P, self._z, self._turned, index, counts, self._message)

    def refine(self) -> None:
        cpu_refinement.refine(self._message, self._z, self._parameters, self._given, self.features, self.terms)

    def backward(
        self,
        of_features: np.ndarray,
        P: np.ndarray,
        index: np.ndarray,
        counts: np.ndarray,
        of_P: np.ndarray,
        add_to_P: bool,
        for_z: bool,
    ) -> np.ndarray:
        """Derivatives by P, into ``of_P``, and by the features before, which are returned."""
        of_z = np.empty((len(self._z) if for_z else 0, self._z.shape[1]), P.dtype)
        cpu_refinement.adjoint(of_features, self._parameters, self._given, self._message, of_z)
        self.add_others(of_z)
        arrays = [self._s, P, self._z, self._V, self._message, index, counts, P[:0], of_P, of_z]
        cpu_layer.adjoint_into(arrays, False, 1, for_z, add_to_P)  # P_0 is a constant
        return of_z

    def add_others(self, of_z: np.ndarray) -> None:
        """What else the new features enter, added to the derivatives by the message and by z; here nothing."""
