"""Make the labels of a dataset with exact electrons, or finish making them; validate or export labels of any origin.

``python -m mhipnn.generate --help`` shows what can be set; from Python, ``run(compose_config("generate", [...]))``.
"""

from __future__ import annotations

from typing import Any

from omegaconf import DictConfig

from .config import app


def run(cfg: DictConfig) -> Any:
    """The whole command as a function of its configuration; imports what is heavy only now."""
    if cfg.get("validate"):
        from .analysis.validation import run
    else:
        from .data.generate_run import run

    return run(cfg)


@app("generate")
def main(cfg: DictConfig) -> Any:
    return run(cfg)


if __name__ == "__main__":
    main()
