"""``python -m mhipnn.training.ensemble.member``: the training of one member, started by the ensemble's command."""

from __future__ import annotations

from ..children import serve
from ..parts import EachEpoch
from ..run import run

EPOCH = "epoch"


def main() -> None:
    serve(lambda cfg, tell: run(cfg, [EachEpoch(lambda: tell(EPOCH))]))


if __name__ == "__main__":
    main()
