"""The recursions in PyTorch, for GPUs: many blocks at a time as one block-diagonal sparse matrix."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...configuration import Array
from .hamiltonian import ScaledHamiltonian
from .kernels import FIELDS, PAIRS, PARTS, localise
from .regions import Block

MAX_ROWS = 2_000_000  # of one block-diagonal matrix: about 4 GiB of vectors in float64


class TorchRecursion:
    """The same numbers as :class:`.cpu.CPURecursion`, on any device of torch."""

    def __init__(self, H: ScaledHamiltonian, blocks: Sequence[Block], dtype: torch.dtype, device: torch.device) -> None:
        self.groups = [_Group(H, chosen, dtype, device) for chosen in _grouped(blocks)]

    def moments(self, half: int, mixed: bool = True) -> list[Array]:
        return [moments for group in self.groups for moments in group.moments(half)]

    def gradients(
        self, weights: Array, with_bonds: bool, densities: bool = True
    ) -> Iterator[tuple[Array, Array, Array]]:
        for group in self.groups:
            yield from group.gradients(weights, with_bonds, densities)


def _grouped(blocks: Sequence[Block]) -> Iterator[list[Block]]:
    group: list[Block] = []
    for block in blocks:
        if group and sum(len(one.sites) for one in group) + len(block.sites) > MAX_ROWS:
            yield group
            group = []
        group.append(block)
    yield group


class _Group:
    """Some blocks; vectors are (rows, 4, 2, PAIRS): component, spin at the start, pair."""

    def __init__(self, H: ScaledHamiltonian, blocks: list[Block], dtype: torch.dtype, device: torch.device) -> None:
        self.blocks = blocks
        self.sizes = np.array([len(block.sites) for block in blocks])
        first = np.concatenate([[0], np.cumsum(self.sizes)])
        where = np.full(len(H.local), -1)
        cuts = [localise(block.sites, H.pointer, H.index, H.value, where) for block in blocks]
        self.entries = [cut[3] for cut in cuts]
        column = np.concatenate([cut[1] + start for cut, start in zip(cuts, first[:-1], strict=True)])
        counts = np.concatenate([np.diff(cut[0]) for cut in cuts])
        pointer = np.concatenate([[0], np.cumsum(counts)])
        value = np.concatenate([cut[2] for cut in cuts])
        n_rows = int(first[-1])

        def put(array: NDArray[Any], kind: torch.dtype | None = None) -> Tensor:
            return torch.as_tensor(array, dtype=kind, device=device)

        parts = put(pointer), put(column), put(value, dtype)
        with warnings.catch_warnings():  # that they are in beta
            warnings.filterwarnings("ignore", "Sparse CSR tensor support")
            self.matrix = torch.sparse_csr_tensor(*parts, (n_rows, n_rows), check_invariants=False)
        self.row, self.column = put(np.repeat(np.arange(n_rows), counts)), put(column)
        self.local = put(np.concatenate([H.local[block.sites] for block in blocks]), dtype)[:, :, None, None]
        self.block = put(np.repeat(np.arange(len(blocks)), self.sizes))
        self.start = torch.zeros(n_rows, 4, 2, PAIRS, dtype=dtype, device=device)
        for block, shift in zip(blocks, first[:-1], strict=True):
            rows, pairs = put(block.rows + shift), put(block.pairs)
            for spin in range(2):
                self.start[rows, 2 * spin, spin, pairs] = put(block.amplitudes, dtype)

    def double(self, x: Tensor) -> Tensor:
        """2 H~ x; T is real, so all components of all vectors are columns of one sparse product."""
        hopped = (self.matrix @ x.reshape(len(x), -1)).view_as(x)
        d, hx, hy, hz = self.local.unbind(1)
        a, b, c, e = x.unbind(1)
        up, down = d + hz, d - hz
        parts = [
            up * a + hx * c + hy * e,
            up * b + hx * e - hy * c,
            hx * a - hy * b + down * c,
            hx * b + hy * a + down * e,
        ]
        return hopped + torch.stack(parts, 1)

    def moments(self, half: int) -> list[Array]:
        last, now = self.start, self.double(self.start) / 2
        m0, m1 = self._moment(last, last), self._moment(now, last)
        found = [m0, m1, 2 * self._moment(now, now) - m0]
        for _ in range(1, half):
            last, now = now, self.double(now) - last
            found += [2 * self._moment(now, last) - m1, 2 * self._moment(now, now) - m0]
        self.ends = now, last
        return list(torch.stack(found, 1).cpu().numpy())

    def _moment(self, a: Tensor, b: Tensor) -> Tensor:
        """(blocks, PAIRS, PARTS)."""
        up_a, down_a = _complex(a).unbind(2)
        up_b, down_b = _complex(b).unbind(2)
        upper, lower = (up_a.conj() * up_b).real.sum(1), (down_a.conj() * down_b).real.sum(1)
        mixed = (up_a.conj() * down_b).sum(1)
        rows = torch.stack([upper + lower, 2 * mixed.real, -2 * mixed.imag, upper - lower], -1).double()
        return rows.new_zeros(len(self.blocks), PAIRS, PARTS).index_add_(0, self.block, rows)

    def gradients(self, weights: Array, with_bonds: bool, densities: bool) -> Iterator[tuple[Array, Array, Array]]:
        half = len(weights) - 1
        e, o = weights[:, :2].T.tolist()
        after, now = self.ends  # alpha_{m+1}, alpha_m
        beta, beyond = 2 * e[half] * after + o[half - 1] * now, torch.zeros_like(now)
        fields = now.new_zeros(len(now), FIELDS)
        bonds = now.new_zeros(len(self.row) if with_bonds else 0)
        densities = densities and not self.blocks[0].local
        if densities:
            self._densities(fields, after, after, weights[half])
        for m in range(half - 1, -1, -1):
            kappa = 2 if m else 1
            if densities:
                self._densities(fields, now, after, weights[m])
            fields[:, :3] += kappa * _bilinear(beta, now)
            if with_bonds:
                bonds += kappa * (beta[self.row] * now[self.column]).sum((1, 2, 3))
            if m:
                before = self.double(now) - after
                slope = 2 * e[m] * now + o[m] * after + o[m - 1] * before
                beta, beyond = slope + self.double(beta) - beyond, beta
                now, after = before, now
        split = np.cumsum(self.sizes)[:-1]
        of_blocks = np.split(fields.cpu().numpy(), split)
        lengths = np.cumsum([len(entries) for entries in self.entries])[:-1]
        of_bonds = np.split(bonds.cpu().numpy(), lengths) if with_bonds else [np.empty(0)] * len(self.blocks)
        for field, bond, entries in zip(of_blocks, of_bonds, self.entries, strict=True):
            yield field, bond, entries if with_bonds else entries[:0]

    def _densities(self, fields: Tensor, now: Tensor, after: Tensor, weights: Array) -> None:
        e, o, e_n, o_n, e_s, o_s = weights.tolist()
        norm, overlap = (now * now).sum((1, 2, 3)), (now * after).sum((1, 2, 3))
        fields[:, 3] += e_n * norm + o_n * overlap
        fields[:, 4:7] += _bilinear(e_s * now + o_s * after, now)
        fields[:, 7] += e * norm + o * overlap


def _complex(x: Tensor) -> Tensor:
    """(rows, up or down, spin at the start, pair)."""
    return torch.complex(x[:, 0::2], x[:, 1::2])


def _bilinear(b: Tensor, a: Tensor) -> Tensor:
    """(rows, 3): Re b+ sigma a, summed over all vectors."""
    (b_up, b_down), (a_up, a_down) = _complex(b).unbind(1), _complex(a).unbind(1)
    upper, lower = (b_up.conj() * a_up).real, (b_down.conj() * a_down).real
    x = (b_up.conj() * a_down + b_down.conj() * a_up).real
    y = (b_up.conj() * a_down - b_down.conj() * a_up).imag
    return torch.stack([x, y, upper - lower], 1).sum((2, 3))
