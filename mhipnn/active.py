"""Active learning: a committee of networks chooses which of its own states are labelled, compared with random choice.

``python -m mhipnn.active --help`` shows what can be set; from Python, ``run(compose_config("active", [...]))``.
"""

from __future__ import annotations

from omegaconf import DictConfig

from .config import app


def run(cfg: DictConfig) -> dict[str, float]:
    """The whole command as a function of its configuration; imports what is heavy only now."""
    from .training.active.run import run

    return run(cfg)


@app("active")
def main(cfg: DictConfig) -> dict[str, float]:
    return run(cfg)


if __name__ == "__main__":
    main()
