"""Readers: one per file format, each a stream of Arrow batches with one schema per file."""

from __future__ import annotations

from collections.abc import Callable

from audit.readers.arrow import ArrowReader
from audit.readers.csv import CsvReader
from audit.readers.format import Format
from audit.readers.jsonl import JsonLinesReader
from audit.readers.parquet import ParquetReader
from audit.readers.protocol import Group, Reader, ShardError
from audit.readers.sequential import Sequential
from audit.readers.text import TextReader
from audit.storage import open_binary

__all__ = [
    "Format",
    "Group",
    "JsonLinesReader",
    "ParquetReader",
    "Reader",
    "Sequential",
    "ShardError",
    "open_reader",
]

_LFS = b"version https://git-lfs.github.com/spec/"
_READERS: dict[Format, Callable[[str], Reader]] = {
    Format.PARQUET: ParquetReader,
    Format.JSONL: JsonLinesReader,
    Format.ARROW: ArrowReader,
    Format.CSV: CsvReader,
    Format.TEXT: TextReader,
}


def open_reader(uri: str, form: Format) -> Reader:
    """Open a file, looking at its first bytes and its footer only.

    Raises:
        ShardError: LFS pointer, empty, torn, or not what its name says.
    """
    with open_binary(uri) as handle:
        start = handle.read(len(_LFS))
    if start == _LFS:
        raise ShardError(uri, "is a Git LFS pointer, not the data", "Run: git lfs pull", code="FX903")
    if not start and form is not Format.TEXT:
        raise ShardError(uri, "is empty (0 bytes)", "Write it again, or leave it out.")
    return _READERS[form](uri)
