"""Landau-Lifshitz-Gilbert dynamics with any potential."""

from __future__ import annotations

from .integrators import RK4, SIB, DepondtMertens, DormandPrince, Heun, Integrator, LLGState, SphericalMidpoint
from .llg import angular_velocity, llg_rate, thermal_field
from .minimise import Minimum, minimise
from .quench import Frame, Quench, Trajectory
from .sampling import LearnedQuench, QuenchSnapshots
from .schedules import Schedule
from .trajectory import TrajectoryWriter, read_trajectory, write_trajectory

__all__ = [
    "RK4",
    "SIB",
    "DepondtMertens",
    "DormandPrince",
    "Frame",
    "Heun",
    "Integrator",
    "LLGState",
    "LearnedQuench",
    "Minimum",
    "Quench",
    "QuenchSnapshots",
    "Schedule",
    "SphericalMidpoint",
    "Trajectory",
    "TrajectoryWriter",
    "angular_velocity",
    "llg_rate",
    "minimise",
    "read_trajectory",
    "thermal_field",
    "write_trajectory",
]
