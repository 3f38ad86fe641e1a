"""Looks at 64 bytes at once for the few that `detectors.residue_kernels` stops at.

Written as portable vector code, as `detectors.simd` is. Bit i of a mask speaks of the byte at `at + i`.
"""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from numba.core import types
from numba.extending import intrinsic

from detectors.jit import inlined
from detectors.simd import between, load_block, mask_of, splat

__all__ = ["OTHER_SCRIPTS", "residue_masks"]

U8 = npt.NDArray[np.uint8]

OTHER_SCRIPTS = frozenset((*range(0xD0, 0xE1), *range(0xE8, 0xF0)))
"""Bytes that make a document one of another script: the first ones of Cyrillic, Arabic, Devanagari, Thai, Hangul."""


def _template(typing_context, array, at):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        block = load_block(context, builder, signature.args[0], *arguments)
        return context.make_tuple(builder, signature.return_type, _masks_of(builder, block))

    return types.UniTuple(types.uint64, 4)(array, types.int64), generate


def _masks_of(builder, block):  # type: ignore[no-untyped-def]
    stops = builder.or_(between(builder, block, ord("!"), 1), between(builder, block, ord(":"), 1))
    digits = between(builder, block, ord("0"), 10)
    letters = between(builder, builder.or_(block, splat(0x20)), ord("n"), 1)
    scripts = builder.or_(between(builder, block, 0xD0, 0x11), between(builder, block, 0xE8, 8))
    return [mask_of(builder, lanes) for lanes in (stops, digits, letters, scripts)]


# numba.extending.intrinsic is typed as what it wraps, not as what a kernel calls.
_masks: Callable[[U8, int], tuple[np.uint64, np.uint64, np.uint64, np.uint64]] = intrinsic(_template)  # type: ignore[assignment]


@inlined
def residue_masks(data: U8, at: int) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    """Masks of `!` and `:`, of digits, of `n` in either case, of `OTHER_SCRIPTS`.

    `at + 64 <= data.size` is up to the caller.
    """
    return _masks(data, at)
