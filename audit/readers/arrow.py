"""Arrow IPC, file or stream format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

import pyarrow as pa

from audit.readers.protocol import ShardError, first_line
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
                    yield _named(file.schema), (file.get_batch(i) for i in range(file.num_record_batches))
                else:
                    # What cannot be sought in: after its magic and padding, the file format is a stream.
                    raw.read(8 if is_file else 0)
                    reader = pa.ipc.open_stream(raw)
                    yield _named(reader.schema), _then_drained(reader, raw)
            except (pa.ArrowException, UnicodeDecodeError, OSError, MemoryError) as error:
                reason = first_line(error)
                raise ShardError(
                    self.uri, f"is not whole Arrow IPC ({reason})", "Write it again from its source."
                ) from error

    def schema(self) -> pa.Schema:
        """The schema in the file's head."""
        with self._reader() as (schema, _):
            return schema

    def _stream(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        with self._reader() as (_, batches):
            for batch in batches:
                _refuse_unsound(batch)
                yield batch


def _named(schema: pa.Schema) -> pa.Schema:
    """The schema, its names read once: UnicodeDecodeError where one is no UTF-8."""
    assert schema.names is not None
    return schema


def _refuse_unsound(batch: pa.RecordBatch) -> None:
    """Follow every offset and index once: those of a damaged file lead out of the memory of the batch.

    Text that is no valid UTF-8 is sound: that is a fault of its row, and found where rows are measured.

    Raises:
        ArrowInvalid: one leads nowhere.
    """
    batch.validate()
    for column in batch.columns:
        kind = _as_bytes(column.type)
        (column if kind == column.type else column.view(kind)).validate(full=True)


def _as_bytes(kind: pa.DataType) -> pa.DataType:
    """The type with bytes in place of text, however deep."""
    plain = {pa.string(): pa.binary(), pa.large_string(): pa.large_binary(), pa.string_view(): pa.binary_view()}
    if kind in plain:
        return plain[kind]
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _as_bytes(kind.value_type), kind.ordered)
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_as_bytes(field.type)) for field in kind])
    if pa.types.is_map(kind):
        return pa.map_(kind.key_field.with_type(_as_bytes(kind.key_type)), _as_bytes(kind.item_type))
    for is_list, made in ((pa.types.is_list, pa.list_), (pa.types.is_large_list, pa.large_list)):
        if is_list(kind):
            return made(kind.value_field.with_type(_as_bytes(kind.value_type)))
    return kind


def _then_drained(reader: pa.RecordBatchReader, raw: IO[bytes]) -> Iterator[pa.RecordBatch]:
    """The stream's batches, then the rest of the file, where a compressed one may still turn out to be torn."""
    yield from reader
    while raw.read(_DRAIN_BYTES):
        pass
