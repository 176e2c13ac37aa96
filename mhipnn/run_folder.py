"""The folder of one run: named, locked while the run lives, found again if the run was killed."""

from __future__ import annotations

import fcntl
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from omegaconf import DictConfig, OmegaConf

from .atomic import atomic_path
from .errors import ConfigError

# Where a run is written, where its labels are made, how many trainings run at a time: that makes it no other run.
_NOT_IDENTITY = ("output_root", "run_dir", "resume", "launcher", "side_by_side", "max_memory")


class RunFolder:
    """``<output_root>/<data>/<model>/<date>`` with config.yaml, metrics.json, checkpoints/ and figures/.

    A run is finished when metrics.json exists, alive while its process holds the lock on ``.lock``, and
    otherwise unfinished: the next `open` with the same configuration goes on in it.
    """

    def __init__(self, path: Path, lock: IO[str], resumed: bool) -> None:
        self.path = path
        self.resumed = resumed
        self._lock = lock
        self.checkpoints.mkdir(exist_ok=True)
        self.figures.mkdir(exist_ok=True)

    @classmethod
    def open(
        cls,
        cfg: DictConfig | Mapping[str, Any],
        output_root: str | Path,
        parts: Sequence[str] = (),
        run_dir: str | Path | None = None,
        resume: bool = True,
    ) -> RunFolder:
        """Reopen the newest unfinished run of this configuration, or make a new folder.

        Args:
            cfg: the whole configuration; written, resolved, as config.yaml.
            output_root: the folder of all runs.
            parts: sub-folders of it, e.g. ``("sd_disorder", "mhip")``.
            run_dir: an explicit folder instead, used as it is.
            resume: whether an unfinished run may be reopened.

        Raises:
            ConfigError: the folder cannot be written, or ``run_dir`` holds a finished, live or different run.
        """
        config = OmegaConf.to_container(OmegaConf.create(cfg), resolve=True)  # type: ignore[arg-type]
        parent = Path(output_root, *parts).resolve()
        with _writable(parent if run_dir is None else Path(run_dir).resolve()):
            if run_dir is not None:
                return cls._explicit(Path(run_dir).resolve(), config, resume)
            parent.mkdir(parents=True, exist_ok=True)
            unfinished = cls._unfinished(parent, config) if resume else None
            return unfinished or cls._create(_new_folder(parent), config)

    @classmethod
    def _create(cls, path: Path, config: Any) -> RunFolder:
        lock = _take_lock(path)
        if lock is None:
            raise ConfigError(f"{path} is in use by another process; choose another folder with run_dir=...")
        write_atomically(path / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
        return cls(path, lock, resumed=False)

    @classmethod
    def _explicit(cls, path: Path, config: Any, resume: bool) -> RunFolder:
        path.mkdir(parents=True, exist_ok=True)
        if not (path / "config.yaml").exists():
            return cls._create(path, config)
        advice = "choose another run_dir=... or remove the folder"
        if (path / "metrics.json").exists():
            raise ConfigError(f"run_dir {path} holds a finished run; {advice}")
        if not _same(path, config):
            raise ConfigError(f"run_dir {path} holds a run of another configuration (see its config.yaml); {advice}")
        if not resume:
            raise ConfigError(f"run_dir {path} holds an unfinished run and resume=false; {advice}")
        lock = _take_lock(path)
        if lock is None:
            raise ConfigError(f"run_dir {path} holds a run that is still alive; {advice}")
        return cls(path, lock, resumed=True)

    @classmethod
    def _unfinished(cls, parent: Path, config: Any) -> RunFolder | None:
        for path in sorted((p for p in parent.iterdir() if p.is_dir()), key=_age, reverse=True):
            if not _same(path, config) or (path / "metrics.json").exists():
                continue
            lock = _take_lock(path)
            if lock is None:
                continue
            if not (path / "metrics.json").exists():  # it may have finished while we looked
                return cls(path, lock, resumed=True)
            lock.close()
        return None

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def figures(self) -> Path:
        return self.path / "figures"

    def finish(self, metrics: Mapping[str, Any]) -> Path:
        """Write metrics.json, which marks the run as finished, and let go of the lock."""
        path = self.path / "metrics.json"
        with _writable(self.path):
            write_json(path, metrics)
        self.close()
        return path

    def close(self) -> None:
        """Let go of the lock; an unfinished run can then be reopened."""
        self._lock.close()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """A table of values; JSON has no NaN and no infinity, so they become null."""
    finite = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in values.items()}
    write_atomically(path, json.dumps(finite, indent=2, default=_plain, allow_nan=False) + "\n")


def write_atomically(path: Path, text: str) -> None:
    """A reader, or a kill, never meets half a file."""
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _new_folder(parent: Path) -> Path:
    """A folder that nobody else has; mkdir decides between processes that start in the same second."""
    stamp = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    number = 1
    while True:
        path = parent / (stamp if number == 1 else f"{stamp}-{number}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            number += 1


def _age(path: Path) -> tuple[str, int]:
    match = re.fullmatch(r"(.{19})-(\d+)", path.name)  # the second of a second comes after the first
    return (match[1], int(match[2])) if match else (path.name, 1)


def _take_lock(path: Path) -> IO[str] | None:
    lock = (path / ".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _same(path: Path, config: Any) -> bool:
    try:
        stored = OmegaConf.to_container(OmegaConf.load(path / "config.yaml"))
    except Exception:  # no such file, or not ours: at any rate not a run of this configuration
        return False
    return isinstance(stored, dict) and _identity(stored) == _identity(config)


def _identity(config: Mapping[Any, Any]) -> str:
    kept = {key: value for key, value in config.items() if key not in _NOT_IDENTITY}
    return OmegaConf.to_yaml(OmegaConf.create(kept), sort_keys=True)


def _plain(value: Any) -> Any:
    """Numbers and arrays of numpy and torch as JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    return str(value)


@contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"cannot write to {path}: {error.strerror or error}; "
            "choose another folder with output_root=... or run_dir=..."
        ) from error
