"""How columns are carried unchanged from a shard to a Parquet file: schemas, series of shards, types on the way."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from audit.corpus import Shard
from detectors.errors import InputError

__all__ = [
    "Series",
    "as_array",
    "as_numbers",
    "compacted",
    "group_series",
    "in_transit",
    "logical_bytes",
    "recast",
    "storable",
]

_PANDAS = b"pandas"
_KEEP_DICTIONARY_BYTES = 64 << 10


@dataclass(frozen=True)
class Series:
    """Shards of one schema, which can be in one order and in the same files.

    Attributes:
        name: folder below data/ and dropped/; empty when the whole corpus is one series.
        schema: what output files hold: the shards' own, with key-value metadata.
        compliant: names of list items as the Parquet standard has them (`element`), else as Arrow had them (`item`).
        shards: positions in the corpus, ascending.
        changes: columns whose type Parquet cannot hold, in words; empty for Parquet input.
    """

    name: str
    schema: pa.Schema
    compliant: bool
    shards: tuple[int, ...]
    changes: tuple[str, ...]


def group_series(shards: Iterable[Shard]) -> tuple[Series, ...]:
    """Group shards by schema: names, types, nullability and key-value metadata of schema and fields.

    Nothing is coerced: shards that differ go to different series, in order of first appearance. One difference is
    overlooked, the row count that pandas notes of its RangeIndex; the first shard's note is kept.

    Raises:
        InputError: a column that Parquet cannot hold.
    """
    found: list[tuple[pa.Schema, pa.Schema, list[int]]] = []
    by_names: dict[tuple[str, ...], list[int]] = {}
    for position, shard in enumerate(shards):
        schema = shard.schema()
        comparable = _without_range(schema)
        candidates = by_names.setdefault(tuple(schema.names), [])
        same = next((at for at in candidates if found[at][0].equals(comparable, check_metadata=True)), None)
        if same is None:
            candidates.append(len(found))
            _refuse_unstorable(shard, schema)
            found.append((comparable, schema, [position]))
        else:
            found[same][2].append(position)
    single = len(found) == 1
    return tuple(
        Series("" if single else f"schema-{at:02d}", *storable(schema), tuple(members), _changes(schema))
        for at, (_, schema, members) in enumerate(found)
    )


def _without_range(schema: pa.Schema) -> pa.Schema:
    note = (schema.metadata or {}).get(_PANDAS)
    if note is None:
        return schema
    try:
        parsed = json.loads(note)
        for index in parsed.get("index_columns", []):
            if isinstance(index, dict) and index.get("kind") == "range":
                index.update(start=0, stop=0)
    except (ValueError, AttributeError):
        return schema
    return schema.with_metadata({**schema.metadata, _PANDAS: json.dumps(parsed).encode()})


def storable(schema: pa.Schema) -> tuple[pa.Schema, bool]:
    """The schema that Parquet gives back, and whether list items need the standard's name for it.

    Parquet files give back what was read from them. Other sources may hold what Parquet has not: seconds become
    milliseconds, dictionaries of numbers plain numbers. No value changes.
    """
    compliant = _round_trip(schema, compliant=True)
    if not compliant.equals(schema, check_metadata=True):
        plain = _round_trip(schema, compliant=False)
        if plain.equals(schema, check_metadata=True):
            return plain, False
    return compliant, True


def _round_trip(schema: pa.Schema, *, compliant: bool) -> pa.Schema:
    buffer = io.BytesIO()
    pq.ParquetWriter(buffer, schema, use_compliant_nested_type=compliant).close()
    return pq.read_schema(pa.BufferReader(buffer.getvalue()))


def _refuse_unstorable(shard: Shard, schema: pa.Schema) -> None:
    for field in schema:
        try:
            _round_trip(pa.schema([field]), compliant=True)
        except (pa.ArrowException, OSError) as error:
            raise InputError(
                f"{shard.uri}: column {field.name!r} is {field.type}, which Parquet cannot hold. "
                "Cast it before scanning, or leave it out."
            ) from error


def _changes(schema: pa.Schema) -> tuple[str, ...]:
    stored, _ = storable(schema)
    pairs = zip(schema, stored, strict=True)
    return tuple(f"{old.name}: {old.type} is stored as {new.type}" for old, new in pairs if old.type != new.type)


def in_transit(kind: pa.DataType) -> pa.DataType:
    """The type with views replaced by offsets at every depth: Arrow cannot gather rows of views."""
    if kind == pa.string_view():
        return pa.large_string()
    if kind == pa.binary_view():
        return pa.large_binary()
    if pa.types.is_struct(kind):
        return pa.struct([_field_in_transit(kind.field(at)) for at in range(kind.num_fields)])
    if pa.types.is_map(kind):
        return pa.map_(
            _field_in_transit(kind.key_field), _field_in_transit(kind.item_field), keys_sorted=kind.keys_sorted
        )
    if pa.types.is_fixed_size_list(kind):
        return pa.list_(_field_in_transit(kind.value_field), kind.list_size)
    if pa.types.is_list(kind):
        return pa.list_(_field_in_transit(kind.value_field))
    if pa.types.is_large_list(kind):
        return pa.large_list(_field_in_transit(kind.value_field))
    return kind


def _field_in_transit(field: pa.Field) -> pa.Field:
    return field.with_type(in_transit(field.type))


def recast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The same values as the types of `schema`; columns that are of their type already are passed through.

    Raises:
        pa.ArrowException: a value that does not fit.
    """
    if batch.schema.equals(schema):
        return batch
    columns = [_recast(column, field.type) for column, field in zip(batch.columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _recast(column: pa.Array, kind: pa.DataType) -> pa.Array:
    if column.type == kind and str(column.type) == str(kind):
        return column
    if pa.types.is_dictionary(column.type) and pa.types.is_dictionary(kind):
        indices = column.indices.cast(kind.index_type)
        return pa.DictionaryArray.from_arrays(indices, column.dictionary.cast(kind.value_type), ordered=kind.ordered)
    return column.cast(kind)


def compacted(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with dictionaries that hold only the values in use, in their order.

    Small dictionaries stay whole (categories keep their unused members); a large one would be written again with every
    slice.
    """
    if not any(pa.types.is_dictionary(field.type) for field in batch.schema):
        return batch
    return pa.RecordBatch.from_arrays([_compacted(column) for column in batch.columns], schema=batch.schema)


def _compacted(column: pa.Array) -> pa.Array:
    if not pa.types.is_dictionary(column.type):
        return column
    if column.dictionary.null_count:
        column = _null_as_index(column)
    if len(column.dictionary) <= len(column):
        return column
    if column.dictionary.nbytes <= _KEEP_DICTIONARY_BYTES:
        return column
    used = column.indices.unique().drop_null().sort()
    indices = pc.index_in(column.indices, used)
    indices = pc.if_else(column.indices.is_null(), pa.scalar(None, pa.int32()), indices)
    return pa.DictionaryArray.from_arrays(
        indices.cast(column.type.index_type), column.dictionary.take(used), ordered=column.type.ordered
    )


def _null_as_index(column: pa.DictionaryArray) -> pa.DictionaryArray:
    """The same values with null where the index is null: Parquet cannot hold a null among a dictionary's values."""
    present = np.flatnonzero(np.asarray(column.dictionary.is_valid()))
    indices = pc.index_in(column.indices.cast(pa.int64()), as_array(present.astype(np.int64)))
    kept = column.dictionary.take(as_array(present.astype(np.int64)))
    return pa.DictionaryArray.from_arrays(indices.cast(column.type.index_type), kept, ordered=column.type.ordered)


def as_array(values: npt.NDArray[np.generic], present: npt.NDArray[np.bool_] | None = None) -> pa.Array:
    """Numbers as an Arrow array, null where not `present`. `pa.array` would import pandas to look at a NumPy array."""
    valid = None if present is None else pa.py_buffer(np.packbits(present, bitorder="little"))
    numbers = np.ascontiguousarray(values)
    return pa.Array.from_buffers(pa.from_numpy_dtype(numbers.dtype), len(numbers), [valid, pa.py_buffer(numbers)])


def as_numbers(column: pa.Array | pa.ChunkedArray) -> npt.NDArray[Any]:
    """Numbers of a column, anything where null, not copied where it is in one piece."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = np.dtype(array.type.to_pandas_dtype())
    if not len(array):
        return np.zeros(0, kind)
    return np.frombuffer(array.buffers()[1], kind, count=len(array), offset=kind.itemsize * array.offset)


def logical_bytes(batch: pa.RecordBatch) -> int:
    """Arrow bytes of a batch, counting of each dictionary only its share for the rows that are here."""
    return int(sum(_column_bytes(column) for column in batch.columns))


def _column_bytes(column: pa.Array) -> float:
    if not pa.types.is_dictionary(column.type):
        return float(column.nbytes)
    whole, members = column.dictionary.nbytes, len(column.dictionary)
    return float(column.indices.nbytes + whole * min(1.0, len(column) / max(1, members)))
