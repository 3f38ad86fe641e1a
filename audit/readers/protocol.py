"""What every reader offers and keeps to, and the error of a file that cannot be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from detectors.errors import InputError

__all__ = ["BATCH_BYTES", "MAX_BATCH_ROWS", "Group", "Reader", "ShardError", "as_bytes", "first_line", "refuse_columns"]

BATCH_BYTES = 4 << 20
MAX_BATCH_ROWS = 4096
_SHOWN_NAMES = 12


class ShardError(InputError):
    """One file that cannot be read as the corpus needs it; other files go on.

    Attributes:
        uri: the file.
        code: FX902 (schema), FX903 (LFS pointer) or FX904 (unreadable).
    """

    def __init__(self, uri: str, what: str, remedy: str, *, code: str = "FX904") -> None:
        super().__init__(f"{uri}: {what}. {remedy}")
        self.uri = uri
        self.code = code
        self.args_for_pickle = (uri, what, remedy, code)

    def __reduce__(self) -> tuple[object, ...]:
        uri, what, remedy, code = self.args_for_pickle
        return (_shard_error, (uri, what, remedy, code))


def _shard_error(uri: str, what: str, remedy: str, code: str) -> ShardError:
    return ShardError(uri, what, remedy, code=code)


@dataclass(frozen=True)
class Group:
    """A run of rows that can be read on its own: a Parquet row group."""

    rows: int
    size_bytes: int


class Reader(Protocol):
    """Streams one file. `groups` is None where the file can only be read from its start."""

    groups: tuple[Group, ...] | None

    def schema(self) -> pa.Schema:
        """Columns and key-value metadata, as `batches(None)` yields them."""
        ...

    def names(self) -> list[str]:
        """Column names, in the order of `schema`."""
        ...

    def batches(self, columns: Sequence[str] | None, groups: range | None) -> Iterator[pa.RecordBatch]:
        """Batches in file order, of `columns` (all when None) and of the row groups named (all when None).

        Raises:
            ShardError: torn, or a column that is not there or there twice (FX902).
        """
        ...


def refuse_columns(columns: Sequence[str], names: Sequence[str], uri: str) -> None:
    """Refuse top-level columns that are absent or ambiguous.

    Raises:
        ShardError: FX902, naming the column.
    """
    for column in columns:
        count = names.count(column)
        if count == 0:
            has = ", ".join(names[:_SHOWN_NAMES]) + (", ..." if len(names) > _SHOWN_NAMES else "")
            raise ShardError(uri, f"no column {column!r} (has: {has})", "Name one of those.", code="FX902")
        if count > 1:
            raise ShardError(uri, f"{count} columns are named {column!r}", "Rename all but one of them.", code="FX902")


def first_line(error: Exception) -> str:
    """What a library said, on one line; the kind of error where it said nothing."""
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def as_bytes(text: str) -> bytes:
    """UTF-8; bytes that were no valid UTF-8 in the file come back as they were, lone surrogates as three bytes."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return b"".join(_encode_one(character) for character in text)


def _encode_one(character: str) -> bytes:
    escaped = 0xDC80 <= ord(character) <= 0xDCFF
    return character.encode("utf-8", "surrogateescape" if escaped else "surrogatepass")
