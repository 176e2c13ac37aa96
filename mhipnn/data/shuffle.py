"""The order of the training configurations: a function of seed and epoch, so that a resumed run repeats it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class EpochShuffle(Sampler[int]):
    """A permutation of 0 .. n - 1 that depends on (seed, epoch) alone; Lightning calls ``set_epoch``."""

    def __init__(self, n: int, seed: int) -> None:
        self._n, self._seed, self._epoch = n, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self._epoch = epoch

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[int]:
        # Python hashes tuples of integers the same way in every process.
        generator = torch.Generator().manual_seed(hash((self._seed, self._epoch)) & (2**63 - 1))
        return iter(torch.randperm(self._n, generator=generator).tolist())
