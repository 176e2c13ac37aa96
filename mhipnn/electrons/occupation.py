"""How electrons fill levels: Fermi function, grand potential, chemical potential at fixed number.

Everything goes through log-sigmoids, which neither overflow nor lose the exponentially small tails. (torch's softplus
is no substitute: it drops exp(-20).)
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

MAX_ITERATIONS = 100


def fermi(levels: Tensor, mu: Tensor, kT: float) -> Tensor:
    """f(e) = 1/(exp((e - mu)/kT) + 1); levels (R, M), mu (R,) -> (R, M)."""
    return torch.sigmoid((mu[:, None] - levels) / kT)


def grand_potential(levels: Tensor, mu: Tensor, kT: float) -> Tensor:
    """omega(e) = -kT ln(1 + exp(-(e - mu)/kT)) of each level; levels (R, M), mu (R,) -> (R, M), energy."""
    return kT * logsigmoid((levels - mu[:, None]) / kT)


def chemical_potential(levels: Tensor, n_electrons: float, kT: float) -> Tensor:
    """mu with sum_n f(e_n) = N_e, to 1e-12.

    With m = floor(N_e) the condition reads P = Q: electrons above the m lowest levels, P = sum_{n>m} f, against holes
    below, Q = sum_{n<=m} (1 - f) + N_e - m. Newton's method on ln P - ln Q is exact in one step across a gap, where
    N(mu) - N_e itself is flat below rounding; a bracket guards the steps.

    Args:
        levels: (R, M) ascending, energy, float64.
        n_electrons: N_e, 0 < N_e < M.
        kT: electronic temperature, > 0, energy.

    Returns:
        (R,) float64.
    """
    m = math.floor(n_electrons)
    log_rest = math.log(n_electrons - m) if n_electrons > m else -math.inf
    below, above = levels[:, :m], levels[:, m:]
    # at these ends at most (at least) N_e electrons fit even if all levels sat at the band edge
    n_levels = levels.shape[1]
    low = levels[:, 0] - kT * (1 + max(0.0, math.log(n_levels / n_electrons)))
    high = levels[:, -1] + kT * (1 + max(0.0, math.log(n_levels / (n_levels - n_electrons))))
    mu = (below[:, -1] + above[:, 0]) / 2 if m > 0 and n_electrons == m else above[:, 0].clone()
    for _ in range(MAX_ITERATIONS):
        imbalance, slope = _log_imbalance(below, above, log_rest, mu, kT)
        low = torch.where(imbalance <= 0, mu, low)
        high = torch.where(imbalance >= 0, mu, high)
        new = mu - imbalance / slope
        new = torch.where((new >= low) & (new <= high), new, (low + high) / 2)
        step = (new - mu).abs()
        mu = new
        if bool((step <= 1e-13 * mu.abs().clamp(min=max(1.0, kT))).all()):
            break
    return mu


def _log_imbalance(below: Tensor, above: Tensor, log_rest: float, mu: Tensor, kT: float) -> tuple[Tensor, Tensor]:
    """ln P - ln Q and its derivative by mu, (R,) each."""
    electrons = logsigmoid((mu[:, None] - above) / kT)
    holes = logsigmoid((below - mu[:, None]) / kT)
    rest = torch.full_like(mu[:, None], log_rest)
    log_p = electrons.logsumexp(1)
    log_q = torch.cat([holes, rest], 1).logsumexp(1)
    # d ln f / d mu = (1 - f)/kT, d ln (1 - f) / d mu = -f/kT
    rise = ((electrons - log_p[:, None]).exp() * torch.sigmoid((above - mu[:, None]) / kT)).sum(1)
    fall = ((holes - log_q[:, None]).exp() * torch.sigmoid((mu[:, None] - below) / kT)).sum(1)
    return log_p - log_q, (rise + fall) / kT
