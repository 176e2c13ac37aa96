"""Train several networks alike and use them as one: their mean predicts, their spread says how sure it is.

``python -m mhipnn.ensemble --help`` shows what can be set; from Python, ``run(compose_config("ensemble", [...]))``.
"""

from __future__ import annotations

from omegaconf import DictConfig

from .config import app


def run(cfg: DictConfig) -> dict[str, float]:
    """The whole command as a function of its configuration; imports what is heavy only now."""
    from .training.ensemble.run import run

    return run(cfg)


@app("ensemble")
def main(cfg: DictConfig) -> float:
    return run(cfg)["val/torque_r2"]  # what a sweeper maximises


if __name__ == "__main__":
    main()
