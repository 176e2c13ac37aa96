"""One line for every mistake that can be made at the command line, in place of a traceback."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import TYPE_CHECKING

from hydra.errors import HydraException, InstantiationException, MissingConfigException, OverrideParseException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException
from yaml import YAMLError

from .errors import UserError, suggest

if TYPE_CHECKING:
    from .vocabulary import Vocabulary

# What is the user's to mend; anything else is a bug and keeps its traceback.
MISTAKES: tuple[type[Exception], ...] = (UserError, HydraException, OmegaConfBaseException, YAMLError, OSError)

_NOT_WRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.ENOTDIR, errno.EEXIST}

DEBUG_HINT = " (MHIPNN_DEBUG=1 shows the traceback)"


def one_line(error: Exception, known: Vocabulary) -> str:
    """What went wrong and what to do, without a line break.

    Args:
        error: one of `MISTAKES`.
        known: the words that there are.
    """
    return " ".join(_explain(error, known).split())


def _explain(error: Exception, known: Vocabulary) -> str:
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error, known)
    if isinstance(error, OverrideParseException):
        return (
            f"cannot read {error.override!r}: write key=value (quote the value if it holds spaces, commas or brackets)"
        )
    if isinstance(error, InstantiationException):
        return _failed_target(error, known)
    if isinstance(error, MissingMandatoryValue):
        return f"{_first_line(error)}: give it as key=value"
    if isinstance(error, OSError):
        return _system_error(error)
    if (key := _unknown_key(error)) is not None:
        return _unlisted(error, key, known) or f"unknown key {key!r}: {_near_keys(key, known.keys())}"
    return _first_line(error)


def _unknown_choice(error: MissingConfigException, known: Vocabulary) -> str:
    # Hydra fills in missing_cfg_file only where one of a group is chosen, not for loss=[torque,enrgy]
    match = re.search(r"Could not (?:find|load) '(?:([^']+)/)?([^']+)'", str(error))
    if match is None:
        return _first_line(error)
    group, choice = match.groups()
    if group is None:
        return f"there is no configuration {choice!r}"
    return f"{group}={choice}: group {group!r} has no choice {choice!r}: {suggest(choice, known.choices(group))}"


def _unknown_key(error: Exception) -> str | None:
    match = re.match(r"Could not (?:override|append to config|delete from config)[^']*'([^']+)'", str(error))
    if match is None or not re.search("not in struct|No match in the defaults list|does not exist", _chain(error)):
        return None
    return match[1].partition("@")[0]


def _unlisted(error: Exception, key: str, known: Vocabulary) -> str | None:
    """An argument that the configuration does not list is no mistake, but Hydra wants a plus before it."""
    node, _, argument = key.rpartition(".")
    if not node or not str(error).startswith("Could not override") or argument not in known.arguments(node):
        return None
    return f"{key!r} is not listed in the configuration but is an argument of what stands there: write +{key}=..."


def _near_keys(key: str, known: Iterable[str]) -> str:
    keys = sorted(known)
    # ``n_features`` is as good a hint for ``model.n_features`` as a misspelling of the whole path
    by_leaf = [k for k in keys if k.rpartition(".")[2] == key.rpartition(".")[2]]
    near = get_close_matches(key, keys, n=2, cutoff=0.8) or by_leaf[:3] or get_close_matches(key, keys, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(map(repr, near)) + "?"
    return "at the top level there are " + ", ".join(k for k in keys if "." not in k)


def _failed_target(error: InstantiationException, known: Vocabulary) -> str:
    """Hydra wraps what a class raised; its cause is the message, the key says where."""
    match = re.search(r"full_key: (\S+)", str(error))
    where = f"{match[1]}: " if match else ""
    cause = error.__cause__
    if isinstance(cause, UserError):
        return where + str(cause)
    if isinstance(cause, MISTAKES) and not isinstance(cause, InstantiationException):
        return where + _explain(cause, known)
    if isinstance(cause, Exception):
        return where + (_first_line(cause) or type(cause).__name__) + DEBUG_HINT
    return where + _first_line(error) + DEBUG_HINT


def _system_error(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    advice = "; choose another folder with output_root=..." if error.errno in _NOT_WRITABLE else ""
    return f"{where}{error.strerror or _first_line(error)}{advice}{DEBUG_HINT}"


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _chain(error: BaseException) -> str:
    texts = []
    at: BaseException | None = error
    while at is not None:
        texts.append(str(at))
        at = at.__cause__
    return "\n".join(texts)
