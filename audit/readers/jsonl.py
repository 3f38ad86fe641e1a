"""JSONL, one object a line: types are found in the file, and what disagrees is kept as JSON text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import TypeVar

import pyarrow as pa

from audit.readers.protocol import BATCH_BYTES, MAX_BATCH_ROWS, ShardError, as_bytes, refuse_columns
from audit.readers.sequential import Sequential, lines_of, without_bom
from audit.storage import stat

__all__ = ["JsonLinesReader", "is_json_text", "parse_json_text"]

_JSON_TEXT = {b"foxing": b"json"}
_JSON = pa.json_(pa.large_string())  # stands for "values disagree" while types are unified
_DEEPEST = 64  # levels of lists and objects that become Arrow lists and structs
_T = TypeVar("_T")


class JsonLinesReader(Sequential):
    """JSONL. Columns are the union of all keys, each of one type from the first batch to the last.

    Strings are large_string, or large_binary where one of them is no valid Unicode. A key whose values no one type
    holds exactly is kept as JSON text (see `is_json_text`): types that disagree (1 beside 1.5 or true), objects whose
    keys differ, numbers that are not finite. A key that is missing reads as null.
    """

    def _rows(self) -> Iterator[list[dict[str, object]]]:
        with self._bytes() as raw:
            rows: list[dict[str, object]] = []
            size = 0
            for number, line in enumerate(lines_of(raw, self.uri), 1):
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
        """Keys of all rows, in order of appearance: one may come late."""
        return list(self.schema().names)

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
        for batch, rows in enumerate(self._rows()):
            if batch == 0 and any(all(name not in row for row in rows) for name in columns):
                refuse_columns(columns, self.names(), self.uri)
            kinds = {name: _infer_type([row.get(name) for row in rows]) for name in columns}
            yield _batch(rows, pa.schema([_field(name, kind) for name, kind in kinds.items()]))


@lru_cache(maxsize=4096)
def _schema(uri: str, stamp: tuple[int, int]) -> pa.Schema:
    return JsonLinesReader(uri).infer()


def is_json_text(field: pa.Field) -> bool:
    """Whether a column holds JSON text because no one type held its values, in this file or where it came from."""
    return bool(field.metadata) and field.metadata.get(b"foxing") == b"json"


def parse_json_text(column: pa.Array) -> list[object]:
    """The values of a column of JSON text; what is no JSON is null."""
    return [None if value is None else _loaded(value) for value in column.to_pylist()]


def _loaded(value: str | bytes) -> object:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None


class _Huge(float):
    """An infinity that was written in digits, such as 1e999, and how."""

    digits: str


class _KeyError(ValueError):
    """An object whose keys no table can take."""


def _number(digits: str) -> float:
    number = float(digits)
    if math.isfinite(number):
        return number
    huge = _Huge(number)
    huge.digits = digits
    return huge


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in found if keys.count(key) > 1)
        raise _KeyError(f"holds the key {twice!r} twice")
    if not "".join(found).isascii():
        fault = next((key for key in found if not _encodable(key)), None)
        if fault is not None:
            raise _KeyError(f"holds the key {fault!r}, which is no valid Unicode")
    return found


_DECODER = json.JSONDecoder(parse_float=_number, object_pairs_hook=_object)


def _parse(line: bytes, number: int, uri: str) -> dict[str, object]:
    try:
        row = _DECODER.decode(line.decode("utf-8", "surrogateescape"))
    except _KeyError as error:
        raise ShardError(uri, f"line {number} {error}", "Rename or remove that key.") from error
    except (ValueError, RecursionError) as error:
        raise ShardError(uri, f"line {number} is not JSON ({error})", "Mend or remove that line.") from error
    if not isinstance(row, dict):
        raise ShardError(
            uri, f"line {number} is a JSON {type(row).__name__}, not an object", "Write one object a line."
        )
    return row


def _infer_type(values: Sequence[object], depth: int = 0) -> pa.DataType:
    """The type that holds every value exactly, or JSON where there is none."""
    kinds = set(map(type, values)) - {type(None)}
    if not kinds:
        return pa.null()
    if len(kinds) > 1 or depth > _DEEPEST:
        return _JSON
    (kind,) = kinds
    if kind is list:
        return _list_of(_infer_type([item for items in _of(values, list) for item in items], depth + 1))
    if kind is dict:
        return _infer_struct(_of(values, dict), depth)
    if kind is float and not all(map(math.isfinite, _of(values, float))):
        return _JSON
    try:
        return pa.array(values, pa.large_string() if kind is str else None).type
    except UnicodeEncodeError:
        return pa.large_binary()
    except (pa.ArrowException, OverflowError, TypeError):  # whole numbers beyond 64 bits, floats written as 1e999
        return _JSON


def _of(values: Sequence[object], kind: type[_T]) -> list[_T]:
    return [value for value in values if isinstance(value, kind)]


def _infer_struct(values: list[dict[str, object]], depth: int) -> pa.DataType:
    if len(set(map(frozenset, set(map(tuple, values))))) > 1:
        return _JSON  # a struct would add the keys that a row lacks
    return _struct_of({key: _infer_type([value[key] for value in values], depth + 1) for key in values[0]})


def _list_of(item: pa.DataType) -> pa.DataType:
    inner = _nested(item)
    return _JSON if inner == _JSON else pa.list_(inner)


def _struct_of(fields: dict[str, pa.DataType]) -> pa.DataType:
    inner = {key: _nested(kind) for key, kind in fields.items()}
    # Parquet has no struct without fields.
    return pa.struct(list(inner.items())) if inner and _JSON not in inner.values() else _JSON


def _nested(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_binary(kind):
        return _JSON
    return pa.string() if pa.types.is_large_string(kind) else kind


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unify(one: pa.DataType, two: pa.DataType) -> pa.DataType:
    if one == two or pa.types.is_null(two):
        return one
    if pa.types.is_null(one):
        return two
    if {one, two} == {pa.large_string(), pa.large_binary()}:
        return pa.large_binary()
    if pa.types.is_list(one) and pa.types.is_list(two):
        return _list_of(_unify(one.value_type, two.value_type))
    if pa.types.is_struct(one) and pa.types.is_struct(two):
        ours, theirs = ({field.name: field.type for field in kind} for kind in (one, two))
        if ours.keys() == theirs.keys():
            return _struct_of({key: _unify(kind, theirs[key]) for key, kind in ours.items()})
    return _JSON


def _field(key: str, kind: pa.DataType) -> pa.Field:
    return pa.field(key, pa.large_string(), metadata=_JSON_TEXT) if kind == _JSON else pa.field(key, kind)


def _batch(rows: list[dict[str, object]], schema: pa.Schema) -> pa.RecordBatch:
    return pa.record_batch([_typed([row.get(field.name) for row in rows], field) for field in schema], schema=schema)


def _typed(values: list[object], field: pa.Field) -> pa.Array:
    if is_json_text(field):
        return pa.array([None if value is None else _json_text(value) for value in values], field.type)
    if pa.types.is_large_binary(field.type):
        return pa.array([as_bytes(value) if isinstance(value, str) else None for value in values], field.type)
    return pa.array(values, field.type)


def _json_text(value: object) -> str:
    text = json.dumps(value)
    return _spelled(value) if "Infinity" in text else text


def _spelled(value: object) -> str:
    """JSON with huge numbers as they were written."""
    if isinstance(value, _Huge):
        return value.digits
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)}: {_spelled(item)}" for key, item in value.items()) + "}"
    return f"[{', '.join(map(_spelled, value))}]" if isinstance(value, list) else json.dumps(value)
