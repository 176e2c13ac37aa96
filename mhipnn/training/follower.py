"""``python -m mhipnn.training.follower``: one more process of a training, started by the first (see `processes`)."""

from __future__ import annotations

from .children import serve
from .processes import READY
from .run import follow


def main() -> None:
    serve(lambda cfg, tell: follow(cfg, lambda: tell(READY)))


if __name__ == "__main__":
    main()
