from __future__ import annotations

import ctypes
import platform
import subprocess
import sys

import pytest

from audit import allocator

FAULTS = """
import resource, sys
import numpy as np
from audit.allocator import keep_memory
if sys.argv[1] == "kept":
    assert keep_memory()
np.ones(1 << 20)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    np.ones(1 << 20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library than glibc")
def test_memory_that_was_freed_is_used_again_without_new_pages() -> None:
    # Twenty arrays of 8 MB: some 40,000 pages of 4 kB when each comes from the kernel.
    assert faults("kept") < 200


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def without_mallopt(name: object) -> object:
        return object()

    monkeypatch.setattr(ctypes, "CDLL", without_mallopt)
    allocator.keep_memory.cache_clear()
    assert allocator.keep_memory() is False
    allocator.keep_memory.cache_clear()


TIDE = """
import numpy as np, pyarrow as pa
from audit.allocator import Tide
tide = Tide()
turns = [tide.turn()]
held = [pa.allocate_buffer(1 << 20) for _ in range(100)]
for buffer in held:
    np.frombuffer(buffer, np.uint8)[:] = 1
turns.append(tide.turn())
turns.append(tide.turn())
print(turns)
"""


@pytest.mark.skipif(platform.system() != "Linux", reason="elsewhere memory is given back at every turn")
def test_memory_is_given_back_once_the_process_has_grown() -> None:
    done = subprocess.run([sys.executable, "-c", TIDE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[False, True, False]"
