"""What the formats share that can only be read from their start: decompression, projection, small batches."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, cast

import pyarrow as pa

from audit.readers.protocol import MAX_BATCH_ROWS, Group, ShardError, refuse_columns
from audit.storage import open_binary

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["LONGEST_BYTES", "Sequential", "lines_of", "without_bom"]

_BUFFER_BYTES = 1 << 20
# A zstd block of a few bytes may hold 128 kB: what one call makes of this much stays below 64 MB.
_ZSTD_PIECE = 1 << 11
LONGEST_BYTES = 1 << 29
"""Most bytes that are held of one line, or of one compressed text: files of a few kilobytes can unpack to terabytes."""


class Sequential(ABC):
    """A file without row groups. A format gives `schema` and `_stream`."""

    groups: tuple[Group, ...] | None = None

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._stored: IO[bytes] | None = None

    @property
    def consumed_bytes(self) -> int:
        """Bytes of the stored file that the pass under way has read, some of them ahead; 0 when there is none."""
        return self._stored.tell() if self._stored is not None else 0

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns and key-value metadata."""

    @abstractmethod
    def _stream(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Batches of any size that hold `columns` at least."""

    def names(self) -> list[str]:
        """Column names."""
        return list(self.schema().names)

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """Batches of at most 4,096 rows."""
        return self._sliced(self._stream(columns), columns)

    def sample(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """As `batches`, but never a pass over the whole file first: types may differ from batch to batch."""
        return self.batches(columns, None)

    def _sliced(self, stream: Iterator[pa.RecordBatch], columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        for batch in stream:
            chosen = batch
            if columns is not None:
                refuse_columns(columns, batch.schema.names, self.uri)
                chosen = batch.select(list(columns))
            for start in range(0, chosen.num_rows, MAX_BATCH_ROWS):
                yield chosen.slice(start, MAX_BATCH_ROWS)

    @property
    def _is_compressed(self) -> bool:
        return self.uri.lower().endswith((".gz", ".zst", ".zstd"))

    @contextmanager
    def _bytes(self) -> Iterator[IO[bytes]]:
        """The decompressed file from its start. Not to be rewound: open it again."""
        with open_binary(self.uri) as raw:
            self._stored = raw
            try:
                yield _decompressed(raw, self.uri)
            except (EOFError, zlib.error, OSError) as error:
                raise ShardError(self.uri, f"is torn ({error})", "Write it again from its source.") from error
            finally:
                self._stored = None


def lines_of(raw: IO[bytes], uri: str) -> Iterator[bytes]:
    """Lines with their ends.

    Raises:
        ShardError: one of more than `LONGEST_BYTES`.
    """
    number = 0
    while line := raw.readline(LONGEST_BYTES + 1):
        number += 1
        if len(line) > LONGEST_BYTES:
            raise ShardError(uri, f"line {number} has more than {LONGEST_BYTES >> 20} MB", "Mend or remove that line.")
        yield line


def without_bom(start: bytes) -> bytes:
    """The first bytes of a text file without the UTF-8 byte order mark that Windows programs put there."""
    return start.removeprefix(codecs.BOM_UTF8)


def _decompressed(raw: IO[bytes], uri: str) -> IO[bytes]:
    name = uri.lower()
    if name.endswith(".gz"):
        return io.BufferedReader(gzip.GzipFile(fileobj=raw), _BUFFER_BYTES)
    if name.endswith((".zst", ".zstd")):
        return io.BufferedReader(_ZstdFile(raw), _BUFFER_BYTES)
    # Files of a store read lines of any length, whatever limit they are given.
    return raw if isinstance(raw, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, raw), _BUFFER_BYTES)


class _ZstdFile(io.RawIOBase):
    """zstd frames as a raw file. A frame that stops short is an EOFError, as gzip has it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        self._frame: Any = None  # zstandard ships no types for it
        self._pending = b""
        self._ready = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, target: Buffer) -> int:
        import zstandard

        view = memoryview(target).cast("B")
        while not self._ready:
            stored = self._pending or self._raw.read(1 << 18)
            piece, self._pending = stored[:_ZSTD_PIECE], stored[_ZSTD_PIECE:]
            if not piece:
                if self._frame is not None:
                    raise EOFError("the last zstd frame stops short")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            try:
                self._ready = memoryview(self._frame.decompress(piece))
            except zstandard.ZstdError as error:
                raise EOFError(str(error)) from error
            if self._frame.eof:
                self._pending, self._frame = self._frame.unused_data + self._pending, None
        size = min(len(view), len(self._ready))
        view[:size], self._ready = self._ready[:size], self._ready[size:]
        return size
