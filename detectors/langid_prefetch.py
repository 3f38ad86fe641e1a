"""Asks for rows of costs ahead of their use: half of the time of `detectors.langid` would go into waiting for them."""

# mypy: disable-error-code="no-untyped-call"
from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

from detectors.jit import inlined

__all__ = ["prefetch_row"]

U8 = npt.NDArray[np.uint8]

_LINE = 64


def _template(typing_context, rows, row):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        address = builder.gep(view.data, [builder.mul(arguments[1], builder.extract_value(view.strides, 0))])
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
        fetch = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        # To be read, kept in all caches, data.
        hints = [ir.Constant(number, hint) for hint in (0, 3, 1)]
        for line in range(3):
            builder.call(fetch, [builder.gep(address, [ir.Constant(ir.IntType(64), line * _LINE)]), *hints])
        return context.get_dummy_value()

    return types.void(rows, types.uint64), generate


# numba.extending.intrinsic is typed as what it wraps, not as what a kernel calls.
_prefetch: Callable[[U8, np.uint64], None] = intrinsic(_template)  # type: ignore[assignment]


@inlined
def prefetch_row(rows: U8, row: np.uint64) -> None:
    """Begin to fetch the first 192 bytes of a row. Changes nothing."""
    _prefetch(rows, row)
