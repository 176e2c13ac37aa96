"""Landau-Lifshitz-Gilbert dynamics with any potential."""

from __future__ import annotations

from .descent import Minimisation, Minimise
from .driver import Simulation
from .frames import Frame, Trajectory
from .integrators import RK4, SIB, DepondtMertens, DormandPrince, Drive, Heun, Integrator, LLGState, SphericalMidpoint
from .llg import angular_velocity, llg_rate, thermal_field
from .minimise import Descent, Minimum, minimise
from .observers import Magnetisation, Observer
from .quench import Quench
from .recording import Recording
from .sampling import LearnedQuench, QuenchSnapshots
from .saved_state import SavedState
from .schedules import Schedule
from .trajectory import TrajectoryReader, read_trajectory
from .trajectory_writer import TrajectoryWriter, write_trajectory

__all__ = [
    "RK4",
    "SIB",
    "DepondtMertens",
    "Descent",
    "DormandPrince",
    "Drive",
    "Frame",
    "Heun",
    "Integrator",
    "LLGState",
    "LearnedQuench",
    "Magnetisation",
    "Minimisation",
    "Minimise",
    "Minimum",
    "Observer",
    "Quench",
    "QuenchSnapshots",
    "Recording",
    "SavedState",
    "Schedule",
    "Simulation",
    "SphericalMidpoint",
    "Trajectory",
    "TrajectoryReader",
    "TrajectoryWriter",
    "angular_velocity",
    "llg_rate",
    "minimise",
    "read_trajectory",
    "thermal_field",
    "write_trajectory",
]
