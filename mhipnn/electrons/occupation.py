"""How electrons fill levels: Fermi function, grand potential, chemical potential at fixed number; steps at kT = 0.

Everything at kT > 0 goes through log-sigmoids, which neither overflow nor lose the exponentially small tails.
(torch's softplus is no substitute: it drops exp(-20).)
"""

from __future__ import annotations

import math
import warnings

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

MAX_ITERATIONS = 100


class DegeneracyWarning(UserWarning):
    """At zero temperature the last electrons share levels of one energy: fields are not a gradient there."""


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
    below, above = levels[:, :m], levels[:, m:]
    log_rest = torch.full_like(levels[:, :1], math.log(n_electrons - m)) if n_electrons > m else None
    # at these ends at most (at least) N_e electrons fit even if all levels sat at the band edge
    n_levels = levels.shape[1]
    # the bracket is a matter of one number per replica: numpy does it with less ado than torch
    edges = levels[:, [max(m - 1, 0), m, 0, -1]].cpu().numpy().T
    low = edges[2] - kT * (1 + max(0.0, math.log(n_levels / n_electrons)))
    high = edges[3] + kT * (1 + max(0.0, math.log(n_levels / (n_levels - n_electrons))))
    mu = (edges[0] + edges[1]) / 2 if m > 0 and n_electrons == m else edges[1].copy()
    for _ in range(MAX_ITERATIONS):
        at = torch.as_tensor(mu, device=levels.device)
        imbalance, slope = _log_imbalance(below, above, log_rest, at, kT).cpu().numpy()
        low = np.where(imbalance <= 0, mu, low)
        high = np.where(imbalance >= 0, mu, high)
        with np.errstate(divide="ignore", invalid="ignore"):
            new = mu - imbalance / slope
        new = np.where((new >= low) & (new <= high), new, (low + high) / 2)
        step = np.abs(new - mu)
        mu = new
        if (step <= 1e-13 * np.maximum(np.abs(mu), max(1.0, kT))).all():
            break
    return torch.as_tensor(mu, device=levels.device)


def _log_imbalance(below: Tensor, above: Tensor, log_rest: Tensor | None, mu: Tensor, kT: float) -> Tensor:
    """ln P - ln Q and its derivative by mu, (2, R)."""
    x_above, x_below = (mu[:, None] - above) / kT, (below - mu[:, None]) / kT
    electrons, holes = logsigmoid(x_above), logsigmoid(x_below)
    log_p = electrons.logsumexp(1)
    log_q = (holes if log_rest is None else torch.cat([holes, log_rest], 1)).logsumexp(1)
    # d ln f / d mu = (1 - f)/kT, d ln (1 - f) / d mu = -f/kT
    rise = ((electrons - log_p[:, None]).exp() * torch.sigmoid(-x_above)).sum(1)
    fall = ((holes - log_q[:, None]).exp() * torch.sigmoid(-x_below)).sum(1)
    return torch.stack([log_p - log_q, (rise + fall) / kT])


def fermi_level(levels: Tensor, n_electrons: int) -> Tensor:
    """mu at kT = 0: the middle between the last filled and the first empty level, (R,); levels (R, M) ascending."""
    return (levels[:, n_electrons - 1] + levels[:, n_electrons]) / 2


def step_filling(levels: Tensor, mu: Tensor, tolerance: Tensor, n_electrons: int | None) -> tuple[Tensor, Tensor]:
    """f(e) at kT = 0, (R, M): 1 below mu, 0 above; levels within ``tolerance`` of mu share what is left alike.

    That is the limit of the Fermi function at fixed N_e. Where N_e is not fixed, a level at mu is half filled.

    Args:
        levels: (R, M) ascending, energy, float64.
        mu: (R,), energy.
        tolerance: (R,), energy: levels closer to mu than this count as equal.
        n_electrons: N_e, or None at fixed mu.

    Returns:
        f, and which levels share, (R, M) bool.
    """
    distance = levels - mu[:, None]
    shared = distance.abs() <= tolerance[:, None]
    filled = ((distance < 0) & ~shared).to(levels.dtype)
    if n_electrons is None:
        share = torch.full_like(mu, 0.5)
    else:
        share = (n_electrons - filled.sum(1)) / shared.sum(1).clamp(min=1)
    return torch.where(shared, share[:, None], filled), shared


def level_resolution(levels: Tensor, computed_in: torch.dtype) -> Tensor:
    """How close levels must be to count as one, (R,): far above rounding and far below the gaps of disorder.

    eps^(2/3) of the band's width: 4e-11 of it for levels from float64 matrices, 2e-5 from float32 ones.
    """
    scale = torch.maximum(levels[:, -1] - levels[:, 0], levels.abs().amax(1))
    return torch.finfo(computed_in).eps ** (2 / 3) * scale


def warn_of_degeneracy(shared: Tensor) -> None:
    """One warning that names the first replica whose levels at mu are partly filled; shared (R, M) bool."""
    affected = shared.any(1)
    if not bool(affected.any()):
        return
    replica = int(affected.to(torch.int8).argmax())
    warnings.warn(
        f"temperature 0: {int(shared[replica].sum())} level(s) of replica {replica} lie at the Fermi level and are "
        "filled alike; the fields are one choice of many there. Take temperature > 0, or a filling that closes a shell",
        DegeneracyWarning,
        stacklevel=2,
    )
