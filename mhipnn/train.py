"""Train a model on a dataset, test it, and compare its spin dynamics with exact electrons.

``python -m mhipnn.train --help`` shows what can be set; from Python, ``run(compose_config("train", [...]))``.
"""

from __future__ import annotations

from importlib.util import find_spec

from omegaconf import DictConfig

from .config import app
from .errors import ConfigError


def run(cfg: DictConfig) -> dict[str, float]:
    """The whole command as a function of its configuration, or a search for its settings with ``tune``.

    Imports what is heavy only now.
    """
    if cfg.get("tune") is None:
        from .training.run import run

        return run(cfg)
    if find_spec("optuna") is None:
        raise ConfigError("experiment=tune needs Optuna: python -m pip install 'mhipnn[hpo]'")
    from .training.tuning.run import run as tune

    return tune(cfg)


@app("train")
def main(cfg: DictConfig) -> float:
    return run(cfg)["val/torque_r2"]  # what a sweeper maximises


if __name__ == "__main__":
    main()
