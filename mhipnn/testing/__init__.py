"""Contract tests that the author of a plugin inherits."""

from .models import EnergyModelContract

__all__ = ["EnergyModelContract"]
