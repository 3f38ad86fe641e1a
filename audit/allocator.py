"""What was freed: kept between batches where it is taken again at once, given back where it only adds up."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

__all__ = ["Tide", "give_back", "keep_memory"]

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


class Tide:
    """Gives back what was freed whenever the process has grown by so much since it last did.

    Allocators keep what is freed for the next time, each thread for itself; how much adds up depends on the machine.
    Giving back after every batch costs a tenth of the time that it takes to put rows in order, so it is done when due.
    """

    def __init__(self, most_growth_bytes: int = 48 * _MB) -> None:
        self._most_growth_bytes, self._low = most_growth_bytes, _resident_bytes()

    def turn(self) -> bool:
        """Between two batches: give back if it is due, and say whether it was. Always due where no /proc tells."""
        if (held := _resident_bytes()) and held - self._low < self._most_growth_bytes:
            self._low = min(self._low, held)
            return False
        give_back()
        self._low = _resident_bytes()
        return True


def _resident_bytes() -> int:
    """Of this process; 0 where the system does not say."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
