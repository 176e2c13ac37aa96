"""The hidden spin vectors that a layer of an mhip_eq hands on, and the adjoint, for fields at frozen sites on a CPU."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from .tensor_interaction import TensorInteraction


class HiddenVectors:
    """H' = mixture of (M^{l=0}, sum_m M^{T=1}_m M^{T=S}_m of l > 0, H) times gates of the new features.

    Args:
        interaction: the layer; its parameters are copied.
        plan: of the layer's senders, see ``kernels.cpu_senders``.
        M: the buffer of the layer's tensors, (N, n_M).
        H: the hidden vectors that come in, (N, 3, h), h = 0 for none.
        x: what the activation of the new features is given, (N, n_out).
    """

    def __init__(
        self, interaction: TensorInteraction, plan: np.ndarray, M: np.ndarray, H: np.ndarray, x: np.ndarray
    ) -> None:
        C = interaction.tensors.n_vectors
        self._mixture = interaction.mixture.weight.detach().clone()
        self._gate, self._bias = interaction.gate.weight.detach().clone(), interaction.gate.bias.detach().clone()
        self._self = interaction.self_interaction.weight.detach().clone()
        self._H, self._x = torch.from_numpy(H), torch.from_numpy(x)
        self._of_M = np.zeros_like(M)
        self._tensors, self._of_tensors = (_tensors(torch.from_numpy(a), plan, C) for a in (M, self._of_M))
        self.vectors = np.empty((len(M), 3, len(self._mixture)), M.dtype)

    def forward(self) -> None:
        """Into ``vectors``, (N, 3, n_hidden_out)."""
        first, *pairs = self._tensors
        parts = [first[0][:, 0], *((scalars * vectors).sum(1) for scalars, vectors in pairs), self._H]
        self._mixed = linear(torch.cat(parts, 2), self._mixture)
        self._gates = linear(torch.nn.functional.silu(self._x), self._gate, self._bias)[:, None]
        torch.mul(self._mixed, self._gates, out=torch.from_numpy(self.vectors))

    def backward(self, of_vectors: np.ndarray, of_x: np.ndarray, of_H: np.ndarray, of_z: np.ndarray) -> np.ndarray:
        """Derivatives of sum of_vectors vectors: by M, which are returned, and added to those by x, H and z.

        ``of_z`` may have no rows: not wanted.
        """
        given, C = torch.from_numpy(of_vectors), self._tensors[0][0].shape[3]
        parts = ((given * self._gates) @ self._mixture).split(C, 2)
        of_new = (given * self._mixed).sum(1) @ self._gate
        by_x = torch.ops.aten.silu_backward(of_new, self._x)
        torch.from_numpy(of_x).add_(by_x)
        if len(of_z):
            torch.from_numpy(of_z).addmm_(by_x, self._self)
        self._of_tensors[0][0][:, 0] = parts[0]
        n_orders = len(self._tensors)
        for place in range(1, n_orders):
            (scalars, vectors), (of_scalars, of_pair) = self._tensors[place], self._of_tensors[place]
            of_part = parts[place][:, None]
            torch.mul(scalars, of_part, out=of_pair)
            torch.sum(vectors * of_part, 2, keepdim=True, out=of_scalars)
        if of_H.size:
            torch.from_numpy(of_H).add_(torch.cat(parts[n_orders:], 2))
        return self._of_M


def _tensors(M: Tensor, plan: np.ndarray, C: int) -> list[tuple[Tensor, ...]]:
    """Views of M: the spin vectors (N, 1, 3, C) of order 0; (N, 2l+1, 1, C) and (N, 2l+1, 3, C) of each other one."""
    views: dict[int, list[Tensor]] = {}
    for order, kind, _, n, _, at, _ in plan.tolist():
        if kind < 2:
            part = M[:, at : at + (2 * order + 1) * n * C].unflatten(1, (2 * order + 1, n, C))
            views.setdefault(order, []).append(part)
    return [tuple(views[order]) for order in sorted(views)]
