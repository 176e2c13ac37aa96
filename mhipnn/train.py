"""Train a model on a dataset, test it, and compare its spin dynamics with exact electrons.

``python -m mhipnn.train --help`` shows what can be set; from Python, ``run(compose_config("train", [...]))``.
"""

from __future__ import annotations

from omegaconf import DictConfig

from .config import app


def run(cfg: DictConfig) -> dict[str, float]:
    """The whole command as a function of its configuration; imports what is heavy only now."""
    from .training.run import run

    return run(cfg)


@app("train")
def main(cfg: DictConfig) -> float:
    return run(cfg)["val/torque_r2"]  # what a sweeper maximises


if __name__ == "__main__":
    main()
