"""SiLU and its derivative at the speed of the vector units: numba by itself calls the scalar exponential."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .vectors import INT32, Vectors, each_vector, pointer

# By bits: bits of the fraction, largest argument that the scaling by 2^k survives, terms of exp on |r| <= ln(2) / 2.
_FORMATS = {32: (23, 87.0, 8), 64: (52, 708.0, 14)}


@intrinsic
def silu(typing_context, out, out_at, x, x_at, n):
    """out[c] = x[c] sigma(x[c]) on flat arrays, c < n; they may be the same."""
    signature = types.void(out, types.intp, x, types.intp, types.intp)

    def codegen(context, builder, signature, arguments):
        out_array, o, x_array, p, n = arguments
        v = Vectors(context, builder, out.dtype)
        to, given = pointer(context, builder, out, out_array), pointer(context, builder, x, x_array)
        with each_vector(v, n) as (at, mask):
            value = v.load(given, builder.add(p, at), mask)
            v.store(builder.fmul(value, _logistic(v, value)), to, builder.add(o, at), mask)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def silu_adjoint(typing_context, out, out_at, g, g_at, x, x_at, n):
    """out[c] = g[c] sigma (1 + x (1 - sigma)), sigma = sigma(x[c]); out and g may be the same."""
    i = types.intp
    signature = types.void(out, i, g, i, x, i, i)

    def codegen(context, builder, signature, arguments):
        out_array, o, g_array, q, x_array, p, n = arguments
        v = Vectors(context, builder, out.dtype)
        to, given = pointer(context, builder, out, out_array), pointer(context, builder, x, x_array)
        gradient = pointer(context, builder, g, g_array)
        with each_vector(v, n) as (at, mask):
            value = v.load(given, builder.add(p, at), mask)
            sigma, one = _logistic(v, value), v.constant(1.0)
            slope = builder.fmul(sigma, v.multiply_add(value, builder.fsub(one, sigma), one))
            result = builder.fmul(v.load(gradient, builder.add(q, at), mask), slope)
            v.store(result, to, builder.add(o, at), mask)
        return context.get_dummy_value()

    return signature, codegen


def _logistic(v: Vectors, x: Any) -> Any:
    """1 / (1 + exp(-x))."""
    one = v.constant(1.0)
    return v.builder.fdiv(one, v.builder.fadd(one, _exp(v, v.builder.fneg(x))))


def _exp(v: Vectors, x: Any) -> Any:
    """2^k exp(r) with x = k ln 2 + r and the power series of exp; beyond the range of the type, its ends."""
    builder, bits = v.builder, 8 * v.bytes
    fraction, limit, n_terms = _FORMATS[bits]
    for bound, beyond in ((limit, ">"), (-limit, "<")):
        bound = v.constant(bound)
        x = builder.select(builder.fcmp_ordered(beyond, x, bound), bound, x)
    k = v.rounded(builder.fmul(x, v.constant(1 / math.log(2))))
    high, low = _ln2(bits)
    r = v.multiply_add(k, v.constant(-low), v.multiply_add(k, v.constant(-high), x))
    series = v.constant(1 / math.factorial(n_terms - 1))
    for term in reversed(range(n_terms - 1)):
        series = v.multiply_add(series, r, v.constant(1 / math.factorial(term)))
    integers = ir.VectorType(ir.IntType(bits), v.lanes)
    power = builder.fptosi(k, ir.VectorType(INT32, v.lanes))
    power = power if bits == 32 else builder.sext(power, integers)
    bias, shift = (ir.Constant(integers, [value] * v.lanes) for value in ((1 << (bits - fraction - 2)) - 1, fraction))
    return builder.fmul(series, builder.bitcast(builder.shl(builder.add(power, bias), shift), v.type))


def _ln2(bits: int) -> tuple[float, float]:
    """ln 2 as the nearest number of the type and the rest."""
    high = float(np.float32(math.log(2)) if bits == 32 else math.log(2))
    return high, float(Decimal(2).ln() - Decimal(high))
