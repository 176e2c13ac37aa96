"""Which configurations come when, and which of several processes that train together takes them."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import distributed
from torch.utils.data import Sampler

from ..errors import ConfigError


class EpochShuffle(Sampler[int]):
    """A permutation of 0 .. n - 1 that depends on (seed, epoch) alone; Lightning calls ``set_epoch``.

    Of P processes, process p takes places p, p + P, p + 2 P, ... of it, so that P batches of B are together the batch
    of P B that one process would take. The last n mod P places are left out (another part of the data in every
    epoch), because all must take equally many steps.

    Raises:
        ConfigError: fewer configurations than processes.
    """

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed, self._epoch = n, seed, 0
        self._process, self._n_processes = _place(n)

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n // self._n_processes

    def __iter__(self) -> Iterator[int]:
        # Python hashes tuples of integers the same way in every process.
        generator = torch.Generator().manual_seed(hash((self._seed, self._epoch)) & (2**63 - 1))
        permutation = torch.randperm(self._n, generator=generator)
        shared = len(self) * self._n_processes
        return iter(permutation[self._process : shared : self._n_processes].tolist())


class InOrder(Sampler[int]):
    """0 .. n - 1; of P processes, process p takes p, p + P, ...: every one exactly once, unlike DistributedSampler.

    Raises:
        ConfigError: fewer configurations than processes.
    """

    def __init__(self, n: int) -> None:
        process, n_processes = _place(n)
        self._mine = range(process, n, n_processes)

    def __len__(self) -> int:
        return len(self._mine)

    def __iter__(self) -> Iterator[int]:
        return iter(self._mine)


def _place(n: int) -> tuple[int, int]:
    """The number of this process, and of how many that train together; (0, 1) if it is alone."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    process, n_processes = distributed.get_rank(), distributed.get_world_size()
    if n < n_processes:
        raise ConfigError(
            f"a split of {n} configurations cannot be shared among {n_processes} processes; give fewer trainer.devices"
        )
    return process, n_processes
