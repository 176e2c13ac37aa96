"""Measure a trained model on the splits of a dataset.

``python -m mhipnn.evaluate --help`` shows what can be set; from Python, ``run(compose_config("evaluate", [...]))``.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from .config import app


def run(cfg: DictConfig) -> Any:
    """The whole command as a function of its configuration; imports what is heavy only now."""
    from .training.evaluation import run

    return run(cfg)


@app("evaluate")
def main(cfg: DictConfig) -> Any:
    return run(cfg)


if __name__ == "__main__":
    main()
