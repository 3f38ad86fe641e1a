"""Puts rows in order within bounded memory: scattered by range of positions to files, then ordered file by file."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from audit.allocator import Tide
from curricula.gather import gathered
from curricula.stored import as_array, as_numbers, compacted, logical_bytes

__all__ = ["Bounds", "Buckets", "bucket_path", "ordered"]

I64 = npt.NDArray[np.int64]
_POSITION = pa.field("position", pa.int64(), nullable=False)


@dataclass(frozen=True)
class Bounds:
    """What limits memory and open files.

    Attributes:
        chunk_bytes: rows gathered before they are scattered.
        bucket_bytes: rows put in order at once; a range of up to twice as much is not split again.
        fanout: files open at once.
    """

    chunk_bytes: int = 8 << 20
    bucket_bytes: int = 8 << 20
    fanout: int = 256


def bucket_path(folder: Path, number: int) -> Path:
    """The file of one range: an uncompressed Arrow IPC stream, positions in its last column."""
    return folder / f"{number:05d}.arrow"


class Buckets:
    """Scatters rows to one file per range of `width` positions, starting at `start`."""

    def __init__(self, folder: Path, start: int, width: int, chunk_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._start, self._width, self._chunk_bytes = folder, start, width, chunk_bytes
        self._held: list[pa.RecordBatch] = []
        self._held_bytes = 0
        self._writers: dict[int, pa.RecordBatchStreamWriter] = {}
        self._tide = Tide()

    def add(self, batch: pa.RecordBatch, positions: I64) -> None:
        """Take in rows and the position of each."""
        if batch.num_rows:
            self.append(batch.append_column(_POSITION, as_array(positions)))

    def append(self, batch: pa.RecordBatch) -> None:
        """Take in rows whose last column is their position."""
        self._held.append(batch)
        self._held_bytes += logical_bytes(batch)
        if self._held_bytes >= self._chunk_bytes:
            self._flush()

    def _flush(self) -> None:
        if not self._held:
            return
        bucket = (_positions(self._held) - self._start) // self._width
        order = np.argsort(bucket, kind="stable")
        table, bucket = gathered(self._held, order), bucket[order]
        self._held, self._held_bytes = [], 0
        edges = [0, *(np.flatnonzero(np.diff(bucket)) + 1).tolist(), len(bucket)]
        for begin, end in itertools.pairwise(edges):
            writer = self._writer(int(bucket[begin]), table.schema)
            for piece in table.slice(begin, end - begin).to_batches():
                writer.write_batch(compacted(piece))
        del table
        self._tide.turn()

    def _writer(self, number: int, schema: pa.Schema) -> pa.RecordBatchStreamWriter:
        if number not in self._writers:
            self._writers[number] = pa.ipc.new_stream(str(bucket_path(self._folder, number)), schema)
        return self._writers[number]

    def close(self) -> None:
        """Write out what is held and close the files."""
        self._flush()
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def _positions(batches: Sequence[pa.RecordBatch]) -> I64:
    return np.concatenate([as_numbers(batch.column(batch.num_columns - 1)) for batch in batches])


def ordered(files: Sequence[Path], start: int, stop: int, work: Path, bounds: Bounds) -> Iterator[pa.Table]:
    """Rows of bucket files that together hold the positions `[start, stop)`, in order, without their position.

    A range that is too large for memory is scattered again, finer; so long rows in one range, or more ranges than files
    may be open, cost time and no memory.
    """
    files = [file for file in files if file.exists()]
    size = sum(file.stat().st_size for file in files)
    if not files:
        return
    if size <= 2 * bounds.bucket_bytes or stop - start <= 1:
        yield _sorted(files)
        return
    pieces = min(bounds.fanout, max(2, -(-size // bounds.bucket_bytes)), stop - start)
    width = -(-(stop - start) // pieces)
    finer = work / f"{start}-{stop}"
    shutil.rmtree(finer, ignore_errors=True)
    buckets = Buckets(finer, start, width, bounds.chunk_bytes)
    for file in files:
        with pa.OSFile(str(file)) as source, pa.ipc.open_stream(source) as reader:
            for batch in reader:
                buckets.append(batch)
    buckets.close()
    for number, begin in enumerate(range(start, stop, width)):
        path = bucket_path(finer, number)
        yield from ordered([path], begin, min(stop, begin + width), finer, bounds)
        path.unlink(missing_ok=True)
    shutil.rmtree(finer, ignore_errors=True)


def _sorted(files: Sequence[Path]) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    for file in files:
        with pa.memory_map(str(file)) as source, pa.ipc.open_stream(source) as reader:
            batches.extend(reader)
    order = np.argsort(_positions(batches))
    width = batches[0].num_columns - 1
    return gathered([batch.select(range(width)) for batch in batches], order)
