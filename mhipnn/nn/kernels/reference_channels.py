"""The channel sum and its adjoint in PyTorch: what the compiled kernels are tested against, and the form for GPUs."""

from __future__ import annotations

import torch
from torch import Tensor


def message_sum(R: Tensor, Y: Tensor, w: Tensor, index: Tensor, counts: Tensor, into: Tensor | None = None) -> Tensor:
    """M[i, m, (q, c)] = sum_k Y[i, m, k] R[i, k, c] w[j(i, k), (q, c)].

    Args:
        R: radial functions, (B, K, C).
        Y: angular functions, (B, n_m, K).
        w: what sites send, (N, Q C).
        index: j(i, k), (B, K).
        counts: number of filled slots of each site, (B,); the slots from there on do not count, but must be finite.
        into: add to this and return it.

    Returns:
        (B, n_m, Q C).
    """
    summed = torch.bmm(Y, _near(R, w, index, counts))
    return summed if into is None else into.add_(summed)


def adjoint(
    R: Tensor, Y: Tensor, w: Tensor, c: Tensor, index: Tensor, counts: Tensor,
    for_R: bool, for_Y: bool, of_w: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """Derivatives of sum_{i m p} c[i, m, p] M[i, m, p].

    Args:
        R, Y, w, index, counts: as in ``message_sum``.
        c: (B, n_m, Q C).
        for_R, for_Y: which derivatives are wanted.
        of_w: where that for w is added to, (N, Q C), or None.

    Returns:
        The derivatives with respect to R (B, K, C) and Y (B, n_m, K), zero in empty slots, or None.
    """
    of_R = of_Y = None
    if for_Y:
        of_Y = torch.bmm(c, _near(R, w, index, counts).transpose(1, 2))
    if for_R or of_w is not None:
        listened = (torch.bmm(Y.transpose(1, 2), c) * _filled(index, counts)).unflatten(2, (-1, R.shape[2]))
        if for_R:
            of_R = (listened * _gather(w, index).unflatten(2, (-1, R.shape[2]))).sum(2)
        if of_w is not None:
            of_w.index_add_(0, index.reshape(-1), (listened * R[:, :, None]).flatten(2).flatten(0, 1))
    return of_R, of_Y


def _near(R: Tensor, w: Tensor, index: Tensor, counts: Tensor) -> Tensor:
    sent = _gather(w, index).unflatten(2, (-1, R.shape[2])) * R[:, :, None]
    return sent.flatten(2) * _filled(index, counts)


def _gather(w: Tensor, index: Tensor) -> Tensor:
    return w.index_select(0, index.reshape(-1)).view(*index.shape, w.shape[1])


def _filled(index: Tensor, counts: Tensor) -> Tensor:
    return (torch.arange(index.shape[1], device=index.device) < counts[:, None])[..., None]
