"""Small matrix products at the speed of the vector units, for kernels that numba compiles.

A message sum is many products of a few dozen rows and columns, too small for a call to BLAS each. ``gemm`` runs over
the output in tiles that stay in registers: LLVM vectors, one fused multiply-add a vector and step, and masks at the
ragged edge, so that no array needs padding. About two thirds of the peak of a large matrix product.
"""

from __future__ import annotations

import sys
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiled import kernel

ROWS = 8  # of a tile; with two vectors a row it needs 18 vector registers
_INT = ir.IntType(64)
_INT32 = ir.IntType(32)


@kernel
def gemm(
    out, out_at, out_row, a, a_at, a_row, a_step, b, b_at, b_step, n_rows, n_columns, n_steps, accumulate
):  # fmt: skip
    """out[r, c] (+)= sum_k a[r, k] b[k, c] on flat arrays.

    Each matrix has the place of its first element in its array (``_at``) and its strides: out[r, c] lies at
    out_at + r out_row + c, a[r, k] at a_at + r a_row + k a_step, b[k, c] at b_at + k b_step + c.
    """
    lanes = _lanes(out)
    for column in range(0, n_columns, 2 * lanes):
        width = min(n_columns - column, 2 * lanes)
        row = 0
        while row + ROWS <= n_rows:
            o, p = out_at + row * out_row + column, a_at + row * a_row
            if width > lanes:
                _tile(8, 2, out, o, out_row, a, p, a_row, a_step, b, b_at + column, b_step, width, n_steps, accumulate)
            else:
                _tile(8, 1, out, o, out_row, a, p, a_row, a_step, b, b_at + column, b_step, width, n_steps, accumulate)
            row += ROWS
        if row + 4 <= n_rows:
            o, p = out_at + row * out_row + column, a_at + row * a_row
            if width > lanes:
                _tile(4, 2, out, o, out_row, a, p, a_row, a_step, b, b_at + column, b_step, width, n_steps, accumulate)
            else:
                _tile(4, 1, out, o, out_row, a, p, a_row, a_step, b, b_at + column, b_step, width, n_steps, accumulate)
            row += 4
        while row < n_rows:
            o, p = out_at + row * out_row + column, a_at + row * a_row
            if width > lanes:
                _tile(1, 2, out, o, out_row, a, p, a_row, a_step, b, b_at + column, b_step, width, n_steps, accumulate)
            else:
                _tile(1, 1, out, o, out_row, a, p, a_row, a_step, b, b_at + column, b_step, width, n_steps, accumulate)
            row += 1


@kernel
def hadamard(out, out_at, a, a_at, a_step, b, b_at, b_step, n_columns, n_steps, accumulate):
    """out[c] (+)= sum_k a[k, c] b[k, c] on flat arrays: column by column, no product between columns."""
    lanes = _lanes(out)
    for column in range(0, n_columns, lanes):
        width = min(n_columns - column, lanes)
        at = (out_at + column, a_at + column, b_at + column)
        _columns(out, at[0], a, at[1], a_step, b, at[2], b_step, width, n_steps, accumulate)


@kernel
def scale(out, out_at, factor, a, a_at, n_columns):
    """out[c] = factor a[c] on flat arrays; the factor in their precision."""
    lanes = _lanes(out)
    for column in range(0, n_columns, lanes):
        _scale(out, out_at + column, factor, a, a_at + column, min(n_columns - column, lanes))


def _vector_lanes(bits: int) -> int:
    """Elements of ``bits`` in a vector: 512 bits where the CPU has them, else 256 (which LLVM splits where it must)."""
    wide = sys.platform != "darwin" and binding.get_host_cpu_features().get("avx512f", False)
    return (512 if wide else 256) // bits


class _Vectors:
    """Loads, stores and products of the vectors of one intrinsic."""

    def __init__(self, context: Any, builder: Any, element: Any) -> None:
        self.builder = builder
        scalar = context.get_value_type(element)
        self.bytes = context.get_abi_sizeof(scalar)
        self.lanes = _vector_lanes(8 * self.bytes)
        self.type = ir.VectorType(scalar, self.lanes)
        self.zero = ir.Constant(self.type, [0.0] * self.lanes)
        self._mask = ir.VectorType(ir.IntType(1), self.lanes)
        self._suffix = f"v{self.lanes}f{8 * self.bytes}"
        self._align = ir.Constant(_INT32, self.bytes)

    def mask(self, width: Any) -> Any:
        """True in the first ``width`` lanes."""
        lane = ir.Constant(ir.VectorType(_INT, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, self.splat(width, ir.VectorType(_INT, self.lanes)))

    def splat(self, value: Any, kind: Any = None) -> Any:
        kind = kind or self.type
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(_INT32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(_INT32, self.lanes), None))

    def load(self, pointer: Any, at: Any, mask: Any = None) -> Any:
        place = self._place(pointer, at)
        if mask is None:
            return self.builder.load(place, align=self.bytes)
        kind = ir.FunctionType(self.type, [self.type.as_pointer(), _INT32, self._mask, self.type])
        load = self._intrinsic(kind, f"llvm.masked.load.{self._suffix}.p0")
        return self.builder.call(load, [place, self._align, mask, self.zero])

    def store(self, value: Any, pointer: Any, at: Any, mask: Any = None) -> None:
        place = self._place(pointer, at)
        if mask is None:
            self.builder.store(value, place, align=self.bytes)
            return
        kind = ir.FunctionType(ir.VoidType(), [self.type, self.type.as_pointer(), _INT32, self._mask])
        store = self._intrinsic(kind, f"llvm.masked.store.{self._suffix}.p0")
        self.builder.call(store, [value, place, self._align, mask])

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        fma = self._intrinsic(ir.FunctionType(self.type, [self.type] * 3), f"llvm.fma.{self._suffix}")
        return self.builder.call(fma, [a, b, c])

    def total(self, value: Any) -> Any:
        """Sum of the lanes, in pairs."""
        scalar = self.type.element
        add = self._intrinsic(ir.FunctionType(scalar, [scalar, self.type]), f"llvm.vector.reduce.fadd.{self._suffix}")
        return self.builder.call(add, [ir.Constant(scalar, 0.0), value], fastmath=("reassoc",))

    def variable(self) -> Any:
        """A vector that the optimiser keeps in a register."""
        slot = cgutils.alloca_once(self.builder, self.type)
        self.builder.store(self.zero, slot)
        return slot

    def _place(self, pointer: Any, at: Any) -> Any:
        return self.builder.bitcast(self.builder.gep(pointer, [at]), self.type.as_pointer())

    def _intrinsic(self, kind: Any, name: str) -> Any:
        return cgutils.get_or_insert_function(self.builder.module, kind, name)


def _pointer(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


@intrinsic
def _lanes(typing_context, array):
    """Elements of the array's type in one vector."""

    def codegen(context, builder, signature, arguments):
        bits = 8 * context.get_abi_sizeof(context.get_value_type(array.dtype))
        return ir.Constant(_INT, _vector_lanes(bits))

    return types.intp(array), codegen


@intrinsic(prefer_literal=True)
def _tile(
    typing_context, rows, vectors, out, o, out_row, a, p, a_row, a_step, b, q, b_step, width, n_steps, accumulate
):  # fmt: skip
    """One tile of ``rows`` x ``vectors`` (literal integers) of ``gemm``; the last vector of a row may be ragged."""
    n_rows, n_vectors = rows.literal_value, vectors.literal_value
    integers = types.intp
    signature = types.void(
        rows, vectors, out, integers, integers, a, integers, integers, integers,
        b, integers, integers, integers, integers, types.boolean,
    )  # fmt: skip

    def codegen(context, builder, signature, arguments):
        out_array, o, out_row, a_array, p, a_row, a_step, b_array, q, b_step, width, n_steps, accumulate = arguments[2:]
        to = _pointer(context, builder, out, out_array)
        left, right = _pointer(context, builder, a, a_array), _pointer(context, builder, b, b_array)
        v = _Vectors(context, builder, out.dtype)
        number = lambda value: ir.Constant(_INT, value)  # noqa: E731
        last = v.mask(builder.sub(width, number((n_vectors - 1) * v.lanes)))
        masks = [None] * (n_vectors - 1) + [last]
        starts = [number(c * v.lanes) for c in range(n_vectors)]
        to_rows = [builder.add(o, builder.mul(out_row, number(r))) for r in range(n_rows)]
        a_rows = [builder.add(p, builder.mul(a_row, number(r))) for r in range(n_rows)]
        sums = [[v.variable() for _ in range(n_vectors)] for _ in range(n_rows)]
        with builder.if_then(accumulate):
            for row, at in zip(sums, to_rows, strict=True):
                for slot, start, mask in zip(row, starts, masks, strict=True):
                    builder.store(v.load(to, builder.add(at, start), mask), slot)
        with cgutils.for_range(builder, n_steps) as loop:
            from_b = builder.add(q, builder.mul(loop.index, b_step))
            step = builder.mul(loop.index, a_step)
            columns = [v.load(right, builder.add(from_b, s), m) for s, m in zip(starts, masks, strict=True)]
            for row, at in zip(sums, a_rows, strict=True):
                factor = v.splat(builder.load(builder.gep(left, [builder.add(at, step)])))
                for slot, column in zip(row, columns, strict=True):
                    builder.store(v.multiply_add(factor, column, builder.load(slot)), slot)
        for row, at in zip(sums, to_rows, strict=True):
            for slot, start, mask in zip(row, starts, masks, strict=True):
                v.store(builder.load(slot), to, builder.add(at, start), mask)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _columns(typing_context, out, o, a, p, a_step, b, q, b_step, width, n_steps, accumulate):
    """One vector of ``hadamard``."""
    i = types.intp
    signature = types.void(out, i, a, i, i, b, i, i, i, i, types.boolean)

    def codegen(context, builder, signature, arguments):
        out_array, o, a_array, p, a_step, b_array, q, b_step, width, n_steps, accumulate = arguments
        to = _pointer(context, builder, out, out_array)
        left, right = _pointer(context, builder, a, a_array), _pointer(context, builder, b, b_array)
        v = _Vectors(context, builder, out.dtype)
        mask, total = v.mask(width), v.variable()
        with builder.if_then(accumulate):
            builder.store(v.load(to, o, mask), total)
        with cgutils.for_range(builder, n_steps) as loop:
            x = v.load(left, builder.add(p, builder.mul(loop.index, a_step)), mask)
            y = v.load(right, builder.add(q, builder.mul(loop.index, b_step)), mask)
            builder.store(v.multiply_add(x, y, builder.load(total)), total)
        v.store(builder.load(total), to, o, mask)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def _scale(typing_context, out, o, factor, a, p, width):
    """One vector of ``scale``."""
    signature = types.void(out, types.intp, out.dtype, a, types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        out_array, o, factor, a_array, p, width = arguments
        v = _Vectors(context, builder, out.dtype)
        mask = v.mask(width)
        value = v.load(_pointer(context, builder, a, a_array), p, mask)
        v.store(builder.fmul(v.splat(factor), value), _pointer(context, builder, out, out_array), o, mask)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def dot(typing_context, a, a_at, b, b_at, n_columns):
    """sum_c a[c] b[c] on flat arrays, lane by lane and then over the lanes."""
    signature = a.dtype(a, types.intp, b, types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        a_array, p, b_array, q, n_columns = arguments
        left, right = _pointer(context, builder, a, a_array), _pointer(context, builder, b, b_array)
        v = _Vectors(context, builder, a.dtype)
        lanes, total = ir.Constant(_INT, v.lanes), v.variable()
        n_vectors = builder.sdiv(builder.add(n_columns, ir.Constant(_INT, v.lanes - 1)), lanes)
        with cgutils.for_range(builder, n_vectors) as loop:
            at = builder.mul(loop.index, lanes)
            mask = v.mask(builder.sub(n_columns, at))
            x, y = v.load(left, builder.add(p, at), mask), v.load(right, builder.add(q, at), mask)
            builder.store(v.multiply_add(x, y, builder.load(total)), total)
        return v.total(builder.load(total))

    return signature, codegen
