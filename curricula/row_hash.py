"""A 64-bit hash of a row's values that survives re-encoding: what proves that no row was lost or changed.

Definition, version 1. A value hashes its logical bytes: text and binary their bytes (whatever the offsets, views or
dictionary), numbers, times and decimals their little-endian storage (so NaN payloads and -0.0 count), lists the
sequence of their items, structs their fields in order. Null has a hash of its own at every level. A row folds the
hashes of its columns, in order, with the hashes of their names. Checksums are sums of row hashes modulo 2^64:
independent of batches, files and workers. They guard against accidents, not against an attacker; the manifest's
SHA-256 digests do that.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curricula.order import U64, splitmix64
from detectors.jit import compiled, load8, read_only

__all__ = ["hash_rows", "place", "total"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
_NULL = np.uint64(0x6E756C6C6E756C6C)
_WORDS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def hash_rows(batch: pa.RecordBatch) -> U64:
    """uint64[n]: one hash per row over all columns.

    Raises:
        TypeError: a column of a type that Parquet cannot hold (union, run-end encoded).
    """
    rows: U64 = np.full(batch.num_rows, 1, np.uint64)
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        _fold(rows, _hash(column), _name_hash(name))
    return rows


def total(hashes: U64) -> int:
    """Sum modulo 2^64."""
    return int(hashes.sum(dtype=np.uint64)) if len(hashes) else 0


def place(hashes: U64, positions: I64) -> U64:
    """Bind each row hash to its position, so that the sum of the results tells one order from another."""
    return splitmix64(hashes ^ splitmix64(positions.astype(np.uint64)))


def _name_hash(name: str) -> np.uint64:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return np.uint64(int.from_bytes(digest, "little"))


def _hash(array: pa.Array) -> U64:
    hashes = _values(array)
    if array.null_count and not pa.types.is_null(array.type):
        hashes[np.asarray(array.is_null())] = _NULL
    return hashes


def _values(array: pa.Array) -> U64:
    """Hashes of the values; anything where null."""
    kind = array.type
    if isinstance(array, pa.ExtensionArray):
        return _hash(array.storage)
    if pa.types.is_null(kind):
        return np.full(len(array), _NULL, np.uint64)
    if pa.types.is_dictionary(kind):
        return _dictionary(array)
    if pa.types.is_struct(kind):
        return _struct(array.flatten(), len(array))
    if pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind):
        return _list_view(array)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_map(kind):
        return _list(array)
    if pa.types.is_fixed_size_list(kind):
        return _fixed_list(array)
    if _is_text(kind):
        return _text(array)
    return _fixed(array)


def _is_text(kind: pa.DataType) -> bool:
    texts = (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())
    return kind in texts


def _text(array: pa.Array) -> U64:
    if pa.types.is_string_view(array.type):
        array = array.cast(pa.large_string())
    elif pa.types.is_binary_view(array.type):
        array = array.cast(pa.large_binary())
    wide = pa.types.is_large_string(array.type) or pa.types.is_large_binary(array.type)
    _, offsets, data = array.buffers()
    spans = _offsets(offsets, len(array), array.offset, np.int64 if wide else np.int32)
    return _hash_spans(read_only(_bytes(data)), read_only(spans))


def _offsets(buffer: pa.Buffer | None, length: int, offset: int, kind: type[np.int32] | type[np.int64]) -> I64:
    if length == 0 or buffer is None:
        return np.zeros(length + 1, np.int64)
    width = np.dtype(kind).itemsize
    return np.frombuffer(buffer, kind, count=length + 1, offset=width * offset).astype(np.int64, copy=False)


def _bytes(buffer: pa.Buffer | None) -> U8:
    return np.zeros(0, np.uint8) if buffer is None or buffer.size == 0 else np.frombuffer(buffer, np.uint8)


def _fixed(array: pa.Array) -> U64:
    if pa.types.is_boolean(array.type):
        array = array.cast(pa.uint8())
    try:
        bits = array.type.bit_width
    except ValueError as error:
        raise TypeError(f"{array.type} has no row hash") from error
    width = bits // 8
    data = _bytes(array.buffers()[1])[array.offset * width : (array.offset + len(array)) * width]
    if len(data) < len(array) * width:
        return np.full(len(array), _NULL, np.uint64)
    if width in _WORDS:
        return splitmix64(data.view(_WORDS[width]).astype(np.uint64))
    return _hash_spans(read_only(data), read_only(np.arange(len(array) + 1, dtype=np.int64) * width))


def _dictionary(array: pa.DictionaryArray) -> U64:
    known = _hash(array.dictionary)
    if len(known) == 0:
        return np.full(len(array), _NULL, np.uint64)
    indices = array.indices.fill_null(0) if array.indices.null_count else array.indices
    found: U64 = known[np.asarray(indices)]
    return found


def _struct(fields: list[pa.Array], length: int) -> U64:
    rows: U64 = np.full(length, 2, np.uint64)
    for field in fields:
        _fold(rows, _hash(field), np.uint64(3))
    return rows


def _list(array: pa.Array) -> U64:
    wide = pa.types.is_large_list(array.type)
    spans = _offsets(array.buffers()[1], len(array), array.offset, np.int64 if wide else np.int32)
    first, last = (int(spans[0]), int(spans[-1])) if len(array) else (0, 0)
    if pa.types.is_map(array.type):
        keys, items, cut = array.keys, array.items, slice(first, last)
        items_hash = _struct([keys[cut], items[cut]], last - first)
    else:
        items_hash = _hash(array.values.slice(first, last - first))
    return _hash_lists(items_hash, spans - first if first else spans)


def _list_view(array: pa.Array) -> U64:
    lengths = np.asarray(array.sizes.fill_null(0)).astype(np.int64)
    if array.null_count:
        lengths[np.asarray(array.is_null())] = 0
    spans = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    starts = np.asarray(array.offsets.fill_null(0)).astype(np.int64)
    return _hash_lists(_hash(array.values)[np.repeat(starts - spans[:-1], lengths) + np.arange(spans[-1])], spans)


def _fixed_list(array: pa.FixedSizeListArray) -> U64:
    size = array.type.list_size
    items = array.values.slice(array.offset * size, len(array) * size)
    return _hash_lists(_hash(items), np.arange(len(array) + 1, dtype=np.int64) * size)


@compiled
def _fold(rows: U64, column: U64, name: np.uint64) -> None:
    for i in range(len(rows)):
        h = (rows[i] ^ column[i] ^ name) * np.uint64(0x9E3779B185EBCA87)
        h ^= h >> np.uint64(29)
        rows[i] = (h + name) * np.uint64(0xBF58476D1CE4E5B9)
        rows[i] ^= rows[i] >> np.uint64(32)


@compiled
def _hash_lists(items: U64, spans: I64) -> U64:
    out = np.empty(len(spans) - 1, np.uint64)
    for i in range(len(out)):
        h = np.uint64(spans[i + 1] - spans[i]) + np.uint64(0x165667B19E3779F9)
        for j in range(spans[i], spans[i + 1]):
            h = (h ^ items[j]) * np.uint64(0x9E3779B185EBCA87)
            h ^= h >> np.uint64(32)
        h *= np.uint64(0xC2B2AE3D27D4EB4F)
        out[i] = h ^ (h >> np.uint64(29))
    return out


@compiled
def _hash_spans(data: U8, spans: I64) -> U64:
    """Four multiply-rotate lanes of 8 bytes, as xxHash64 has them; the rest byte by byte."""
    p1, p2, p3 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F), np.uint64(0x165667B19E3779F9)
    left, right = np.uint64(31), np.uint64(33)
    out = np.empty(len(spans) - 1, np.uint64)
    for i in range(len(out)):
        at, stop = spans[i], spans[i + 1]
        h = np.uint64(stop - at) * p1 + p3
        if stop - at >= 32:
            a, b, c, d = h, p1 + p2, p2, p3
            while at + 32 <= stop:
                a += load8(data, at) * p2
                b += load8(data, at + 8) * p2
                c += load8(data, at + 16) * p2
                d += load8(data, at + 24) * p2
                a = ((a << left) | (a >> right)) * p1
                b = ((b << left) | (b >> right)) * p1
                c = ((c << left) | (c >> right)) * p1
                d = ((d << left) | (d >> right)) * p1
                at += 32
            for lane in (a, b, c, d):
                h = (h ^ lane) * p1
                h ^= h >> np.uint64(29)
        while at < stop:
            h = (h ^ np.uint64(data[at])) * p1
            h ^= h >> np.uint64(32)
            at += 1
        h ^= h >> np.uint64(33)
        h *= p2
        h ^= h >> np.uint64(29)
        h *= p3
        out[i] = h ^ (h >> np.uint64(32))
    return out
