"""JSONL, one object a line: types are found in the file, and what disagrees is kept as JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache

import pyarrow as pa

from audit.readers.protocol import BATCH_BYTES, MAX_BATCH_ROWS, ShardError, as_bytes, refuse_columns
from audit.readers.sequential import Sequential, without_bom
from audit.storage import stat

__all__ = ["JsonLinesReader", "is_json_text", "parse_json_text"]

_JSON_TEXT = {b"foxing": b"json"}
_JSON = pa.json_(pa.large_string())  # stands for "values disagree" while types are unified


class JsonLinesReader(Sequential):
    """JSONL. Columns are the union of all keys, each of one type from the first batch to the last.

    Strings are large_string, or large_binary where one of them is no valid Unicode. A key whose values disagree in
    type is kept as JSON text (see `is_json_text`).
    """

    def _rows(self) -> Iterator[list[dict[str, object]]]:
        with self._bytes() as raw:
            rows: list[dict[str, object]] = []
            size = 0
            for number, line in enumerate(raw, 1):
                content = without_bom(line) if number == 1 else line
                if not content.strip():
                    continue
                rows.append(_parse(content, number, self.uri))
                size += len(line)
                if size >= BATCH_BYTES or len(rows) >= MAX_BATCH_ROWS:
                    yield rows
                    rows, size = [], 0
            if rows:
                yield rows

    def names(self) -> list[str]:
        """Keys of the first batch of rows, in order of appearance."""
        for rows in self._rows():
            return list(dict.fromkeys(key for row in rows for key in row))
        return []

    def schema(self) -> pa.Schema:
        """The union of all rows' keys and types (one pass over the file, remembered while the file stays the same)."""
        stamp = stat(self.uri)
        return self.infer() if stamp is None else _schema(self.uri, stamp)

    def infer(self) -> pa.Schema:
        """The schema, found by reading the whole file."""
        kinds: dict[str, pa.DataType] = {}
        for rows in self._rows():
            for key in dict.fromkeys(key for row in rows for key in row):
                seen = _infer_type([row.get(key) for row in rows])
                kinds[key] = seen if key not in kinds else _unify(kinds[key], seen)
        return pa.schema([_field(key, kind) for key, kind in kinds.items()])

    def _stream(self, columns: Sequence[str] | None) -> Iterator[pa.RecordBatch]:
        schema = self.schema()
        if columns is not None:
            refuse_columns(columns, schema.names, self.uri)
            schema = pa.schema([schema.field(name) for name in columns])
        for rows in self._rows():
            yield _batch(rows, schema)

    def sample(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """As `batches`, with types as each batch alone suggests them."""
        return self._sliced(self._guessed(columns), columns)

    def _guessed(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        refuse_columns(columns, self.names(), self.uri)
        for rows in self._rows():
            kinds = {name: _infer_type([row.get(name) for row in rows]) for name in columns}
            yield _batch(rows, pa.schema([_field(name, kind) for name, kind in kinds.items()]))


@lru_cache(maxsize=64)
def _schema(uri: str, stamp: tuple[int, int]) -> pa.Schema:
    return JsonLinesReader(uri).infer()


def is_json_text(field: pa.Field) -> bool:
    """Whether a column holds JSON text because its values disagreed in type, in this file or where it came from."""
    return bool(field.metadata) and field.metadata.get(b"foxing") == b"json"


def parse_json_text(column: pa.Array) -> list[object]:
    """The values of a column of JSON text; what is no JSON is null."""
    return [None if value is None else _loaded(value) for value in column.to_pylist()]


def _loaded(value: str | bytes) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


def _parse(line: bytes, number: int, uri: str) -> dict[str, object]:
    try:
        row = json.loads(line.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise ShardError(uri, f"line {number} is not JSON ({error})", "Mend or remove that line.") from error
    if not isinstance(row, dict):
        raise ShardError(
            uri, f"line {number} is a JSON {type(row).__name__}, not an object", "Write one object a line."
        )
    return row


def _infer_type(values: list[object]) -> pa.DataType:
    if all(value is None or isinstance(value, str) for value in values):
        if all(value is None for value in values):
            return pa.null()
        return pa.large_string() if all(_encodable(value) for value in values) else pa.large_binary()
    try:
        return pa.array(values).type
    except (pa.ArrowException, UnicodeEncodeError, OverflowError, TypeError, ValueError):
        return _JSON


def _encodable(value: object) -> bool:
    if not isinstance(value, str) or value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unify(one: pa.DataType, two: pa.DataType) -> pa.DataType:
    texts = {pa.large_string(), pa.large_binary()}
    if one != two and {one, two} <= texts:
        return pa.large_binary()
    try:
        merged = pa.unify_schemas([pa.schema([("x", one)]), pa.schema([("x", two)])], promote_options="default")
    except pa.ArrowException:
        return _JSON
    return merged.field(0).type


def _field(key: str, kind: pa.DataType) -> pa.Field:
    return pa.field(key, pa.large_string(), metadata=_JSON_TEXT) if kind == _JSON else pa.field(key, kind)


def _batch(rows: list[dict[str, object]], schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([_typed([row.get(field.name) for row in rows], field) for field in schema], schema=schema)


def _typed(values: list[object], field: pa.Field) -> pa.Array:
    if is_json_text(field):
        return pa.array([None if value is None else json.dumps(value) for value in values], field.type)
    if pa.types.is_large_binary(field.type):
        return pa.array([as_bytes(value) if isinstance(value, str) else None for value in values], field.type)
    return pa.array(values, field.type)
