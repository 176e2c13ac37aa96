"""The message sum and its adjoint in PyTorch: what the other kernels are tested against, and their fallback."""

from __future__ import annotations

import torch
from torch import Tensor


def message_sum(s: Tensor, P: Tensor, z: Tensor, index: Tensor, counts: Tensor, into: Tensor | None = None) -> Tensor:
    """m[i, (nu, l), a] = sum_k s[i, nu, k] P[i, l, k] z[j(i, k), a].

    Args:
        s: sensitivities, (B, n_nu, K).
        P: spin invariants, (B, n_l, K).
        z: features, (N, F).
        index: j(i, k), (B, K).
        counts: number of filled slots of each site, (B,); the slots from there on do not count, but must be finite.
        into: add to this and return it.

    Returns:
        (B, n_nu n_l, F).
    """
    summed = torch.bmm(_joined(s, P), _near(z, index, counts))
    return summed if into is None else into.add_(summed)


def adjoint(
    s: Tensor, P: Tensor, z: Tensor, c: Tensor, index: Tensor, counts: Tensor,
    for_s: bool, for_P: bool, of_z: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """Derivatives of sum_{i p a} c[i, p, a] m[i, p, a].

    Args:
        s, P, z, index, counts: as in ``message_sum``.
        c: (B, n_nu n_l, F).
        for_s, for_P: which derivatives are wanted.
        of_z: where that for z is added to, (N, F), or None.

    Returns:
        The derivatives with respect to s (B, n_nu, K) and P (B, n_l, K), zero in empty slots, or None.
    """
    of_s = of_P = None
    near = _near(z, index, counts)
    if for_s or for_P:
        products = torch.bmm(c, near.transpose(1, 2)).view(len(s), s.shape[1], P.shape[1], index.shape[1])
        of_s = (products * P[:, None]).sum(2) if for_s else None
        of_P = (products * s[:, :, None]).sum(1) if for_P else None
    if of_z is not None:
        slots = torch.bmm(_joined(s, P).transpose(1, 2), c) * _filled(index, counts)
        of_z.index_add_(0, index.reshape(-1), slots.flatten(0, 1))
    return of_s, of_P


def _joined(s: Tensor, P: Tensor) -> Tensor:
    return (s[:, :, None] * P[:, None]).flatten(1, 2)


def _near(z: Tensor, index: Tensor, counts: Tensor) -> Tensor:
    return z.index_select(0, index.reshape(-1)).view(*index.shape, z.shape[1]) * _filled(index, counts)


def _filled(index: Tensor, counts: Tensor) -> Tensor:
    return (torch.arange(index.shape[1], device=index.device) < counts[:, None])[..., None]
