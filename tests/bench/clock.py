"""CPU seconds, resident memory and the floors that every figure is read against."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

WORD = re.compile(r"\w+")
_FLOOR_DOCUMENTS = 3000
# Linux takes the resident memory of whoever starts a process for the least peak of that process, so a process of some
# megabytes stands between this one and the command.
_BETWEEN = """
import json, os, sys
os.set_inheritable(int(sys.argv[1]), False)
child = os.fork()
if not child:
    os.execvp(sys.argv[2], sys.argv[2:])
_, status, used = os.wait4(child, 0)
found = [os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]
os.write(int(sys.argv[1]), json.dumps(found).encode())
"""


@dataclass(frozen=True)
class Ran:
    """One process from start to end, with the processes that it waited for.

    Attributes:
        cpu_s: user and system seconds.
        wall_s: seconds.
        rss_mb: largest resident memory of any one of its processes.
        output: what it printed on standard output.
    """

    cpu_s: float
    wall_s: float
    rss_mb: float
    output: str


def pin(cores: set[int]) -> None:
    """Keep this process, and those it starts, on these cores."""
    os.sched_setaffinity(0, cores)


def run(command: Sequence[str], cores: set[int], environment: dict[str, str] | None = None) -> Ran:
    """Run a command on these cores.

    Raises:
        RuntimeError: it did not exit with 0, with the end of what it said.
    """
    read, write = os.pipe()
    began = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _BETWEEN, str(write), *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(environment or {})},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
            pass_fds=[write],
            check=False,
        )
    finally:
        os.close(write)
    wall = time.monotonic() - began
    with os.fdopen(read) as pipe:
        told = pipe.read()
    code, cpu_s, rss_mb = json.loads(told) if told else (done.returncode, 0.0, 0.0)
    if code or not told:
        raise RuntimeError(f"{' '.join(command)}: exit {code}: {done.stdout[-800:]}")
    return Ran(cpu_s, wall, rss_mb, done.stdout)


def peak_rss_mb() -> float:
    """Largest resident memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def floors(path: Path, batch_rows: int = 1024) -> dict[str, float]:
    """ns a byte of text of two things that nothing can be much faster than, or is usually much slower than.

    Returns:
        `decode`: pyarrow's `iter_batches` over the text column. `regex`: lower case, `\\w+` and type-token ratio in
        Python, over the first 3,000 documents.
    """
    first: list[str] = []
    size = 0
    began = time.process_time()
    for batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(batch_rows, columns=["text"]):
        size += batch.column(0).nbytes
        if len(first) < _FLOOR_DOCUMENTS:
            paused = time.process_time()
            first += [text for text in batch.column(0).to_pylist() if text is not None]
            began += time.process_time() - paused
    decode = time.process_time() - began
    first = first[:_FLOOR_DOCUMENTS]
    began = time.process_time()
    for text in first:
        words = WORD.findall(text.lower())
        len(set(words)) / max(1, len(words))
    regex = time.process_time() - began
    return {
        "decode": decode / size * 1e9,
        "regex": regex / sum(len(text.encode()) for text in first) * 1e9,
    }
