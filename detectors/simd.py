"""Looks at 64 bytes at once: bit masks of where letters, marks and other classes of bytes stand.

Written as portable vector code, which LLVM turns into the widest instructions that the machine has; the masks are the
same everywhere. Bit i of a mask speaks of the byte at `at + i`.
"""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from detectors.jit import inlined

__all__ = ["count_ones", "equal_mask", "high_mask", "lead_mask", "opaque", "text_masks"]

U8 = npt.NDArray[np.uint8]

_WIDTH = 64
_BYTES = ir.VectorType(ir.IntType(8), _WIDTH)
_BITS = ir.IntType(64)


def splat(value: int) -> ir.Constant:
    """64 lanes of one byte."""
    return ir.Constant(_BYTES, [value] * _WIDTH)


def load_block(context, builder, array_type, array, at):  # type: ignore[no-untyped-def]
    """The 64 bytes of an array from `at` on."""
    view = context.make_array(array_type)(context, builder, array)
    address = builder.gep(view.data, [at], inbounds=True)
    return builder.load(builder.bitcast(address, _BYTES.as_pointer()), align=1)


def mask_of(builder, lanes):  # type: ignore[no-untyped-def]
    """64 truth values as one number, the first lane lowest."""
    if sys.byteorder == "big":
        lanes = builder.shuffle_vector(
            lanes, lanes, ir.Constant(ir.VectorType(ir.IntType(32), _WIDTH), list(range(_WIDTH))[::-1])
        )
    return builder.bitcast(lanes, _BITS)


def between(builder, block, first, count):  # type: ignore[no-untyped-def]
    """Which bytes are one of `count` values from `first` on."""
    return builder.icmp_unsigned("<", builder.sub(block, splat(first)), splat(count))


def _text_masks_template(typing_context, array, at):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = load_block(context, builder, signature.args[0], *arguments)
        lowered = builder.or_(block, splat(0x20))
        letters = between(builder, lowered, ord("a"), 26)
        digits = between(builder, block, ord("0"), 10)
        words = mask_of(builder, builder.or_(letters, digits))
        high = mask_of(builder, builder.icmp_signed("<", block, splat(0)))
        apostrophes = mask_of(builder, builder.icmp_unsigned("==", block, splat(ord("'"))))
        return context.make_tuple(builder, signature.return_type, [words, high, apostrophes])

    return types.UniTuple(types.uint64, 3)(array, types.int64), generate


def _equal_mask_template(typing_context, array, at, value):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = load_block(context, builder, signature.args[0], *arguments[:2])
        single = builder.insert_element(ir.Constant(_BYTES, ir.Undefined), arguments[2], ir.Constant(ir.IntType(32), 0))
        wanted = builder.shuffle_vector(
            single, ir.Constant(_BYTES, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), _WIDTH), [0] * _WIDTH)
        )
        return mask_of(builder, builder.icmp_unsigned("==", block, wanted))

    return types.uint64(array, types.int64, types.uint8), generate


def _lead_mask_template(typing_context, array, at):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = load_block(context, builder, signature.args[0], *arguments)
        return mask_of(builder, builder.icmp_unsigned("!=", builder.and_(block, splat(0xC0)), splat(0x80)))

    return types.uint64(array, types.int64), generate


def _high_mask_template(typing_context, array, at):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = load_block(context, builder, signature.args[0], *arguments)
        return mask_of(builder, builder.icmp_signed("<", block, splat(0)))

    return types.uint64(array, types.int64), generate


def _count_ones_template(typing_context, value):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


def _opaque_template(typing_context, value):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        kind = ir.FunctionType(_BITS, [_BITS])
        return builder.asm(kind, "", "=r,0", arguments, side_effect=False)

    return types.int64(types.int64), generate


# numba.extending.intrinsic is typed as what it wraps, not as what a kernel calls.
_text_masks: Callable[[U8, int], tuple[np.uint64, np.uint64, np.uint64]] = intrinsic(_text_masks_template)  # type: ignore[assignment]
_equal_mask: Callable[[U8, int, int], np.uint64] = intrinsic(_equal_mask_template)  # type: ignore[assignment]
_lead_mask: Callable[[U8, int], np.uint64] = intrinsic(_lead_mask_template)  # type: ignore[assignment]
_high_mask: Callable[[U8, int], np.uint64] = intrinsic(_high_mask_template)  # type: ignore[assignment]
_opaque: Callable[[int], int] = intrinsic(_opaque_template)  # type: ignore[assignment]
_count_ones: Callable[[np.uint64], int] = intrinsic(_count_ones_template)  # type: ignore[assignment]


@inlined
def text_masks(data: U8, at: int) -> tuple[np.uint64, np.uint64, np.uint64]:
    """Masks of ASCII letters and digits, of bytes beyond ASCII, of `'`. `at + 64 <= data.size` is up to the caller."""
    return _text_masks(data, at)


@inlined
def equal_mask(data: U8, at: int, value: int) -> np.uint64:
    """Mask of the bytes that are `value`. `at + 64 <= data.size` is up to the caller."""
    return _equal_mask(data, at, value)


@inlined
def lead_mask(data: U8, at: int) -> np.uint64:
    """Mask of the bytes that are no UTF-8 continuation bytes. `at + 64 <= data.size` is up to the caller."""
    return _lead_mask(data, at)


@inlined
def high_mask(data: U8, at: int) -> np.uint64:
    """Mask of the bytes beyond ASCII. `at + 64 <= data.size` is up to the caller."""
    return _high_mask(data, at)


@inlined
def count_ones(mask: np.uint64) -> int:
    """Number of one bits."""
    return _count_ones(mask)


@inlined
def opaque(value: int) -> int:
    """The same number, of which the compiler knows nothing: a condition made of two stays one branch.

    Split in two, each half of `new or found` is a coin toss; together they are nearly always true.
    """
    return _opaque(value)
