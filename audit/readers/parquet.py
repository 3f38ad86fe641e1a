"""Parquet, by row group, with projection; nothing is buffered ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.parquet as pq

from audit.readers.parquet_pages import rows_in_memory
from audit.readers.protocol import BATCH_BYTES, MAX_BATCH_ROWS, Group, ShardError, first_line, refuse_columns
from audit.storage import is_remote, open_binary

__all__ = ["ParquetReader"]

_READ_BYTES = 1 << 20  # without it a column chunk is read whole, however large its row group
_KEPT_FOOTER_BYTES = 1 << 20


class ParquetReader:
    """One Parquet file. Its footer is read once, unless it is too large to keep."""

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self._footer: pq.FileMetaData | None = None
        with self._file() as file:
            metadata = file.metadata
            self._schema = file.schema_arrow
            self._names = list(self._schema.names)
            self.groups: tuple[Group, ...] | None = tuple(
                Group(metadata.row_group(i).num_rows, metadata.row_group(i).total_byte_size)
                for i in range(metadata.num_row_groups)
            )
        if metadata.serialized_size <= _KEPT_FOOTER_BYTES:
            self._footer = metadata

    @contextmanager
    def _file(self) -> Iterator[pq.ParquetFile]:
        try:
            if is_remote(self.uri):
                with open_binary(self.uri) as handle, self._parquet(handle) as file:
                    yield file
            else:
                with self._parquet(self.uri.removeprefix("file://")) as file:
                    yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError, MemoryError) as error:
            if isinstance(error, FileNotFoundError | PermissionError):
                raise ShardError(
                    self.uri, f"cannot be read ({error.strerror})", "Check the path and its rights."
                ) from error
            raise ShardError(
                self.uri, f"is not a whole Parquet file ({first_line(error)})", "Write it again from its source."
            ) from error

    def _parquet(self, source: object) -> pq.ParquetFile:
        return pq.ParquetFile(source, metadata=self._footer, pre_buffer=False, buffer_size=_READ_BYTES)

    def schema(self) -> pa.Schema:
        """The Arrow schema that the file carries."""
        return self._schema

    def names(self) -> list[str]:
        """Top-level column names."""
        return list(self._names)

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """Decoded batches of at most about 4 MB or 4,096 rows."""
        assert self.groups is not None
        chosen = list(groups if groups is not None else range(len(self.groups)))
        wanted = None if columns is None else list(columns)
        if wanted is not None:
            refuse_columns(wanted, self.names(), self.uri)
        rest = sum(self.groups[group].rows for group in chosen)
        last: pa.RecordBatch | None = None
        with self._file() as file:
            for run in _runs(chosen, self.groups, alone=_has_nested_dictionary(self._schema)):
                rows = _batch_rows([self.groups[group] for group in run])
                if not is_remote(self.uri):
                    rows = min(rows, rows_in_memory(self.uri, file, run, wanted))
                found = file.iter_batches(batch_size=rows, row_groups=run, columns=wanted, use_threads=False)
                for batch in found if len(run) == 1 else _joined(found):
                    # pyarrow takes names for dotted paths: 'text.a' also reads field a of a struct 'text'.
                    batch = batch if wanted is None else batch.select(wanted)
                    rest -= batch.num_rows
                    if rest:
                        yield batch
                    else:
                        last = batch
        # Handed out when the file is closed: until then its pages, as large as the text again, stay in memory.
        if last is not None:
            del found, batch
            yield last


def _has_nested_dictionary(schema: pa.Schema) -> bool:
    """Whether row groups must be read one by one: pyarrow 26 cannot read two dictionaries below a list or struct."""
    return any(pa.types.is_nested(kind) and "dictionary<" in str(kind) for kind in schema.types)


def _joined(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """One batch of those of a run of small row groups, which a column of dictionaries keeps apart."""
    found = list(batches)
    if len(found) > 1 and found[0].num_columns:
        yield pa.concat_batches(found)
    else:
        yield from found


def _runs(chosen: list[int], groups: tuple[Group, ...], *, alone: bool) -> Iterator[list[int]]:
    """Row groups to read together: as many as make one batch, so that small ones cost no batch each."""
    run: list[int] = []
    rows = size = 0
    for at in chosen:
        rows, size = rows + groups[at].rows, size + groups[at].size_bytes
        if run and (alone or rows > MAX_BATCH_ROWS or size > BATCH_BYTES):
            yield run
            run, rows, size = [], groups[at].rows, groups[at].size_bytes
        run.append(at)
    if run:
        yield run


def _batch_rows(groups: list[Group]) -> int:
    per_row = sum(group.size_bytes for group in groups) / max(1, sum(group.rows for group in groups))
    return int(max(1, min(MAX_BATCH_ROWS, BATCH_BYTES / max(1.0, per_row))))
