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

from ..compilation import compiled

MAX_ITERATIONS = 100
NEGLIGIBLE = 1e-20
"""Occupation, or share of a sum, below the last bit of whatever it adds to."""


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
    array = np.ascontiguousarray(levels.cpu().numpy())
    return torch.as_tensor(_chemical_potential(array, float(n_electrons), float(kT)), device=levels.device)


@compiled(error_model="numpy")
def _chemical_potential(levels, n_electrons, kT):  # type: ignore[no-untyped-def]
    n_replicas, n_levels = levels.shape
    m = math.floor(n_electrons)
    mu = np.empty(n_replicas)
    for replica in range(n_replicas):
        e = levels[replica]
        # at these ends at most (at least) N_e electrons fit even if all levels sat at the band edge
        low = e[0] - kT * (1 + max(0.0, math.log(n_levels / n_electrons)))
        high = e[-1] + kT * (1 + max(0.0, math.log(n_levels / (n_levels - n_electrons))))
        at = (e[m - 1] + e[m]) / 2 if m > 0 and n_electrons == m else e[m]
        for _ in range(MAX_ITERATIONS):
            imbalance, slope = _log_imbalance(e, m, n_electrons - m, at, kT)
            if imbalance <= 0:
                low = at
            if imbalance >= 0:
                high = at
            new = at - imbalance / slope
            if not low <= new <= high:
                new = (low + high) / 2
            step, at = abs(new - at), new
            if step <= 1e-13 * max(abs(at), max(1.0, kT)):
                break
        mu[replica] = at
    return mu


@compiled(error_model="numpy")
def _log_imbalance(e, m, rest, mu, kT):  # type: ignore[no-untyped-def]
    """ln P - ln Q and its derivative by mu, with the largest term of each sum taken out."""
    # ln f = -softplus(-x), x = (mu - e)/kT; d ln f / d mu = (1 - f)/kT, d ln (1 - f) / d mu = -f/kT
    top = _log_sigmoid((mu - e[m]) / kT)
    p = rise = 0.0
    for n in range(m, len(e)):
        x = (mu - e[n]) / kT
        term = math.exp(_log_sigmoid(x) - top)
        p += term
        rise += term / (1 + math.exp(x))
        if term < NEGLIGIBLE:  # levels ascend: what follows is smaller still
            break
    peak = math.log(rest) if rest > 0 else -math.inf
    if m > 0:
        peak = max(peak, _log_sigmoid((e[m - 1] - mu) / kT))
    q = math.exp(math.log(rest) - peak) if rest > 0 else 0.0
    fall = 0.0
    for n in range(m - 1, -1, -1):
        x = (e[n] - mu) / kT
        term = math.exp(_log_sigmoid(x) - peak)
        q += term
        fall += term / (1 + math.exp(x))
        if term < NEGLIGIBLE:
            break
    return top + math.log(p) - peak - math.log(q), (rise / p + fall / q) / kT


@compiled(error_model="numpy")
def _log_sigmoid(x):  # type: ignore[no-untyped-def]
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


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
