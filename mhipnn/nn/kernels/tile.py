"""Small matrix products at the speed of the vector units, for kernels that numba compiles.

A message sum is many products of a few dozen rows and columns, too small for a call to BLAS each. ``gemm`` runs over
the output in tiles that stay in registers: LLVM vectors, one fused multiply-add a vector and step, and masks at the
ragged edge, so that no array needs padding. About two thirds of the peak of a large matrix product.
"""

from __future__ import annotations

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .compiled import inlined, kernel
from .vectors import INT, INT32, Vectors, each_vector, lanes_of, pointer

ROWS = 8  # of a tile; with two vectors a row it needs 18 vector registers


@inlined
def gemm(
    out, out_at, out_row, a, a_at, a_row, a_step, b, b_at, b_step, n_rows, n_columns, n_steps, accumulate
):  # fmt: skip
    """out[r, c] (+)= sum_k a[r, k] b[k, c] on flat arrays.

    Each matrix has the place of its first element in its array (``_at``) and its strides: out[r, c] lies at
    out_at + r out_row + c, a[r, k] at a_at + r a_row + k a_step, b[k, c] at b_at + k b_step + c.
    """
    # In numbers of one type: for each combination of literal ones that it is called with, it would be compiled anew.
    _gemm(
        out, np.int64(out_at), np.int64(out_row), a, np.int64(a_at), np.int64(a_row), np.int64(a_step), b,
        np.int64(b_at), np.int64(b_step), np.int64(n_rows), np.int64(n_columns), np.int64(n_steps), bool(accumulate),
    )  # fmt: skip


@kernel
def _gemm(
    out, out_at, out_row, a, a_at, a_row, a_step, b, b_at, b_step, n_rows, n_columns, n_steps, accumulate
):  # fmt: skip
    lanes = lanes_of(out)
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
    lanes = lanes_of(out)
    for column in range(0, n_columns, lanes):
        width = min(n_columns - column, lanes)
        at = (out_at + column, a_at + column, b_at + column)
        _columns(out, at[0], a, at[1], a_step, b, at[2], b_step, width, n_steps, accumulate)


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
        to = pointer(context, builder, out, out_array)
        left, right = pointer(context, builder, a, a_array), pointer(context, builder, b, b_array)
        v = Vectors(context, builder, out.dtype)
        number = lambda value: ir.Constant(INT, value)  # noqa: E731
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
        to = pointer(context, builder, out, out_array)
        left, right = pointer(context, builder, a, a_array), pointer(context, builder, b, b_array)
        v = Vectors(context, builder, out.dtype)
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
def outer(typing_context, out, out_at, f, f_at, f_step, n_rows, a, a_at, n_columns):
    """out[r, c] = f[r] a[c] on flat arrays: out[r, c] lies at out_at + r n_columns + c, f[r] at f_at + r f_step."""
    i = types.intp
    signature = types.void(out, i, f, i, i, i, a, i, i)

    def codegen(context, builder, signature, arguments):
        out_array, o, f_array, q, f_step, n_rows, a_array, p, n_columns = arguments
        to, given = pointer(context, builder, out, out_array), pointer(context, builder, a, a_array)
        factors, v = pointer(context, builder, f, f_array), Vectors(context, builder, out.dtype)
        with each_vector(v, n_columns) as (column, mask):
            value = v.load(given, builder.add(p, column), mask)
            with cgutils.for_range(builder, n_rows) as rows:
                factor = builder.load(builder.gep(factors, [builder.add(q, builder.mul(rows.index, f_step))]))
                at = builder.add(builder.add(o, column), builder.mul(rows.index, n_columns))
                v.store(builder.fmul(v.splat(factor), value), to, at, mask)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def combine(typing_context, out, out_at, w, w_at, f, f_at, f_step, n_rows, a, a_at, a_row, n_columns, weighted):
    """out[c] += w[c] sum_r f[r] a[r, c] on flat arrays, with f[r] at f_at + r f_step and a[r, c] at a_at + r a_row + c.

    ``weighted`` false leaves w out.
    """
    i = types.intp
    signature = types.void(out, i, w, i, f, i, i, i, a, i, i, i, types.boolean)

    def codegen(context, builder, signature, arguments):
        out_array, o, w_array, u, f_array, q, f_step, n_rows, a_array, p, a_row, n_columns, weighted = arguments
        to, given = pointer(context, builder, out, out_array), pointer(context, builder, a, a_array)
        weights, factors = pointer(context, builder, w, w_array), pointer(context, builder, f, f_array)
        v = Vectors(context, builder, out.dtype)
        with each_vector(v, n_columns) as (column, mask):
            total = v.variable()
            with cgutils.for_range(builder, n_rows) as rows:
                factor = builder.load(builder.gep(factors, [builder.add(q, builder.mul(rows.index, f_step))]))
                at = builder.add(builder.add(p, column), builder.mul(rows.index, a_row))
                builder.store(v.multiply_add(v.splat(factor), v.load(given, at, mask), builder.load(total)), total)
            with builder.if_then(weighted):
                weight = v.load(weights, builder.add(u, column), mask)
                builder.store(builder.fmul(weight, builder.load(total)), total)
            place = builder.add(o, column)
            v.store(builder.fadd(v.load(to, place, mask), builder.load(total)), to, place, mask)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def dot(typing_context, a, a_at, b, b_at, n_columns):
    """sum_c a[c] b[c] on flat arrays, lane by lane and then over the lanes."""
    signature = a.dtype(a, types.intp, b, types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        a_array, p, b_array, q, n_columns = arguments
        left, right = pointer(context, builder, a, a_array), pointer(context, builder, b, b_array)
        v = Vectors(context, builder, a.dtype)
        total = v.variable()
        with each_vector(v, n_columns) as (at, mask):
            x, y = v.load(left, builder.add(p, at), mask), v.load(right, builder.add(q, at), mask)
            builder.store(v.multiply_add(x, y, builder.load(total)), total)
        return v.total(builder.load(total))

    return signature, codegen


@intrinsic
def prefetch(typing_context, a, a_at, n):
    """Ask for n elements of a flat array before they are needed, where the CPU would not foresee it."""
    signature = types.void(a, types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        a_array, p, n = arguments
        start = builder.gep(pointer(context, builder, a, a_array), [p])
        line = ir.Constant(INT, 64 // context.get_abi_sizeof(context.get_value_type(a.dtype)))
        kind = ir.FunctionType(ir.VoidType(), [start.type, INT32, INT32, INT32])
        ask = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        n_lines = builder.sdiv(builder.add(n, builder.sub(line, ir.Constant(INT, 1))), line)
        with cgutils.for_range(builder, n_lines) as loop:
            place = builder.gep(start, [builder.mul(loop.index, line)])
            builder.call(ask, [place, ir.Constant(INT32, 0), ir.Constant(INT32, 3), ir.Constant(INT32, 1)])
        return context.get_dummy_value()

    return signature, codegen
