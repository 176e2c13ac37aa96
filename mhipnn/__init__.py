"""mhipnn: magnetic HIP-NN energies for disordered itinerant magnets, and the spin dynamics they drive."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Names resolve on first use, so that `import mhipnn` stays light and changes no global state.
_EXPORTS = {
    "SpinConfiguration": "mhipnn.configuration",
    "Evaluation": "mhipnn.potential",
    "Potential": "mhipnn.potential",
    "SDModel": "mhipnn.electrons",
    "load_potential": "mhipnn.nn.checkpoint",
    "random_sites": "mhipnn.structures",
}
__all__ = ["__version__", *_EXPORTS]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(_EXPORTS[name]), name)
    raise AttributeError(f"module 'mhipnn' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
