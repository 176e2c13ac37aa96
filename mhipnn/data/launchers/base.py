"""What a launcher is: it runs independent jobs somewhere and hands back their results as they come."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from importlib.util import find_spec
from typing import Any, Protocol, TypeVar

from ...errors import ConfigError, DatasetError

J = TypeVar("J")
R = TypeVar("R")


class Launcher(Protocol):
    """Runs label jobs.

    A launcher decides where and when a job runs, never what comes out: a job carries its own seeds, and whatever runs
    it does so with one BLAS and one torch thread. Results are written by the process that asked for them.
    """

    n_workers: int
    """How many jobs run side by side; for the time left."""

    def run(self, function: Callable[[J], R], jobs: Sequence[J]) -> Generator[tuple[J, R], None, None]:
        """Yield (job, function(job)), each job once, as they finish; they start in the given order.

        When the generator is closed, or an error or Ctrl-C leaves it, no worker stays behind.

        Args:
            function: importable by name.
            jobs: picklable.

        Raises:
            DatasetError: workers cannot be had, or die again and again. What ``function`` raises comes back as it is.
        """


def checked_workers(n_workers: Any, default: int | None = None, name: str = "n_workers") -> int:
    """A number of workers; ``default`` for None.

    Raises:
        DatasetError: neither an integer >= 1 nor, where there is a default, None.
    """
    if n_workers is None and default is not None:
        return default
    if not isinstance(n_workers, int) or isinstance(n_workers, bool) or n_workers < 1:
        other = "" if default is None else ", or null for one process a core"
        raise DatasetError(f"{name} must be an integer >= 1{other}; got {n_workers!r}")
    return n_workers


def require_extra(launcher: str, *modules: str) -> None:
    """Refuse a launcher whose packages are not installed.

    Raises:
        ConfigError: which are missing, and the command that installs them.
    """
    missing = [name.replace("_", "-") for name in modules if find_spec(name) is None]
    if missing:
        raise ConfigError(f"launcher={launcher} needs {' and '.join(missing)}: pip install 'mhipnn[cluster]'")
