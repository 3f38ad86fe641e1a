"""CSV and TSV with a header line."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import pyarrow as pa
import pyarrow.csv

from audit.readers.protocol import BATCH_BYTES, MAX_BATCH_ROWS, ShardError, as_bytes, first_line, refuse_columns
from audit.readers.sequential import Sequential
from audit.storage import stat

__all__ = ["CsvReader"]

_PIECE_BYTES = 1 << 20
_LONGEST_FIELD = 1 << 30
_LONGEST_LINE = 1 << 28
_REMEDY = "Quote fields that hold newlines."


class CsvReader(Sequential):
    """CSV and TSV. Every column is text, so no number is ever rewritten; bytes where the file is not all UTF-8."""

    @property
    def _delimiter(self) -> str:
        return "\t" if "tsv" in self.uri.lower().split(".")[-2:] else ","

    def schema(self) -> pa.Schema:
        """The header, every column large_string, or large_binary where anything in the file is no valid UTF-8.

        One pass over the file, remembered while the file stays the same.
        """
        stamp = stat(self.uri)
        kind = (
            pa.large_string() if (self.is_utf8() if stamp is None else _is_utf8(self.uri, stamp)) else pa.large_binary()
        )
        return pa.schema([(name, kind) for name in self.names()])

    def is_utf8(self) -> bool:
        """Whether the whole file is valid UTF-8, found by reading it."""
        decoder = codecs.getincrementaldecoder("utf-8")()
        with self._bytes() as raw:
            try:
                while piece := raw.read(_PIECE_BYTES):
                    decoder.decode(piece)
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                return False
        return True

    def names(self) -> list[str]:
        """The header's fields."""
        with self._lines() as lines:
            found = next(lines, [])
        if not found:
            raise ShardError(self.uri, "is not readable CSV (no header line)", "Write the column names first.")
        return [as_bytes(name).decode("utf-8", "replace") for name in found]

    @contextmanager
    def _lines(self) -> Iterator[Iterator[list[str]]]:
        """Fields of each line that is not empty; invalid UTF-8 as surrogates."""
        with self._bytes() as raw:
            decoded = io.TextIOWrapper(raw, "utf-8-sig", "surrogateescape", newline="")
            try:
                yield (fields for fields in csv.reader(self._bounded(decoded), delimiter=self._delimiter) if fields)
            except csv.Error as error:
                raise ShardError(self.uri, f"is not readable CSV ({error})", _REMEDY) from error
            finally:
                decoded.detach()  # whoever opened the bytes closes them

    def _bounded(self, decoded: io.TextIOWrapper) -> Iterator[str]:
        while line := decoded.readline(_LONGEST_LINE):
            if len(line) == _LONGEST_LINE:
                raise ShardError(self.uri, f"a line has more than {_LONGEST_LINE >> 20} MB", _REMEDY)
            yield line

    def sample(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """As `batches`, as binary, read line by line: Arrow's reader is up to 32 blocks of 4 MB ahead."""
        names = self.names()
        refuse_columns(columns, names, self.uri)
        places = [names.index(column) for column in columns]
        with _long_fields(), self._lines() as lines:
            next(lines, None)
            while rows := list(itertools.islice(lines, MAX_BATCH_ROWS)):
                yield pa.record_batch([_column(rows, at) for at in places], names=list(columns))

    def _stream(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        """Batches of one 4 MB block."""
        schema = self.schema()
        names = schema.names
        convert = pyarrow.csv.ConvertOptions(
            check_utf8=False,
            column_types=dict(zip(names, schema.types, strict=True)),
            strings_can_be_null=False,
        )
        parse = pyarrow.csv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True)
        read = pyarrow.csv.ReadOptions(use_threads=False, block_size=BATCH_BYTES, column_names=names)
        with self._bytes() as raw:
            try:
                # With names given the header is a row like any other: a file of a header alone is read too.
                header = 1
                for batch in pyarrow.csv.open_csv(raw, parse_options=parse, convert_options=convert, read_options=read):
                    yield batch.slice(header)
                    header = max(0, header - batch.num_rows)
            except pa.ArrowException as error:
                raise ShardError(self.uri, f"is not readable CSV ({first_line(error)})", _REMEDY) from error


@lru_cache(maxsize=4096)
def _is_utf8(uri: str, stamp: tuple[int, int]) -> bool:
    return CsvReader(uri).is_utf8()


def _column(rows: list[list[str]], at: int) -> pa.LargeBinaryArray:
    return pa.array([as_bytes(row[at]) if at < len(row) else None for row in rows], pa.large_binary())


@contextmanager
def _long_fields() -> Iterator[None]:
    """The csv module refuses fields over 128 kB until it is told otherwise."""
    before = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(before)
