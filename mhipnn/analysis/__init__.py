"""What the states mean: correlations, rollouts compared, figures."""

from __future__ import annotations

from .comparison.compare import Comparison, compare_trajectories
from .correlations import (
    MeanAndError,
    RadialCorrelation,
    autocorrelation,
    mean_and_error,
    spin_correlation,
    trajectory_correlation,
)
from .parity import nrmse, r_squared
from .rollout import RolloutComparison, compare_rollouts
from .structure_factor import shell_average, structure_factor

__all__ = [
    "Comparison",
    "MeanAndError",
    "RadialCorrelation",
    "RolloutComparison",
    "autocorrelation",
    "compare_rollouts",
    "compare_trajectories",
    "mean_and_error",
    "nrmse",
    "r_squared",
    "shell_average",
    "spin_correlation",
    "structure_factor",
    "trajectory_correlation",
]
