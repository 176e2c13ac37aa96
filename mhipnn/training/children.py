"""Processes that train for this one: each is given one configuration, tells lines, and ends when this process does.

`Child` is the side of the process that starts them, `serve` that of the one that is started.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any

from omegaconf import DictConfig, OmegaConf

from .. import errors, registry


class Child:
    """One process of ``python -m <module>``, whose main is a call of `serve`.

    Its output goes to a file that is read only if it dies.

    Args:
        module: what it runs.
        name: of the process, for messages.
        cfg: the configuration that it is given, resolved here.
        variables: its environment, beside what it needs to import what this process can.
    """

    def __init__(self, module: str, name: str, cfg: DictConfig, variables: Mapping[str, str]) -> None:
        self._name = name
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115, lives as long as the process
        self._process = subprocess.Popen(
            [sys.executable, "-m", module],
            env={**variables, "PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for the process that started it
        )
        with suppress(BrokenPipeError):
            print(json.dumps(OmegaConf.to_container(cfg, resolve=True)), file=self._process.stdin, flush=True)

    def told(self) -> str:
        """Its next line, waited for; empty when it has ended."""
        return _pipe(self._process.stdout).readline().strip()

    def failed(self) -> bool:
        return bool(self._process.poll())

    def failure(self, told: str = "") -> BaseException:
        """What it told before it ended, as an exception of this process; its last line, if that was read already."""
        told = told or _pipe(self._process.stdout).read()
        self._log.seek(0)
        log = self._log.read().strip()
        if not told.strip():
            code = self._process.returncode
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            return RuntimeError(f"{self._name} {how}" + (f"; it said:\n{log}" if log else ""))
        report = json.loads(told)
        if report["kind"] == "KeyboardInterrupt":
            return KeyboardInterrupt()
        mistake = getattr(errors, report["kind"], None)
        if mistake is not None:
            return mistake(report["message"])
        return RuntimeError(f"{self._name} failed:\n{report['message']}")

    def wait(self, told: str = "") -> None:
        """Return when it has ended well; raise its `failure` otherwise."""
        if self._process.wait():
            raise self.failure(told)

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        """Kill it if it lives, and let go of what belongs to it."""
        self.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            with suppress(BrokenPipeError):
                _pipe(stream).close()


def serve(work: Callable[[DictConfig, Callable[[str], None]], Any]) -> None:
    """Do ``work(cfg, tell)`` for the process that started this one.

    The configuration is one line of JSON on standard input; the process ends when that closes. ``tell`` writes a line
    for the other side; a failure is told as the last of them, and the exit code is 1.
    """
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # whatever else is printed goes to the log

    def tell(line: str) -> None:
        print(line, file=answers, flush=True)

    def fail(error: BaseException, message: str) -> None:
        tell(json.dumps({"kind": type(error).__name__, "message": message}))
        sys.exit(1)

    cfg = OmegaConf.create(json.loads(sys.stdin.readline()))
    threading.Thread(target=_end_with_the_other_side, daemon=True).start()
    try:
        registry.load_plugins()
        work(cfg, tell)
    except (KeyboardInterrupt, errors.UserError) as error:
        fail(error, str(error))
    except Exception as error:
        fail(error, traceback.format_exc())


def _end_with_the_other_side() -> None:
    sys.stdin.read()
    os._exit(1)


def _pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # for the type checker: all three were asked for
    return stream
