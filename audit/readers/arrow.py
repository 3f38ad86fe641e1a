"""Arrow IPC, file or stream format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import pyarrow as pa

from audit.readers.protocol import ShardError
from audit.readers.sequential import Sequential

__all__ = ["ArrowReader"]

_MAGIC = b"ARROW1"
_DRAIN_BYTES = 1 << 20


class ArrowReader(Sequential):
    """Arrow IPC. Record batches are as stored."""

    @contextmanager
    def _reader(self) -> Iterator[tuple[pa.Schema, Iterator[pa.RecordBatch]]]:
        with self._bytes() as raw:
            is_file = raw.read(len(_MAGIC)) == _MAGIC
        with self._bytes() as raw:
            try:
                if is_file and not self._is_compressed:
                    file = pa.ipc.open_file(pa.PythonFile(raw, mode="r"))
                    yield file.schema, (file.get_batch(i) for i in range(file.num_record_batches))
                else:
                    # What cannot be sought in: after its magic and padding, the file format is a stream.
                    raw.read(8 if is_file else 0)
                    reader = pa.ipc.open_stream(raw)
                    yield reader.schema, _then_drained(reader, raw)
            except pa.ArrowException as error:
                reason = str(error).splitlines()[0].rstrip(".")
                raise ShardError(
                    self.uri, f"is not whole Arrow IPC ({reason})", "Write it again from its source."
                ) from error

    def schema(self) -> pa.Schema:
        """The schema in the file's head."""
        with self._reader() as (schema, _):
            return schema

    def _stream(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        with self._reader() as (_, batches):
            yield from batches


def _then_drained(reader: pa.RecordBatchReader, raw: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """The stream's batches, then the rest of the file, where a compressed one may still turn out to be torn."""
    yield from reader
    while raw.read(_DRAIN_BYTES):
        pass
