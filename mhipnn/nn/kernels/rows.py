"""Rows of channels times one row of factors, for kernels that numba compiles."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .vectors import INT, Vectors, each_vector, pointer


@intrinsic
def scaled_rows(typing_context, out, out_at, f, f_at, a, a_at, n_rows, n_columns, accumulate):
    """out[r, c] (+)= f[c] a[r, c] on flat arrays, rows one after the other in both; ``out`` may be ``a``.

    Rows of half a vector go without masks: a load waits for a masked store nearby, even of lanes that are masked out.
    """
    i = types.intp
    signature = types.void(out, i, f, i, a, i, i, i, types.boolean)

    def codegen(context, builder, signature, arguments):
        out_array, o, f_array, q, a_array, p, n_rows, n_columns, accumulate = arguments
        to, given = pointer(context, builder, out, out_array), pointer(context, builder, a, a_array)
        factors, v = pointer(context, builder, f, f_array), Vectors(context, builder, out.dtype)
        half = Vectors(context, builder, out.dtype, v.lanes // 2)

        def each_row(v: Vectors, column: Any, mask: Any) -> None:
            factor = v.load(factors, builder.add(q, column), mask)
            with cgutils.for_range(builder, n_rows) as rows:
                at = builder.add(column, builder.mul(rows.index, n_columns))
                value, before, place = v.load(given, builder.add(p, at), mask), v.variable(), builder.add(o, at)
                with builder.if_then(accumulate):
                    builder.store(v.load(to, place, mask), before)
                v.store(v.multiply_add(factor, value, builder.load(before)), to, place, mask)

        narrow = builder.icmp_signed("==", n_columns, ir.Constant(INT, half.lanes))
        with builder.if_else(narrow) as (then, otherwise):
            with then:
                each_row(half, ir.Constant(INT, 0), None)
            with otherwise, each_vector(v, n_columns) as (column, mask):
                each_row(v, column, mask)
        return context.get_dummy_value()

    return signature, codegen
