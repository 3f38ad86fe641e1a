"""How large the dictionary of a column chunk is, from its page header: what a few bytes of a file can be repeated into.

A value of a dictionary stands once in the file and as often in memory as there are rows that refer to it, so sizes in
the footer say nothing of the memory that a batch takes. No value is larger than the page that it is in.

Source: Apache Parquet format, `PageHeader` in parquet.thrift, in Thrift's compact protocol.
"""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow.parquet as pq

from audit.storage import open_binary

__all__ = ["EXPANDED_BYTES", "rows_in_memory"]

EXPANDED_BYTES = 1 << 30
"""Most bytes that the values of one column may come to in a batch, if each of its rows has the largest value."""

_HEADER_BYTES = 24
_DICTIONARY_PAGE = 2
_NEXT_I32 = 0x15  # the next field, an integer of 32 bits


def rows_in_memory(uri: str, file: pq.ParquetFile, groups: list[int], columns: list[str] | None) -> int:
    """Most rows of a batch of these row groups, 1 at least, so that no column comes to more than `EXPANDED_BYTES`.

    Of a list the mean number of values a row is taken.

    Args:
        uri: of the file.
        file: opened.
        groups: row groups.
        columns: top-level columns that are read; None is all.

    Raises:
        pa.ArrowException: a footer that contradicts itself.
    """
    rows = EXPANDED_BYTES
    metadata, leaves = file.metadata, list(map(file.schema.column, range(len(file.schema.names))))
    texts = [
        at
        for at, leaf in enumerate(leaves)
        if leaf.physical_type == "BYTE_ARRAY" and (columns is None or _is_of(leaf.path, columns))
    ]
    with open_binary(uri) as handle:
        for number in groups:
            group = metadata.row_group(number)
            if not group.num_rows or not texts:
                continue
            _decode_a_row(file, number, columns)
            for chunk in map(group.column, texts):
                first = chunk.data_page_offset
                if chunk.has_dictionary_page:
                    first = min(first, chunk.dictionary_page_offset or first)
                handle.seek(first)
                size = _dictionary_bytes(handle.read(_HEADER_BYTES))
                values = max(1, -(-chunk.num_values // max(1, group.num_rows)))
                rows = min(rows, EXPANDED_BYTES // max(1, size * values))
    return max(1, rows)


def _is_of(path: str, columns: Iterable[str]) -> bool:
    """Whether a leaf is one of these columns, whose names may have dots, or lies in it."""
    return any(f"{path}.".startswith(f"{column}.") for column in columns)


def _decode_a_row(file: pq.ParquetFile, group: int, columns: list[str] | None) -> None:
    """Make a damaged footer an error: asked for a column chunk that contradicts itself, pyarrow 26 ends the process.

    Decoding looks at the same facts where an exception is caught.
    """
    batches = file.iter_batches(batch_size=1, row_groups=[group], columns=columns, use_threads=False)
    next(batches, None)
    batches.close()


def _dictionary_bytes(header: bytes) -> int:
    """Bytes of the page, once unpacked; 0 where it is no dictionary, all that there may be where it cannot be read."""
    try:
        kind, at = _integer(header, 0)
        size, _ = _integer(header, at)
    except (IndexError, ValueError):
        return EXPANDED_BYTES
    return max(0, size) if kind == _DICTIONARY_PAGE else 0


def _integer(header: bytes, at: int) -> tuple[int, int]:
    """The next field, and where the one after it begins."""
    if header[at] != _NEXT_I32:
        raise ValueError("another field")
    value = shift = 0
    while True:
        at += 1
        value |= (header[at] & 0x7F) << shift
        shift += 7
        if header[at] < 0x80:
            return (value >> 1) ^ -(value & 1), at + 1
