"""How many replicas fit into the memory side by side."""

from __future__ import annotations

import ctypes
import gc
import re
import resource
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from ..configuration import SpinConfiguration
from ..errors import ConfigError
from ..potential import Potential

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}
_STATUS = Path("/proc/self/status")


def groups_within(potential: Potential, configs: Sequence[SpinConfiguration], max_memory: int | None) -> list[int]:
    """Sizes of groups of replicas, as equal as can be, that run one after the other.

    Where all of them cannot possibly need that much there is one group; else one replica is prepared and evaluated, and
    the memory that it takes is measured.

    Args:
        max_memory: bytes; None: 70 % of what is free where the potential computes.
    """
    limit = _free(potential) * 7 // 10 if max_memory is None else max_memory
    n, n_sites = len(configs), configs[0].n_sites
    if n == 1 or n * _bound(n_sites) <= limit:
        return [n]
    fit = max(1, int(limit // max(1, memory_of_one(potential, configs[0]))))
    n_groups = -(-n // fit)
    size = -(-n // n_groups)
    return [size] * (n // size) + ([n % size] if n % size else [])


def memory_of_one(potential: Potential, config: SpinConfiguration) -> int:
    """Bytes by which the peak of the process (or of the device) grows when one replica is prepared and evaluated."""

    def evaluate() -> None:
        force = potential.prepare([config])
        force(torch.from_numpy(config.spins)[None].to(force.device, force.dtype))

    evaluate()  # compilation and caches are not a replica's
    gc.collect()
    device = torch.device(getattr(potential, "device", "cpu"))
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        evaluate()
        return torch.cuda.max_memory_allocated(device) - before
    _reset_peak()
    before = _peak()
    evaluate()
    return _peak() - before


def bytes_of(given: str | float | None) -> int | None:
    """ "2 GiB", "500MB" or a number of GiB in bytes; None stays None.

    Raises:
        ConfigError: not an amount of memory > 0.
    """
    if given is None:
        return None
    found = re.fullmatch(r"\s*([0-9.]+(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*", str(given))
    unit = _UNITS.get((found[2] or "GiB").upper()) if found else None
    try:
        size = float(found[1]) * unit if found and unit else 0.0
    except ValueError:
        size = 0.0
    if not 1 <= size < np.inf:
        raise ConfigError(f"max_memory={given}: give an amount such as 2GiB or 500MB, or a number of GiB")
    return int(size)


def _bound(n_sites: int) -> int:
    """More than any potential here takes for a replica: a few dozen complex matrices 2N x 2N, or 64 KiB a site."""
    return 2**16 * n_sites + 32 * 16 * (2 * n_sites) ** 2


def _free(potential: Potential) -> int:
    device = torch.device(getattr(potential, "device", "cpu"))
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        found = re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else 2**32


def _reset_peak() -> None:
    """Give back what was freed and start the high-water mark anew, where the system lets us."""
    with suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)  # else a replica takes what the one before it left
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
    except OSError:
        found = None
    return int(found[1]) * 1024 if found else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
