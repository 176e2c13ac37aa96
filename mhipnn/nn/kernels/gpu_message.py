"""The message sum and its adjoint on GPUs, in Triton: the weights s P exist in registers alone.

A program takes one site and a tile of what is wanted of it, (nu, l) pairs by features, slots by (nu, l) or slots by
features, and walks through the rest in chunks. It stops at the site's last filled slot.

Float32 products are ``tl.dot`` in full precision, or in TF32 where PyTorch's own matrix products on GPUs are allowed it
(``torch.backends.cuda.matmul.allow_tf32``). Float64, and features too few for tl.dot, are plain sums of products.

Nothing is benchmarked, waited for or allocated behind torch's back: CUDA graphs capture these launches, after a first
call with the same sizes has compiled them.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor


def message_sum(s: Tensor, P: Tensor, z: Tensor, index: Tensor, counts: Tensor, into: Tensor | None = None) -> Tensor:
    """See ``reference.message_sum``."""
    n_sites, n_nu, n_slots = s.shape
    n_l, n_features = P.shape[1], z.shape[1]
    out = s.new_empty(n_sites, n_nu * n_l, n_features)
    if out.numel():
        tiles = _tiles(n_nu, n_l, n_features, n_slots, z.dtype)
        across, down = triton.cdiv(n_features, tiles.features), triton.cdiv(n_nu, tiles.nu)
        inputs = (tensor.contiguous() for tensor in (s, P, z, index, counts))
        with torch.cuda.device_of(z):
            _message_sum[(n_sites * down * across,)](
                *inputs, out, n_slots, down, across, n_nu, n_l, n_features, **tiles.options()
            )
    return out if into is None else into.add_(out)


def adjoint(
    s: Tensor, P: Tensor, z: Tensor, c: Tensor, index: Tensor, counts: Tensor,
    for_s: bool, for_P: bool, of_z: Tensor | None,
) -> tuple[Tensor | None, Tensor | None]:  # fmt: skip
    """See ``reference.adjoint``.

    A site is the neighbour in many slots. What these add to its row of ``of_z`` comes by atomic additions, in an order
    that differs from run to run, and so do the last bits. Under ``torch.use_deterministic_algorithms(True)`` the rows
    of all slots, (B, K, F), are written to memory first and added by ``index_add_``, which then keeps an order.
    """
    n_sites, n_nu, n_slots = s.shape
    n_l, n_features = P.shape[1], z.shape[1]
    of_s, of_P = (x.new_zeros(x.shape) if wanted else None for x, wanted in ((s, for_s), (P, for_P)))
    if n_sites * n_slots * n_nu * n_l * n_features == 0:
        return of_s, of_P
    s, P, z, c, index, counts = (tensor.contiguous() for tensor in (s, P, z, c, index, counts))
    tiles = _tiles(n_nu, n_l, n_features, n_slots, z.dtype)
    down, across = triton.cdiv(n_slots, tiles.slots), triton.cdiv(n_features, tiles.features)
    sizes = (n_nu, n_l, n_features)
    with torch.cuda.device_of(z):
        if for_s or for_P:
            # Where a derivative is not wanted, its place is taken by a tensor that is never touched.
            results = (s if of_s is None else of_s, P if of_P is None else of_P)
            _adjoint_of_weights[(n_sites * down,)](
                s, P, z, c, index, counts, *results, n_slots, down, *sizes, for_s, for_P, **tiles.options()
            )
        if of_z is not None:
            ordered = torch.are_deterministic_algorithms_enabled()
            target = z.new_zeros(n_sites * n_slots, n_features) if ordered else of_z
            _adjoint_of_features[(n_sites * down * across,)](
                s, P, c, index, counts, target, *target.stride(), n_slots, down, across, *sizes, ordered,
                **tiles.options(),
            )  # fmt: skip
            if ordered:
                empty = torch.arange(n_slots, device=index.device) >= counts[:, None]
                of_z.index_add_(0, index.masked_fill(empty, 0).view(-1), target)
    return of_s, of_P


class _Tiles(NamedTuple):
    """Sizes of a chunk, powers of two: sensitivities, invariants (all of them), slots, features."""

    nu: int
    invariants: int
    slots: int
    features: int
    dot: bool
    precision: str
    warps: int

    def options(self) -> dict:
        """For a launch. One stage: loops of one or two turns have nothing to overlap. Multiply-adds may be fused."""
        names = dict(NU=self.nu, L=self.invariants, SLOTS=self.slots, FEATURES=self.features, DOT=self.dot)
        return names | dict(PRECISION=self.precision, num_warps=self.warps, num_stages=1, enable_fp_fusion=True)


def _tiles(n_nu: int, n_l: int, n_features: int, n_slots: int, dtype: torch.dtype) -> _Tiles:
    """Tiles of 32 (nu, l) pairs, 32 slots and up to 64 features, at 16 or more numbers of a tile for every thread.

    Smaller where the sizes are, but not below 16, the least that tl.dot takes on every GPU. Plain sums hold every
    single product of a tile and take at most 4 features. All invariants of a sensitivity share a tile: it is meant for
    up to a few dozen; beyond 64 the tiles outgrow the registers, still right but slow.
    """
    power = triton.next_power_of_2
    dot = dtype == torch.float32 and n_features >= 8
    all_l, slots = power(n_l), 16 if n_slots <= 16 else 32
    nu = max(min(power(n_nu), 32 // all_l), 16 // all_l, 1)
    features = min(max(power(n_features), 16), 64) if dot else min(power(n_features), 4)
    warps = (4 if features == 64 else 2) if dot else features
    # This name follows all of torch's switches for TF32; to read the older one raises where the newer was used.
    precision = "tf32" if torch.backends.cuda.matmul.fp32_precision == "tf32" else "ieee"
    return _Tiles(nu, all_l, slots, features, dot, precision, warps)


@triton.jit
def _message_sum(
    s, P, z, index, counts, out, n_slots, down, across,
    n_nu: tl.constexpr, n_l: tl.constexpr, n_features: tl.constexpr,
    NU: tl.constexpr, L: tl.constexpr, SLOTS: tl.constexpr, FEATURES: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """NU sensitivities by all invariants by FEATURES features of a site."""
    program = tl.program_id(0)
    i = (program // (down * across)).to(tl.int64)
    first = program // across % down * NU
    n = tl.load(counts + i).to(tl.int32)
    a = program % across * FEATURES + tl.arange(0, FEATURES)
    total = tl.zeros((NU * L, FEATURES), out.dtype.element_ty)
    start = 0
    while start < n:  # the same machine code as of range(), which Triton 3.6 cannot interpret under NumPy 2.4
        k = start + tl.arange(0, SLOTS)
        j = tl.load(index + i * n_slots + k, mask=k < n, other=0)
        near = tl.load(
            z + j[:, None] * n_features + a[None, :], mask=(k < n)[:, None] & (a < n_features)[None, :], other=0.0
        )
        weights = _joined(
            _slots_of(s, i * n_nu, first, n_nu, k, n, n_slots, NU), _slots_of(P, i * n_l, 0, n_l, k, n, n_slots, L)
        )
        total += _product(weights, near, DOT, PRECISION)
        start += SLOTS
    row, inside = _rows(first, n_nu, n_l, NU, L)
    place = (i * (n_nu * n_l) + row)[:, None] * n_features + a[None, :]
    tl.store(out + place, total, mask=inside[:, None] & (a < n_features)[None, :])


@triton.jit
def _adjoint_of_weights(
    s, P, z, c, index, counts, of_s, of_P, n_slots, down,
    n_nu: tl.constexpr, n_l: tl.constexpr, n_features: tl.constexpr, for_s: tl.constexpr, for_P: tl.constexpr,
    NU: tl.constexpr, L: tl.constexpr, SLOTS: tl.constexpr, FEATURES: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """q[(nu, l), k] = sum_a c[(nu, l), a] z[j(k), a] of SLOTS slots; of_s = sum_l q P, of_P = sum_nu q s."""
    program = tl.program_id(0)
    i, start = (program // down).to(tl.int64), program % down * SLOTS
    n = tl.load(counts + i).to(tl.int32)
    if start >= n:
        return
    k, degree = start + tl.arange(0, SLOTS), tl.arange(0, L)
    j = tl.load(index + i * n_slots + k, mask=k < n, other=0)
    P_k = _slots_of(P, i * n_l, 0, n_l, k, n, n_slots, L)
    total = tl.zeros((L, SLOTS), of_P.dtype.element_ty)
    for first in range(0, n_nu, NU):
        row, inside = _rows(first, n_nu, n_l, NU, L)
        q = tl.zeros((NU * L, SLOTS), of_P.dtype.element_ty)
        for feature in range(0, n_features, FEATURES):
            a = feature + tl.arange(0, FEATURES)
            near = tl.load(
                z + j[None, :] * n_features + a[:, None], mask=(k < n)[None, :] & (a < n_features)[:, None], other=0.0
            )
            q += _product(_tile_of(c, i * (n_nu * n_l), row, inside, a, n_features), near, DOT, PRECISION)
        pairs = tl.reshape(q, (NU, L, SLOTS))
        if for_s:
            nu = first + tl.arange(0, NU)
            place = (i * n_nu + nu)[:, None] * n_slots + k[None, :]
            tl.store(of_s + place, tl.sum(pairs * P_k[None, :, :], 1), mask=(nu < n_nu)[:, None] & (k < n)[None, :])
        if for_P:
            s_k = _slots_of(s, i * n_nu, first, n_nu, k, n, n_slots, NU)
            total += tl.sum(pairs * s_k[:, None, :], 0)
    if for_P:
        place = (i * n_l + degree)[:, None] * n_slots + k[None, :]
        tl.store(of_P + place, total, mask=(degree < n_l)[:, None] & (k < n)[None, :])


@triton.jit
def _adjoint_of_features(
    s, P, c, index, counts, of_z, stride, feature_stride, n_slots, down, across,
    n_nu: tl.constexpr, n_l: tl.constexpr, n_features: tl.constexpr, ordered: tl.constexpr,
    NU: tl.constexpr, L: tl.constexpr, SLOTS: tl.constexpr, FEATURES: tl.constexpr,
    DOT: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """sum_{nu l} s P c of SLOTS slots by FEATURES features: added to the neighbour's row, or in the slot's own row."""
    program = tl.program_id(0)
    i, start = (program // (down * across)).to(tl.int64), program // across % down * SLOTS
    n = tl.load(counts + i).to(tl.int32)
    if start >= n:
        return
    k, a = start + tl.arange(0, SLOTS), program % across * FEATURES + tl.arange(0, FEATURES)
    P_k = _slots_of(P, i * n_l, 0, n_l, k, n, n_slots, L)
    total = tl.zeros((SLOTS, FEATURES), of_z.dtype.element_ty)
    for first in range(0, n_nu, NU):
        row, inside = _rows(first, n_nu, n_l, NU, L)
        weights = _joined(_slots_of(s, i * n_nu, first, n_nu, k, n, n_slots, NU), P_k)
        c_a = _tile_of(c, i * (n_nu * n_l), row, inside, a, n_features)
        total += _product(tl.trans(weights), c_a, DOT, PRECISION)
    filled = (k < n)[:, None] & (a < n_features)[None, :]
    if ordered:
        tl.store(of_z + (i * n_slots + k)[:, None] * stride + a[None, :] * feature_stride, total, mask=filled)
    else:
        j = tl.load(index + i * n_slots + k, mask=k < n, other=0)
        place = of_z + j[:, None] * stride + a[None, :] * feature_stride
        tl.atomic_add(place, total, mask=filled, sem="relaxed")


@triton.jit
def _slots_of(x, at, first, n_rows, k, n, n_slots, ROWS: tl.constexpr):
    """x[at + first : at + first + ROWS, k] where there is such a row and the slot is filled, else 0."""
    row = first + tl.arange(0, ROWS)
    mask = (row < n_rows)[:, None] & (k < n)[None, :]
    return tl.load(x + (at + row)[:, None] * n_slots + k[None, :], mask=mask, other=0.0)


@triton.jit
def _rows(first, n_nu: tl.constexpr, n_l: tl.constexpr, NU: tl.constexpr, L: tl.constexpr):
    """The row (nu, l) of the arrays that each row of a tile from sensitivity ``first`` on is, and if there is one."""
    tile_row = tl.arange(0, NU * L)
    nu, degree = first + tile_row // L, tile_row % L
    return nu * n_l + degree, (nu < n_nu) & (degree < n_l)


@triton.jit
def _tile_of(c, at, row, inside, a, n_features):
    """c[at + row, a], 0 outside."""
    mask = inside[:, None] & (a < n_features)[None, :]
    return tl.load(c + (at + row)[:, None] * n_features + a[None, :], mask=mask, other=0.0)


@triton.jit
def _joined(s_k, P_k):
    """s P of every pair (nu, l) as a row: (NU, K), (L, K) -> (NU L, K)."""
    pairs = s_k[:, None, :] * P_k[None, :, :]
    return tl.reshape(pairs, (s_k.shape[0] * P_k.shape[0], s_k.shape[1]))


@triton.jit
def _product(x, y, DOT: tl.constexpr, PRECISION: tl.constexpr):
    """Matrix product."""
    if DOT:
        return tl.dot(x, y, input_precision=PRECISION)
    else:
        return tl.sum(x[:, :, None] * y[None, :, :], 1)
