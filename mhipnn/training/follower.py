"""``python -m mhipnn.training.follower``: one more process of a training, started by the first (see `processes`).

Reads the configuration as one line of JSON from standard input, and ends when that closes. Tells on standard output
when it is about to join, or why it cannot go on.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import traceback
from typing import Any

from omegaconf import OmegaConf

from .. import registry
from ..errors import UserError
from .processes import READY
from .run import follow


def main() -> None:
    tell = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed goes to the log
    cfg = OmegaConf.create(json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_the_leader, daemon=True).start()
    try:
        registry.load_plugins()
        follow(cfg, lambda: print(READY, file=tell, flush=True))
    except (KeyboardInterrupt, UserError) as error:
        _fail(tell, error, str(error))
    except Exception as error:
        _fail(tell, error, traceback.format_exc())


def _fail(tell: Any, error: BaseException, message: str) -> None:
    print(json.dumps({"kind": type(error).__name__, "message": message}), file=tell, flush=True)
    sys.exit(1)


def _end_with_the_leader() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    main()
