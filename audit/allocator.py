"""Tells the C library to keep memory between batches: pages given back and taken again are zeroed each time."""

from __future__ import annotations

import ctypes
from functools import cache

__all__ = ["give_back", "keep_memory"]

# Numbers from <malloc.h>; the largest threshold that glibc accepts is 32 MB.
_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3
_MB = 1 << 20


@cache
def keep_memory() -> bool:
    """Let this process reuse what it freed, once; False where the C library is another than glibc.

    A scan makes arrays of some megabytes for each block of text and frees them at once. By default they go back to the
    kernel, and come again as pages to be zeroed: a seventh of a scan's CPU time. Peak memory grows by some 5 %.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    settings = ((_M_MMAP_THRESHOLD, 32 * _MB), (_M_TRIM_THRESHOLD, 512 * _MB), (_M_TOP_PAD, 64 * _MB))
    accepted = [mallopt(setting, value) for setting, value in settings]
    return all(accepted)


def give_back() -> None:
    """Give what was freed back to the system; for after work that is done once and took much, such as loading."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)
