"""The integrators that mhipnn registers: what is true of one must be true of each."""

from __future__ import annotations

from mhipnn import registry

INTEGRATORS = {
    entry.name: registry.get("integrator", entry.name)()
    for entry in registry.entries()
    if entry.kind == "integrator" and entry.package == "mhipnn"
}
