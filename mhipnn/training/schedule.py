"""Learning-rate schedules in optimiser steps."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from ..errors import ConfigError


def warmup_cosine(
    optimizer: Optimizer, total_steps: int, warmup_fraction: float = 0.03, final_fraction: float = 0.01
) -> LambdaLR:
    """Linear warm-up, then half a cosine from the full rate down to ``final_fraction`` of it.

    Args:
        optimizer: whose rates are the full rates.
        total_steps: optimiser steps of the whole training.
        warmup_fraction: share of these spent in warm-up, in [0, 1).
        final_fraction: last rate over full rate, in [0, 1].
    """
    if not 0 <= warmup_fraction < 1 or not 0 <= final_fraction <= 1:
        raise ConfigError(
            "scheduler: warmup_fraction must lie in [0, 1) and final_fraction in [0, 1], "
            f"got {warmup_fraction} and {final_fraction}"
        )
    warmup_steps = warmup_fraction * total_steps

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / (warmup_steps + 1)
        progress = min((step - warmup_steps) / max(total_steps - warmup_steps, 1), 1.0)
        return final_fraction + (1 - final_fraction) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, factor)
