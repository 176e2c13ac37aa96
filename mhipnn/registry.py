"""Names for models, datasets, structures, potentials, integrators, loss terms and callbacks, ours and other people's.

Configurations bind by import path (``_target_``); the registry is for listing, for contract tests, for
checkpoints (which store a name, never an import path) and for plugins. A third-party package names a module
or a function in the entry-point group ``mhipnn.plugins`` that calls `register`; ``model=theirs`` then works.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, overload

from .builtins import BUILTINS, CONFIGS
from .errors import ConfigError, suggest

PLUGIN_GROUP = "mhipnn.plugins"

# kind -> the Hydra group that its configurations live in (None: they stand inside other nodes)
GROUPS: dict[str, str | None] = {
    "model": "model",
    "dataset": "data",
    "reader": None,
    "structure": "system",
    "sampler": None,
    "exchange": None,
    "hopping": None,
    "potential": "potential",
    "dynamics": "dynamics",
    "observer": None,
    "integrator": "dynamics/integrator",
    "schedule": None,
    "observable": None,
    "loss": "loss",
    "callback": "callbacks",
    "launcher": "launcher",
    "acquisition": None,
}
# Groups of which several are chosen at once (``loss=[torque, energy]``): each choice is a named node of one dict.
_MULTI_SELECT = {"loss", "callbacks"}

T = TypeVar("T", bound=Callable[..., Any])
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """One registered name: where its class lives, which package brought it, its configuration if no file holds it."""

    kind: str
    name: str
    target: str
    package: str
    config: Mapping[str, Any] | None = None


def _builtin(kind: str, name: str, target: str) -> Entry:
    config = CONFIGS.get((kind, name))
    return Entry(kind, name, target, "mhipnn", None if config is None else {"_target_": target} | config)


_entries: dict[tuple[str, str], Entry] = {(kind, name): _builtin(kind, name, target) for kind, name, target in BUILTINS}
_plugins_loaded = False
_loading: str | None = None  # the package whose entry point is being run


@overload
def register(
    kind: str, name: str, target: str | Callable[..., Any], config: Mapping[str, Any] | None = None
) -> None: ...
@overload
def register(
    kind: str, name: str, target: None = None, config: Mapping[str, Any] | None = None
) -> Callable[[T], T]: ...
def register(
    kind: str,
    name: str,
    target: str | Callable[..., Any] | None = None,
    config: Mapping[str, Any] | None = None,
) -> Callable[[T], T] | None:
    """Make ``name`` a choice of ``kind``; a decorator if ``target`` is left out.

    Args:
        kind: one of `GROUPS`.
        name: what users write (``model=name``).
        target: class or callable, or its import path "package.module.Class" (imported on first `get`).
        config: its Hydra configuration, defaults of all arguments; ``_target_`` is added where absent.

    Raises:
        ConfigError: unknown kind, a name that is taken, a target that cannot be reached by an import path.
    """
    _check_kind(kind)
    if target is None:

        def decorate(cls: T) -> T:
            register(kind, name, cls, config)
            return cls

        return decorate
    path = _import_path(target)
    entry = Entry(kind, name, path, _loading or path.partition(".")[0], {"_target_": path} | dict(config or {}))
    taken = _entries.get((kind, name))
    if taken is not None and (taken.target, taken.package) != (entry.target, entry.package):
        raise ConfigError(
            f"{kind} {name!r} of package {entry.package!r} is already registered by package {taken.package!r} "
            f"({taken.target}); choose another name"
        )
    _entries[kind, name] = entry
    if _loading is None:
        _publish(entry)
    return None


def get(kind: str, name: str) -> Any:
    """The class or callable registered under ``name``.

    Raises:
        ConfigError: unknown kind or name (with near matches), or its import fails.
    """
    known = names(kind)
    if name not in known:
        raise ConfigError(f"unknown {kind} {name!r}: {suggest(name, known)}")
    return _resolve(_entries[kind, name])


def names(kind: str) -> list[str]:
    """All names of a kind, sorted."""
    _check_kind(kind)
    return [entry.name for entry in entries() if entry.kind == kind]


def entries() -> list[Entry]:
    """Everything registered, by kind (in the order of `GROUPS`) and name; imports nothing but the plugins."""
    load_plugins()
    order = list(GROUPS)
    return sorted(_entries.values(), key=lambda entry: (order.index(entry.kind), entry.name))


def name_of(kind: str, cls: Callable[..., Any]) -> str:
    """The name that a class is registered under (checkpoints store it).

    Raises:
        ConfigError: it is not registered.
    """
    mine = [entry for entry in entries() if entry.kind == _check_kind(kind)]
    path = f"{cls.__module__}.{cls.__qualname__}"
    for entry in mine:
        if entry.target == path:
            return entry.name
    for entry in mine:  # registered under a path that re-exports it
        if entry.package != "mhipnn" and _resolve(entry) is cls:
            return entry.name
    raise ConfigError(
        f"{path} is not a registered {kind}: call mhipnn.registry.register({kind!r}, <name>, {cls.__name__}) first"
    )


def require_registered(node: Any, where: str) -> None:
    """Refuse a node from an untrusted file that would import anything but what is registered.

    Args:
        node: plain data; every ``_target_`` in it, at any depth, must be the import path of an entry.
        where: named in the message.

    Raises:
        ConfigError: a target that is not registered.
    """
    if isinstance(node, Mapping):
        target = node.get("_target_")
        if target is not None and target not in {entry.target for entry in entries()}:
            raise ConfigError(f"{where}: refused, it names the import path {target!r}, which is not registered")
        for key, value in node.items():
            require_registered(value, f"{where}.{key}")
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            require_registered(value, f"{where}[{number}]")


def load_plugins() -> None:
    """Publish the built-ins and run every entry point of ``mhipnn.plugins``, once, sorted by name.

    A plugin that is broken costs one warning line.
    """
    global _plugins_loaded
    if _plugins_loaded:
        return
    _plugins_loaded = True
    for entry in list(_entries.values()):
        if entry.config is not None:
            _publish(entry)
    for point in sorted(entry_points(group=PLUGIN_GROUP), key=lambda point: (point.name, point.value)):
        _load_plugin(point)


def _load_plugin(point: EntryPoint) -> None:
    before = dict(_entries)
    package = point.dist.name if point.dist is not None else point.value.partition(".")[0]
    try:
        with _registering(package):
            plugin = point.load()
            if callable(plugin):
                plugin()
        for key in _entries.keys() - before.keys():
            _publish(_entries[key])
    except Exception as error:
        # All or nothing: a plugin that fails half-way leaves no names behind, and the others still load.
        _entries.clear()
        _entries.update(before)
        reason = " ".join(str(error).split()) or type(error).__name__
        log.warning("warning: plugin %r (%s) of package %r is broken and left out: %s", point.name, point.value,
                    package, reason)  # fmt: skip


@contextmanager
def _registering(package: str) -> Iterator[None]:
    global _loading
    _loading = package
    try:
        yield
    finally:
        _loading = None


def _publish(entry: Entry) -> None:
    """Give the entry's configuration to Hydra, so that ``group=name`` composes and ``--help`` lists it."""
    from hydra.core.config_store import ConfigStore

    group = GROUPS[entry.kind]
    if group is None:
        return
    node = dict(entry.config or {})
    ConfigStore.instance().store(
        group=group,
        name=entry.name,
        node={entry.name: node} if group in _MULTI_SELECT else node,
        provider=entry.package,
    )


def _import_path(target: str | Callable[..., Any]) -> str:
    path = target if isinstance(target, str) else f"{target.__module__}.{target.__qualname__}"
    if not all(part.isidentifier() for part in path.split(".")) or "." not in path:
        raise ConfigError(f"target {path!r} is not an import path: it must look like 'package.module.Class'")
    return path


def _resolve(entry: Entry) -> Any:
    module, _, attribute = entry.target.rpartition(".")
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"{entry.kind} {entry.name!r} of package {entry.package!r} cannot be imported from {entry.target}: {error}"
        ) from error


def _check_kind(kind: str) -> str:
    if kind not in GROUPS:
        raise ConfigError(f"unknown kind {kind!r}: {suggest(kind, GROUPS)}")
    return kind
