"""The integrators that mhipnn registers: what is true of one must be true of each."""

from __future__ import annotations

from mhipnn import registry
from mhipnn.dynamics import DormandPrince

ADAPTIVE = "dormand_prince"
# The one that chooses its steps takes dt as it is here: then its order shows.
INTEGRATORS = {
    entry.name: registry.get("integrator", entry.name)()
    for entry in registry.entries()
    if entry.kind == "integrator" and entry.package == "mhipnn"
} | {ADAPTIVE: DormandPrince(tolerance=1.0)}
STOCHASTIC = {name: integrator for name, integrator in INTEGRATORS.items() if getattr(integrator, "noise", True)}


def noise_for(integrator, temperature):
    """The temperature, or 0 where there is no noise."""
    return temperature if getattr(integrator, "noise", True) else 0.0
