"""Run Landau-Lifshitz-Gilbert dynamics with any potential.

``python -m mhipnn.simulate --help`` shows what can be set; from Python, ``run(compose_config("simulate", [...]))``.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from .config import app


def run(cfg: DictConfig) -> Any:
    """The whole command as a function of its configuration; imports what is heavy only now."""
    from .analysis.simulation.command import run

    return run(cfg)


@app("simulate")
def main(cfg: DictConfig) -> Any:
    return run(cfg)


if __name__ == "__main__":
    main()
