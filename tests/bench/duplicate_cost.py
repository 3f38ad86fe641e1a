"""Cost of finding duplicates among millions of signatures.

Signatures are made up, as findings on disk: nine in ten stand alone, the others are near copies of an earlier row in
groups whose sizes fall off as a power law. `audit.duplicate_search.find_duplicates` is measured, reading included.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import sys
import tempfile
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pyarrow as pa

from audit.duplicate_search import find_duplicates
from audit.duplicates import Duplicates
from audit.findings_folder import Findings, ShardRecord, SignalRecord
from audit.parts import PartIdentity, PartWriter, part_path
from detectors.near_dup import NearDup

ROWS = 16_384
PERMUTATIONS = 128
COPIES = 0.1


def make_findings(folder: Path, rows: int, seed: int = 17) -> tuple[Findings, int]:
    """Findings of `near_dup` over one made-up shard, and how many of its rows are near copies of an earlier one."""
    random = np.random.default_rng(seed)
    signal = NearDup()
    path = part_path(folder, signal.name, "made_up", 0)
    writer = PartWriter(path, PartIdentity(signal.name, 1, {}, seed, "text(text)", "made up", 0, rows), signal.schema)
    originals = random.integers(0, 2**32, (4096, PERMUTATIONS), np.uint32)
    planted = 0
    for start in range(0, rows, ROWS):
        count = min(ROWS, rows - start)
        minima = random.integers(0, 2**32, (count, PERMUTATIONS), np.uint32)
        copied = np.flatnonzero(random.random(count) < COPIES)
        planted += len(copied)
        minima[copied] = originals[(random.pareto(1.0, len(copied)) * 8).astype(np.int64) % len(originals)]
        changed = random.random((len(copied), PERMUTATIONS)) < 0.05
        minima[copied] = np.where(changed, random.integers(0, 2**32, changed.shape, np.uint32), minima[copied])
        hashes = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(4 * PERMUTATIONS), count, [None, pa.py_buffer(minima.astype("<u4"))]
        )
        exact = pa.array(random.integers(0, 2**63, count).astype(np.uint64))
        batch = pa.record_batch([hashes, pa.array(np.full(count, 500, np.int32)), exact], schema=signal.schema)
        writer.write(batch, pa.array(np.ones(count, np.bool_)), None)
    writer.close()
    config = {"permutations": PERMUTATIONS, "shingle_words": 5, "bits": 0, "scheme": "datasketch.affine32"}
    shard = ShardRecord("made_up", "made_up", "parquet", rows, 0, "made up", "text(text)", {}, (0,))
    record = SignalRecord(signal.name, 1, config, "made up")
    return Findings(folder, (shard,), (), (record,), seed, None), planted


def _measure(folder: Path, rows: int, planted: int, connection: Connection) -> None:
    findings = Findings(**fields_of(folder, rows))  # type: ignore[arg-type]
    settings = Duplicates()
    before = _memory_mb("RssAnon")
    with _Peak("RssAnon") as anonymous, _Peak("RssFile") as mapped:
        began, wall = time.process_time(), time.monotonic()
        found = find_duplicates(findings, None, threshold=settings.threshold, keep=settings.keep, work=folder)
        cpu, wall = time.process_time() - began, time.monotonic() - wall
    connection.send(
        {
            "rows": rows,
            "cpu_s": round(cpu, 2),
            "wall_s": round(wall, 2),
            "us_a_row": round(1e6 * cpu / rows, 2),
            "resident_mb": round(_memory_mb("VmHWM")),
            "anonymous_mb": round(anonymous.most),
            "anonymous_bytes_a_row": round((anonymous.most - before) * 2**20 / rows, 1),
            "mapped_mb": round(mapped.most),
            "planted": planted,
            "gone": int((found.keepers != np.arange(rows)).sum()),
        }
    )


class _Peak:
    """The most that a figure of this process came to, in megabytes, looked at a hundred times a second."""

    def __init__(self, name: str) -> None:
        self.most = _memory_mb(name)
        self._name, self._done = name, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.most = max(self.most, _memory_mb(self._name))

    def __enter__(self) -> _Peak:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()


def _memory_mb(name: str) -> float:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def fields_of(folder: Path, rows: int) -> dict[str, object]:
    """The fields of the findings that `make_findings` left in a folder."""
    config = {"permutations": PERMUTATIONS, "shingle_words": 5, "bits": 0, "scheme": "datasketch.affine32"}
    shard = ShardRecord("made_up", "made_up", "parquet", rows, 0, "made up", "text(text)", {}, (0,))
    record = SignalRecord("near_dup", 1, config, "made up")
    return {"directory": folder, "shards": (shard,), "failed": (), "signals": (record,), "seed": 17, "by": None}


def costs(millions: list[float]) -> list[dict[str, object]]:
    """One measurement a size, each in a process of its own; CPU seconds, megabytes and rows found."""
    results = []
    context = multiprocessing.get_context("spawn")
    for size in millions:
        rows = int(size * 1e6)
        folder = Path(tempfile.mkdtemp(prefix="foxing-bench-"))
        try:
            _, planted = make_findings(folder, rows)
            receiver, sender = context.Pipe()
            worker = context.Process(target=_measure, args=(folder, rows, planted, sender))
            worker.start()
            result = receiver.recv()
            worker.join()
        finally:
            shutil.rmtree(folder)
        sys.stderr.write(f"{json.dumps(result)}\n")
        results.append(result)
    return results
