"""Writes rows as numbered Parquet files of bounded size, each whole under its name or absent, each with a receipt."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from audit.folders import Folder
from curricula.row_hash import hash_rows, place, total
from curricula.scatter import Bounds
from curricula.sections import Span
from curricula.stored import compacted, logical_bytes, recast

__all__ = ["FileWriter", "Layout", "Receipt", "Target", "sha256"]


@dataclass(frozen=True)
class Layout:
    """Sizes of the output and of what is held in memory on the way. Bytes are Arrow bytes, uncompressed.

    Attributes:
        group_rows: most rows of a row group.
        group_bytes: about the most bytes of a row group.
        file_bytes: about the bytes of a file; on disk, text is about 0.4 of it.
        file_rows: most rows of a file: files are even in rows; None goes by `file_bytes`.
        text_bytes: most bytes of text in a file: files are even in these; None goes by `file_bytes`.
        unit_bytes: stored input bytes that are scattered at once; a killed run repeats one unit at most.
        bounds: of memory and open files while rows are put in order.
        compression_level: of zstd.
    """

    group_rows: int = 50_000
    group_bytes: int = 16 << 20
    file_bytes: int = 512 << 20
    file_rows: int | None = None
    text_bytes: int | None = None
    unit_bytes: int = 2 << 30
    bounds: Bounds = field(default_factory=Bounds)
    compression_level: int = 1

    def rows_per_file(self, row_bytes: float) -> int:
        """Most rows in one file, but for `text_bytes`, which the plan sees to."""
        if self.text_bytes is not None:
            return sys.maxsize
        return self.file_rows or max(1, int(self.file_bytes / max(1.0, row_bytes)))

    @property
    def chosen(self) -> bool:
        """Whether someone asked for a size of files, so that they may not end where an input does."""
        return self.file_rows is not None or self.text_bytes is not None


@dataclass(frozen=True)
class Receipt:
    """One output file.

    Attributes:
        path: relative to the output folder, `/`-separated.
        series: name of the series, empty when there is one.
        first: position of its first row in the output order of its series.
        rows: number of rows.
        size_bytes: of the file.
        sha256: of the file, hex.
        content: sum of row hashes over the original columns, modulo 2^64.
        order: sum of row hashes bound to their positions, modulo 2^64.
    """

    path: str
    series: str
    first: int
    rows: int
    size_bytes: int
    sha256: str
    content: int
    order: int


@dataclass(frozen=True)
class Target:
    """Where a run of files goes.

    Attributes:
        out: output folder.
        temporary: folder for unfinished files, on the file system of the output where that is on disk.
        series: name of the series.
        schema: of the files.
        hashed: number of leading columns that are the original ones.
        compliant: see `curricula.stored.Series`.
        original: puts edited answers back, for the hashes, which are those of the input; None where nothing is edited.
    """

    out: Folder
    temporary: Path
    series: str
    schema: pa.Schema
    hashed: int
    compliant: bool
    original: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None


class FileWriter:
    """Writes rows that follow each other to files, whose spans follow each other.

    Args:
        target: where to.
        layout: sizes.
        spans: of the files, not empty ones.
        finished: called with the receipt of each file once it stands under its name.
    """

    def __init__(
        self, target: Target, layout: Layout, spans: Iterable[Span], finished: Callable[[Receipt], None]
    ) -> None:
        self._target, self._layout, self._finished = target, layout, finished
        self._spans = iter(spans)
        self._span = next(self._spans, None)
        self._position = self._span.start if self._span else 0
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._content = self._order = 0

    @property
    def done(self) -> float:
        """Position before which all files are finished; infinite after the last one."""
        return self._span.start if self._span else float("inf")

    def write(self, batch: pa.RecordBatch, skip: int = 0) -> None:
        """Append rows (columns in the order of the schema, views possibly as offsets) but for the first `skip`.

        What is skipped was written by an earlier run. Row groups end where they would have ended if it were not.
        """
        step = max(
            1, min(batch.num_rows, int(batch.num_rows * self._layout.group_bytes / max(1, logical_bytes(batch))))
        )
        at = skip
        while at < batch.num_rows:
            assert self._span is not None
            room = self._span.stop - self._position - self._held_rows
            rows = min(step, self._layout.group_rows - self._held_rows, room, batch.num_rows - at)
            piece = compacted(batch.slice(at, rows))
            self._held.append(piece)
            self._held_rows += rows
            self._held_bytes += logical_bytes(piece)
            at += rows
            if self._held_rows >= self._layout.group_rows or self._held_bytes >= 0.75 * self._layout.group_bytes:
                self._write_group()
            if self._position + self._held_rows >= self._span.stop:
                self._finish(self._span)

    def _write_group(self) -> None:
        if not self._held:
            return
        target = self._target
        for piece in self._held:
            stood = piece if target.original is None else target.original(piece)
            hashes = hash_rows(compacted(stood.select(list(range(target.hashed)))))
            positions = np.arange(self._position, self._position + piece.num_rows, dtype=np.int64)
            self._content = (self._content + total(hashes)) % 2**64
            self._order = (self._order + total(place(hashes, positions))) % 2**64
            self._position += piece.num_rows
        if self._writer is None:
            self._writer = pq.ParquetWriter(
                self._temporary,
                target.schema,
                compression="zstd",
                compression_level=self._layout.compression_level,
                use_compliant_nested_type=target.compliant,
            )
        table = pa.Table.from_batches([recast(piece, target.schema) for piece in self._held], schema=target.schema)
        self._writer.write_table(table, row_group_size=self._held_rows)
        self._held, self._held_rows, self._held_bytes = [], 0, 0

    @property
    def _temporary(self) -> Path:
        assert self._span is not None
        return self._target.temporary / self._span.path.replace("/", "-")

    def _finish(self, span: Span) -> None:
        self._write_group()
        assert self._writer is not None
        self._writer.close()
        digest, size = sha256(self._temporary), self._temporary.stat().st_size
        self._target.out.put(self._temporary, span.path)
        receipt = Receipt(
            path=span.path,
            series=self._target.series,
            first=span.start,
            rows=span.stop - span.start,
            size_bytes=size,
            sha256=digest,
            content=self._content,
            order=self._order,
        )
        self._writer, self._span = None, next(self._spans, None)
        self._content = self._order = 0
        self._finished(receipt)

    def close(self) -> None:
        """Say that there are no more rows: every file must be finished."""
        assert self._span is None, f"{self._span} has no rows"


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
