"""Vectors of the CPU's vector units in code that numba compiles: masked loads and stores, products, sums over lanes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

INT = ir.IntType(64)
INT32 = ir.IntType(32)


def _vector_lanes(bits: int) -> int:
    """Elements of ``bits`` in a vector: 512 bits where the CPU has them, else 256 (which LLVM splits where it must)."""
    wide = sys.platform != "darwin" and binding.get_host_cpu_features().get("avx512f", False)
    return (512 if wide else 256) // bits


class Vectors:
    """Loads, stores and products of the vectors of one intrinsic."""

    def __init__(self, context: Any, builder: Any, element: Any, lanes: int | None = None) -> None:
        self.builder = builder
        scalar = context.get_value_type(element)
        self.bytes = context.get_abi_sizeof(scalar)
        self.lanes = lanes or _vector_lanes(8 * self.bytes)
        self.type = ir.VectorType(scalar, self.lanes)
        self.zero = self.constant(0.0)
        self._mask = ir.VectorType(ir.IntType(1), self.lanes)
        self._suffix = f"v{self.lanes}f{8 * self.bytes}"
        self._align = ir.Constant(INT32, self.bytes)

    def mask(self, width: Any) -> Any:
        """True in the first ``width`` lanes."""
        lane = ir.Constant(ir.VectorType(INT, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", lane, self.splat(width, ir.VectorType(INT, self.lanes)))

    def splat(self, value: Any, kind: Any = None) -> Any:
        kind = kind or self.type
        undefined = ir.Constant(kind, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(INT32, 0))
        return self.builder.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(INT32, self.lanes), None))

    def load(self, pointer: Any, at: Any, mask: Any = None) -> Any:
        place = self._place(pointer, at)
        if mask is None:
            return self.builder.load(place, align=self.bytes)
        kind = ir.FunctionType(self.type, [self.type.as_pointer(), INT32, self._mask, self.type])
        load = self._intrinsic(kind, f"llvm.masked.load.{self._suffix}.p0")
        return self.builder.call(load, [place, self._align, mask, self.zero])

    def store(self, value: Any, pointer: Any, at: Any, mask: Any = None) -> None:
        place = self._place(pointer, at)
        if mask is None:
            self.builder.store(value, place, align=self.bytes)
            return
        kind = ir.FunctionType(ir.VoidType(), [self.type, self.type.as_pointer(), INT32, self._mask])
        store = self._intrinsic(kind, f"llvm.masked.store.{self._suffix}.p0")
        self.builder.call(store, [value, place, self._align, mask])

    def constant(self, value: float) -> Any:
        return ir.Constant(self.type, [value] * self.lanes)

    def rounded(self, value: Any) -> Any:
        """To the nearest whole number."""
        rint = self._intrinsic(ir.FunctionType(self.type, [self.type]), f"llvm.rint.{self._suffix}")
        return self.builder.call(rint, [value])

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


@contextmanager
def each_vector(v: Vectors, n: Any) -> Iterator[tuple[Any, Any]]:
    """A loop over the vectors of n elements: where each starts, and its mask."""
    builder, lanes = v.builder, ir.Constant(INT, v.lanes)
    n_vectors = builder.sdiv(builder.add(n, ir.Constant(INT, v.lanes - 1)), lanes)
    with cgutils.for_range(builder, n_vectors) as loop:
        at = builder.mul(loop.index, lanes)
        yield at, v.mask(builder.sub(n, at))


def pointer(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    return context.make_array(kind)(context, builder, array).data


@intrinsic
def lanes_of(typing_context, array):
    """Elements of the array's type in one vector."""

    def codegen(context, builder, signature, arguments):
        bits = 8 * context.get_abi_sizeof(context.get_value_type(array.dtype))
        return ir.Constant(INT, _vector_lanes(bits))

    return types.intp(array), codegen
