"""Compiled kernels on disk, shared by processes that start at the same time: one compiles, the others wait for it.

Numba numbers the files of a kernel's code by what its index held when that was read, and writes the index first.
Processes that compile a kernel for different types at once, or read while a changed one is written, could be given
another signature's code. Here a file is named for its source and signature, and written before the index that names it.
"""

from __future__ import annotations

import functools
import glob
import hashlib
import itertools
import os
import pickle
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FunctionType
from typing import Any

from numba.core.caching import FunctionCache, IndexDataCacheFile

from detectors.compiling import tell_compiling

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

__all__ = ["SharedCache"]

_LOCKS = "foxing-kernels.lock"
_POLL_S = 0.02
_MOST_S = 120.0  # the longest kernel compiles in 3 s; where another process takes so long, this one compiles its own
_UNREADABLE = (OSError, EOFError, pickle.UnpicklingError)  # another user's, or cut off when a machine went down


class _Files(IndexDataCacheFile):
    """The index of one kernel and its files of code. What cannot be read is as good as absent."""

    def load(self, key: object) -> Any:
        """The code of one signature, or None."""
        with suppress(*_UNREADABLE):
            return super().load(key)
        return None

    def save(self, key: object, data: object) -> None:
        """Write the code of one signature, then the index; what older sources and killed processes left is removed."""
        overloads: dict[object, str] = {}
        with suppress(*_UNREADABLE):
            overloads = self._load_index()
        named = hashlib.sha256(f"{self._version} {self._source_stamp} {key!r}".encode()).digest()
        overloads[key] = self._data_name(int.from_bytes(named[:6], "little"))
        self._save_data(overloads[key], data)
        self._save_index(overloads)
        kept = {self._index_name, *overloads.values()}
        for path in Path(self._cache_path).glob(glob.escape(self._index_name.removesuffix("nbi")) + "*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)


class SharedCache(FunctionCache):
    """The cache of one kernel. Reading takes no lock; whoever finds nothing is alone until it has compiled.

    Locks are of the operating system, on one byte of a file beside the kernels, so a process that dies leaves none.
    Where a file system knows no locks, each process compiles its own.

    Args:
        function: the kernel in Python.
        stamped: from numba's stamp of the kernel's file to what tells two states of its code apart.

    Raises:
        RuntimeError: there is no folder to keep code in.
    """

    def __init__(self, function: FunctionType, stamped: Callable[[object], str]) -> None:
        super().__init__(function)
        own = self._cache_file
        base = own._index_name.removesuffix(".nbi")
        self._cache_file = _Files(self._cache_path, base, stamped(own._source_stamp))
        self._at = zlib.crc32(base.encode())

    def load_overload(self, signature: object, target: object) -> Any:
        """The code of one signature, or None: then this process is to compile it, and others wait."""
        found = super().load_overload(signature, target)
        if found is None and self._lock():
            found = super().load_overload(signature, target)
            if found is not None:
                self.release()
        return found

    def save_overload(self, signature: object, compiled: object) -> None:
        """Keep what was compiled, where it can be written, and let the others have it."""
        try:
            with suppress(OSError):
                super().save_overload(signature, compiled)
        finally:
            self.release()

    def release(self) -> None:
        """Let others compile this kernel: it is kept by now, or could not be compiled."""
        with suppress(OSError):
            fcntl.lockf(_open(self._cache_path), fcntl.LOCK_UN, 1, self._at)

    def _lock(self) -> bool:
        """Wait until no other process compiles this kernel."""
        with suppress(OSError):
            end = time.monotonic() + _MOST_S
            for turn in itertools.count():
                with suppress(BlockingIOError):  # another process has it
                    fcntl.lockf(_open(self._cache_path), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, self._at)
                    return True
                if turn == 0:
                    tell_compiling(True)
                if time.monotonic() > end:
                    return False
                time.sleep(_POLL_S)
        return False


@functools.cache
def _open(folder: str) -> int:
    """The lock file of a folder. It stays open: a process that closes such a file loses all locks that it has on it."""
    if fcntl is None:
        raise OSError("this system has no locks")
    Path(folder).mkdir(parents=True, exist_ok=True)
    return os.open(Path(folder, _LOCKS), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
