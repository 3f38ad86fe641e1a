"""Compiles kernels with numba, typed, so that `mypy --strict` still sees through the decorator.

Kernels release the GIL and are cached on disk beside the source, or in the user's cache folder where that is read-only
(`NUMBA_CACHE_DIR` overrides). Two properties of numba to keep in mind when editing kernels: there are no bounds
checks, and its cache notices changes of the file a kernel is in but not of files it imports kernels from.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

__all__ = ["compiled", "inlined", "load8", "read_only", "trailing_zeros"]

P = ParamSpec("P")
T = TypeVar("T", bound=np.generic)
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call. No fast-math: the same input gives the same bits on every machine."""
    kernel: Callable[P, R] = numba.njit(nogil=True, cache=True, error_model="numpy")(function)
    return kernel


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile into every caller: for helpers of inner loops, where passing arrays would cost more than the work."""
    kernel: Callable[P, R] = numba.njit(nogil=True, cache=True, error_model="numpy", forceinline=True)(function)
    return kernel


def read_only(array: npt.NDArray[T]) -> npt.NDArray[T]:
    """A contiguous read-only view. Kernels are compiled once per type of array, and being read-only is part of it."""
    view = np.ascontiguousarray(array).view()
    view.flags.writeable = False
    return view


def _load8_template(typing_context, array, at):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        word = ir.IntType(64)
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(view.data, [arguments[1]], inbounds=True)
        value = builder.load(builder.bitcast(address, word.as_pointer()), align=1)
        return builder.bswap(value) if sys.byteorder == "big" else value

    return types.uint64(array, types.int64), generate


def _trailing_zeros_template(typing_context, value):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


# numba.extending.intrinsic is typed as what it wraps, not as what a kernel calls.
_load8: Callable[[npt.NDArray[np.uint8], int], np.uint64] = intrinsic(_load8_template)  # type: ignore[assignment]
_trailing_zeros: Callable[[np.uint64], int] = intrinsic(_trailing_zeros_template)  # type: ignore[assignment]


@inlined
def load8(data: npt.NDArray[np.uint8], at: int) -> np.uint64:
    """The eight bytes from `at` on, the first one lowest, aligned or not. `at + 8 <= data.size` is up to the caller."""
    return _load8(data, at)


@inlined
def trailing_zeros(value: np.uint64) -> int:
    """Number of zero bits below the lowest one bit of `value`, which must not be 0."""
    return _trailing_zeros(value)
