"""What the states mean: correlations, rollouts compared, figures."""

from __future__ import annotations

from .correlations import (
    MeanAndError,
    RadialCorrelation,
    autocorrelation,
    mean_and_error,
    shell_average,
    spin_correlation,
    structure_factor,
    trajectory_correlation,
)
from .parity import nrmse, r_squared
from .rollout import RolloutComparison, compare_rollouts

__all__ = [
    "MeanAndError",
    "RadialCorrelation",
    "RolloutComparison",
    "autocorrelation",
    "compare_rollouts",
    "mean_and_error",
    "nrmse",
    "r_squared",
    "shell_average",
    "spin_correlation",
    "structure_factor",
    "trajectory_correlation",
]
