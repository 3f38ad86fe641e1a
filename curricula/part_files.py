"""Writes rows as numbered Parquet files of bounded size, each whole under its name or absent, each with a receipt."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curricula.row_hash import hash_rows, place, total
from curricula.scatter import Bounds
from curricula.stored import compacted, logical_bytes, recast

__all__ = ["FileWriter", "Layout", "Receipt", "Target", "sha256"]


@dataclass(frozen=True)
class Layout:
    """Sizes of the output and of what is held in memory on the way. Bytes are Arrow bytes, uncompressed.

    Attributes:
        group_rows: most rows of a row group.
        group_bytes: about the most bytes of a row group.
        file_bytes: about the bytes of a file; on disk, text is about 0.4 of it.
        unit_bytes: stored input bytes that are scattered at once; a killed run repeats one unit at most.
        bounds: of memory and open files while rows are put in order.
        compression_level: of zstd.
    """

    group_rows: int = 50_000
    group_bytes: int = 24 << 20
    file_bytes: int = 512 << 20
    unit_bytes: int = 2 << 30
    bounds: Bounds = field(default_factory=Bounds)
    compression_level: int = 1

    def rows_per_bucket(self, row_bytes: float) -> int:
        """Positions in one bucket, for rows of about `row_bytes`."""
        return max(1, int(self.bounds.bucket_bytes / max(1.0, row_bytes)))

    def rows_per_file(self, row_bytes: float) -> int:
        """Rows in one file: a whole number of buckets."""
        bucket = self.rows_per_bucket(row_bytes)
        return bucket * max(1, int(self.file_bytes / max(1.0, row_bytes)) // bucket)


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
        folder: below it, such as `data`.
        temporary: folder for unfinished files, on the same file system.
        series: name of the series.
        schema: of the files.
        hashed: number of leading columns that are the original ones.
        compliant: see `curricula.stored.Series`.
        rows_per_file: rows of every file but the last.
        original: puts edited answers back, for the hashes, which are those of the input; None where nothing is edited.
    """

    out: Path
    folder: str
    temporary: Path
    series: str
    schema: pa.Schema
    hashed: int
    compliant: bool
    rows_per_file: int
    original: Callable[[pa.RecordBatch], pa.RecordBatch] | None = None


class FileWriter:
    """Appends rows to numbered files.

    Args:
        target: where to.
        layout: sizes.
        number: of the first file.
        first: position of the first row.
        finished: called with the receipt of each file once it stands under its name.
    """

    def __init__(
        self, target: Target, layout: Layout, *, number: int, first: int, finished: Callable[[Receipt], None]
    ) -> None:
        self._target, self._layout, self._finished = target, layout, finished
        self._number, self._position = number, first
        self._held: list[pa.RecordBatch] = []
        self._held_rows = self._held_bytes = 0
        self._writer: pq.ParquetWriter | None = None
        self._first, self._rows, self._content, self._order = first, 0, 0, 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows (columns in the order of the schema, views possibly as offsets)."""
        step = max(
            1, min(batch.num_rows, int(batch.num_rows * self._layout.group_bytes / max(1, logical_bytes(batch))))
        )
        at = 0
        while at < batch.num_rows:
            room = self._target.rows_per_file - self._rows - self._held_rows
            rows = min(step, self._layout.group_rows - self._held_rows, room, batch.num_rows - at)
            piece = compacted(batch.slice(at, rows))
            self._held.append(piece)
            self._held_rows += rows
            self._held_bytes += logical_bytes(piece)
            at += rows
            if self._held_rows >= self._layout.group_rows or self._held_bytes >= 0.75 * self._layout.group_bytes:
                self._write_group()
            if self._rows + self._held_rows >= self._target.rows_per_file:
                self._finish()

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
        self._rows += self._held_rows
        self._held, self._held_rows, self._held_bytes = [], 0, 0

    @property
    def _name(self) -> str:
        return f"part-{self._number:05d}.parquet"

    @property
    def _temporary(self) -> Path:
        return self._target.temporary / f"{self._target.folder}-{self._target.series}-{self._name}".replace("/", "-")

    def _finish(self) -> None:
        self._write_group()
        if self._writer is None:
            return
        self._writer.close()
        relative = "/".join(piece for piece in (self._target.folder, self._target.series, self._name) if piece)
        final = self._target.out / relative
        final.parent.mkdir(parents=True, exist_ok=True)
        digest, size = sha256(self._temporary), self._temporary.stat().st_size
        _sync(self._temporary)
        self._temporary.replace(final)
        receipt = Receipt(
            path=relative,
            series=self._target.series,
            first=self._first,
            rows=self._rows,
            size_bytes=size,
            sha256=digest,
            content=self._content,
            order=self._order,
        )
        self._writer, self._number, self._first = None, self._number + 1, self._position
        self._rows = self._content = self._order = 0
        self._finished(receipt)

    def close(self) -> None:
        """Finish the last file."""
        self._finish()


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
