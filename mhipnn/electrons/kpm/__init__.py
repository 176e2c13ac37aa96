"""The kernel polynomial method: energies and fields of the s-d model in a time linear in the number of sites."""

from .settings import KPM

__all__ = ["KPM"]
