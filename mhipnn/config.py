"""Hydra around the entry points: where the configuration lives, how it composes, how its mistakes are told."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn

from omegaconf import DictConfig, ListConfig, OmegaConf

from . import registry
from .errors import ConfigError

Task = Callable[[DictConfig], Any]
HYDRA_VERSION = "1.3"


def conf_dir() -> Path:
    """The folder of YAML files: inside an installed wheel, else at the top of the checkout."""
    package = Path(__file__).resolve().parent
    for candidate in (package / "conf", package.parent / "conf"):
        if (candidate / "train.yaml").is_file():
            return candidate
    raise ConfigError(f"no conf/train.yaml in {package} or beside it: the installation of mhipnn is incomplete")


def compose_config(config_name: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration that ``python -m mhipnn.<config_name> <overrides>`` would run with.

    Raises:
        hydra.errors.HydraException: an override names no key or no choice.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    registry.load_plugins()
    outer = GlobalHydra.instance().hydra  # a notebook or a running command may have its own
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(conf_dir()), job_name=config_name, version_base=HYDRA_VERSION):
            return compose(config_name, overrides=list(overrides))
    finally:
        GlobalHydra.instance().hydra = outer


def app(config_name: str) -> Callable[[Task], Callable[..., None]]:
    """Turn ``main(cfg)`` into a command line over ``conf/<config_name>.yaml``.

    Mistakes in the configuration or in what it names print one line ``error: ...`` and exit with code 1
    (``MHIPNN_DEBUG=1`` keeps the traceback); bugs keep theirs. Called with a configuration, the function
    just runs.
    """

    def decorate(task: Task) -> Callable[..., None]:
        @wraps(task)
        def main(cfg: DictConfig | None = None) -> None:
            if cfg is not None:
                task(cfg)
            else:
                _command(config_name, task)

        return main

    return decorate


def _command(config_name: str, task: Task) -> None:
    """One call of the command line. Ends with SystemExit after a mistake, returns otherwise."""
    if os.environ.get("MHIPNN_DEBUG", "0") not in ("", "0"):
        with _full_errors():
            _hydra(config_name, task)
        return
    from .explain import MISTAKES

    job = _Job(config_name, task)
    try:
        with _full_errors():
            _hydra(config_name, job.guarded())
    except KeyboardInterrupt as stop:
        print(str(stop) or "interrupted: the same command goes on from here", file=sys.stderr)
        sys.exit(130)
    except MISTAKES as error:
        if error not in job.told:
            job.tell(error)
    if job.told:
        sys.exit(1)


class _Job:
    """The task with its mistakes told as they happen, so that the other jobs of a sweep still run."""

    def __init__(self, config_name: str, task: Task) -> None:
        self.config_name = config_name
        self.task = task
        self.told: list[Exception] = []

    def tell(self, error: Exception) -> None:
        from .explain import one_line
        from .vocabulary import Vocabulary

        print("error:", one_line(error, Vocabulary(self.config_name)), file=sys.stderr, flush=True)
        self.told.append(error)

    def guarded(self) -> Task:
        from .explain import MISTAKES

        here = os.getpid()

        @wraps(self.task)
        def run(cfg: DictConfig) -> Any:
            try:
                _check_complete(cfg)
                _check_types(cfg, self.config_name)
                return self.task(cfg)
            except MISTAKES as error:
                if os.getpid() != here:  # a launcher's worker: the command learns of it only by the exception
                    raise
                self.tell(error)
                return None

        return run


def _hydra(config_name: str, task: Task) -> None:
    import hydra
    from hydra._internal.utils import get_args_parser

    parser = get_args_parser()
    parser.error = _refuse_flag  # type: ignore[method-assign]
    args = parser.parse_args()
    if sum(map(bool, (args.run, args.cfg, args.multirun, args.info, args.shell_completion))) > 1:
        _refuse_flag("only one of --cfg, --multirun, --info and --shell-completion at a time")
    if args.info == "plugins":
        _print_plugins()
        return
    registry.load_plugins()
    _refuse_null_groups(sys.argv[1:])
    hydra.main(config_path=str(conf_dir()), config_name=config_name, version_base=HYDRA_VERSION)(task)()


def _refuse_null_groups(arguments: Sequence[str]) -> None:
    """Hydra has no message of its own for ``logger=null``."""
    from .vocabulary import is_group

    for argument in arguments:
        group, _, value = argument.partition("=")
        if value == "null" and is_group(group):
            raise ConfigError(f"{argument}: a group is left out with '~{group}', quoted in most shells")


def _refuse_flag(message: str) -> NoReturn:
    raise ConfigError(f"{message}; settings are written key=value, flags are listed by --hydra-help")


@contextmanager
def _full_errors() -> Iterator[None]:
    """Let Hydra pass exceptions on in place of printing them itself."""
    before = os.environ.get("HYDRA_FULL_ERROR")
    os.environ["HYDRA_FULL_ERROR"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["HYDRA_FULL_ERROR"]
        else:
            os.environ["HYDRA_FULL_ERROR"] = before


def _check_complete(cfg: DictConfig) -> None:
    missing = sorted(OmegaConf.missing_keys(cfg))
    if missing:
        raise ConfigError(f"{missing[0]} is not set: add {missing[0]}=... to the command line")


def _check_types(cfg: DictConfig, config_name: str) -> None:
    """A number stays a number and a switch a switch, before anything is computed with them.

    Settings of trainer, logger and tune are left alone: theirs may have several types (``devices=auto``).
    """
    from hydra.core.hydra_config import HydraConfig

    from .vocabulary import search_path

    runtime = HydraConfig.get().runtime
    groups = set(runtime.choices)
    given = [override for override in HydraConfig.get().overrides.task if override[0] not in "+~"]
    choices = [override for override in given if override.partition("=")[0] in groups]
    keys = [override.partition("=")[0] for override in given if override not in choices]
    keys = [key for key in keys if key.partition(".")[0] not in ("trainer", "logger", "tune")]
    if not keys:
        return
    added = [at for at in runtime.config_sources if at.provider not in ("hydra", "main", "schema")]
    defaults = compose_config(config_name, [*choices, *search_path([f"{at.schema}://{at.path}" for at in added])])
    for key in keys:
        default, value = (OmegaConf.select(node, key, throw_on_missing=False) for node in (defaults, cfg))
        wanted = _wanted_type(default)
        if value is None or wanted is None or _makes_an_object(value) or _is_one_of_several(key, value):
            continue
        if isinstance(value, wanted[1]) and isinstance(value, bool) == isinstance(default, bool):
            continue
        raise ConfigError(f"{key}={value}: expected {wanted[0]}, as the default {default} is")


def _makes_an_object(value: Any) -> bool:
    """A node that names what it becomes: a schedule in place of a number checks itself when it is made."""
    return isinstance(value, DictConfig) and bool({"_target_", "schedule"} & set(value))


def _is_one_of_several(key: str, value: Any) -> bool:
    """A list where one value is meant for all replicas, and a list for one after the other."""
    return key == "dynamics.temperature" and isinstance(value, ListConfig)


def _wanted_type(default: Any) -> tuple[str, tuple[type, ...]] | None:
    """What a value must be, in words and as types; None if anything goes."""
    if isinstance(default, bool):
        return "true or false", (bool,)
    if isinstance(default, (int, float)):
        return "a number", (int, float)
    if isinstance(default, ListConfig):
        return "a list [a,b,...]", (ListConfig,)
    if isinstance(default, DictConfig):
        return "a group of settings", (DictConfig,)
    return None


def _print_plugins() -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Registered with mhipnn (entry-point group mhipnn.plugins)", title_justify="left")
    for column in ("kind", "name", "package", "import path"):
        table.add_column(column, overflow="fold")
    previous = None
    for entry in registry.entries():
        table.add_row(entry.kind if entry.kind != previous else "", entry.name, entry.package, entry.target)
        previous = entry.kind
    Console().print(table)
