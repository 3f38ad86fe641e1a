"""Compiles kernels with numba, typed, so that `mypy --strict` still sees through the decorator.

Kernels release the GIL and are cached on disk beside the source, or in the user's cache folder where that is read-only
(`NUMBA_CACHE_DIR` overrides); where neither can be written, each process compiles its own. A change of the file that a
kernel is in, of its options, or of a kernel, constant or intrinsic that it imports, compiles it anew. Keep in mind when
editing kernels that there are no bounds checks.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

import numba
import numpy as np
import numpy.typing as npt
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import event, types
from numba.extending import intrinsic

from detectors.compiling import tell_compiling
from detectors.kernel_cache import SharedCache

__all__ = ["bare", "compiled", "inlined", "load8", "read_only", "trailing_zeros"]

P = ParamSpec("P")
T = TypeVar("T", bound=np.generic)
R = TypeVar("R")

_BARE: dict[str, Any] = {"_nrt": False}


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call. No fast-math: the same input gives the same bits on every machine."""
    return _cached(numba.njit(nogil=True, error_model="numpy")(function))


def bare(function: Callable[P, R]) -> Callable[P, R]:
    """Compile a kernel that makes no array of its own (slices are fine): it counts no references.

    Numba counts them with atomic instructions, which in a loop that passes arrays on cost more than the work.
    """
    return _cached(numba.njit(nogil=True, error_model="numpy", **_BARE)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compile into every caller, `bare`: for helpers of inner loops, where a call would cost more than the work."""
    return _cached(numba.njit(nogil=True, error_model="numpy", forceinline=True, **_BARE)(function))


def _cached(kernel: Callable[P, R]) -> Callable[P, R]:
    """Keep the compiled code on disk where some folder can be written; a kernel works without."""
    with suppress(RuntimeError):  # "no locator available": all that numba says of folders that cannot be written
        # numba looks at the kernel's own file alone, and an update may change nothing but a helper in another.
        kernel._cache = SharedCache(kernel.py_func, partial(_stamp, kernel))  # type: ignore[attr-defined]
    return kernel


def _stamp(kernel: Any, own: object) -> str:
    """What a kernel's code depends on: its file, options, and the kernels, intrinsics and constants that it names."""
    lines = [repr(own), repr(kernel.targetoptions)]
    function: FunctionType = kernel.py_func
    for name in sorted(set(function.__code__.co_names)):
        value: Any = function.__globals__.get(name)
        if hasattr(value, "py_func"):
            index = getattr(getattr(value, "_cache", None), "_cache_file", None)
            lines.append(f"{name}: {getattr(index, '_source_stamp', None)}")
        elif hasattr(value, "_defn"):  # an intrinsic: functions of other files may make its code
            helpers = (each for each in value._defn.__globals__.values() if isinstance(each, FunctionType))
            lines += sorted({f"{name}: {_digest(each.__code__.co_filename)}" for each in helpers})
        elif isinstance(value, np.ndarray):
            lines.append(f"{name}: {value.dtype} {value.tobytes().hex()}")
        elif isinstance(value, int | float | str | tuple | np.generic):
            lines.append(f"{name}: {value!r}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def _digest(file: str) -> str:
    with suppress(OSError):  # what is in an archive is taken from there
        return hashlib.sha256(Path(file).read_bytes()).hexdigest()
    return file


class _Compiling(event.Listener):
    """Passes on that a kernel is compiled, which one that is loaded from the cache is not."""

    def on_start(self, begun: event.Event) -> None:
        """A compilation begins."""
        tell_compiling(begun.data["dispatcher"].stats.cache_path is not None)

    def on_end(self, ended: event.Event) -> None:
        """A compilation has ended. Where it was of no use, another process need not wait for it."""
        kernel = ended.data["dispatcher"]
        if isinstance(kernel._cache, SharedCache) and tuple(ended.data["args"]) not in kernel.overloads:
            kernel._cache.release()


event.register("numba:compile", _Compiling())  # type: ignore[no-untyped-call]


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
