"""The recursions on CPUs: a block after the other in compiled code, blocks shared out over threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import torch

from ...configuration import Array
from .hamiltonian import ScaledHamiltonian
from .kernels import FIELDS, PAIRS, PARTS, ROW, backward, forward, localise
from .regions import Block

Result = TypeVar("Result")
Entries = tuple[Array, Array, Array]


class CPURecursion:
    """Forward and backward recursion of all blocks; the last vectors of each block are kept between the two.

    What only densities and the estimate of the error need (``mixed``, ``densities``) can be left out.
    """

    def __init__(self, H: ScaledHamiltonian, blocks: Sequence[Block], dtype: torch.dtype) -> None:
        real = torch.empty(0, dtype=dtype).numpy().dtype
        self.blocks, self.real = blocks, real
        self.pointer, self.index = H.pointer, H.index
        self.value, self.local = H.value.astype(real), H.local.astype(real)
        self.ends: list[Array] = []
        self.scratch = threading.local()

    def moments(self, half: int, mixed: bool = True) -> list[Array]:
        """(2 half + 1, PAIRS, PARTS) of each block; see :func:`.kernels.forward`."""

        def one(block: Block) -> tuple[Array, Array]:
            moments = np.empty((2 * half + 1, PAIRS, PARTS))
            ends = np.empty((2, len(block.sites), ROW), self.real)
            pointer, index, value, _ = self._cut(block)
            amplitudes = block.amplitudes.astype(self.real)
            start = block.rows, block.pairs, amplitudes
            forward(pointer, index, value, self.local[block.sites], *start, mixed and block.local, moments, ends)
            return moments, ends

        ahead = _map(one, self.blocks)
        self.ends = [ends for _, ends in ahead]
        return [moments for moments, _ in ahead]

    def gradients(self, weights: Array, with_bonds: bool, densities: bool = True) -> Iterator[Entries]:
        """Of each block: fields of its sites, derivatives by bonds, and which entries of T these are."""
        weights = weights.astype(self.real)

        def one(number: int) -> Entries:
            block, ends = self.blocks[number], self.ends[number]
            pointer, index, value, entries = self._cut(block)
            fields = np.empty((len(block.sites), FIELDS), self.real)
            bonds = np.empty(len(entries) if with_bonds else 0, self.real)
            local = self.local[block.sites]
            backward(pointer, index, value, local, ends, weights, densities and not block.local, fields, bonds)
            return fields, bonds, entries if with_bonds else entries[:0]

        return iter(_map(one, range(len(self.blocks))))

    def _cut(self, block: Block) -> tuple[Array, Array, Array, Array]:
        if not hasattr(self.scratch, "where"):
            self.scratch.where = np.full(len(self.local), -1)
        return localise(block.sites, self.pointer, self.index, self.value, self.scratch.where)


def _map(function: Callable[..., Result], items: Sequence[object]) -> list[Result]:
    """Over torch's number of threads; what numba compiled lets go of the interpreter's lock."""
    n_threads = min(torch.get_num_threads(), len(items))
    if n_threads < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(n_threads) as pool:
        return list(pool.map(function, items))
