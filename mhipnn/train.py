"""Train a model on a dataset, test it, and compare its spin dynamics with exact electrons.

``python -m mhipnn.train --help`` shows what can be set; from Python, ``run(compose_config("train", [...]))``.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from .config import app


def run(cfg: DictConfig) -> Any:
    """The whole command as a function of its configuration; imports what is heavy only now."""
    from .training.run import run

    return run(cfg)


@app("train")
def main(cfg: DictConfig) -> Any:
    return run(cfg)


if __name__ == "__main__":
    main()
