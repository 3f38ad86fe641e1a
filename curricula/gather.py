"""Gathers rows of many batches into one table: text is copied once, straight to its place."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba.core import cgutils, types
from numba.extending import intrinsic

from curricula.stored import as_array, as_numbers
from detectors.jit import compiled, read_only

__all__ = ["gathered"]

I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
_NARROW = (pa.string(), pa.binary())
_WIDE = (pa.large_string(), pa.large_binary())
_MOST = 2**31 - 1


def gathered(batches: Sequence[pa.RecordBatch], order: I64) -> pa.Table:
    """Rows of the batches, put end to end, in the order that is asked for.

    Args:
        batches: of one schema, at least one, without views.
        order: int64[n], position of each row among those of the batches.

    Returns:
        Table of n rows. A column is in more than one chunk only where it is too long for one.
    """
    schema = batches[0].schema
    starts = np.cumsum([0, *(batch.num_rows for batch in batches)])
    by_source = np.argsort(order, kind="stable")
    source = order[by_source]
    edges = itertools.pairwise(np.searchsorted(source, starts).tolist())
    places = [
        (read_only(source[begin:end] - start), read_only(by_source[begin:end]))
        for (begin, end), start in zip(edges, starts.tolist(), strict=False)
    ]
    columns = [_column([batch.column(at) for batch in batches], order, places) for at in range(len(schema))]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(pieces: list[pa.Array], order: I64, places: list[tuple[I64, I64]]) -> pa.Array | pa.ChunkedArray:
    kind = pieces[0].type
    found = None
    if kind in _NARROW or kind in _WIDE:
        found = _text(pieces, order, places)
    elif pa.types.is_integer(kind) and not any(piece.null_count for piece in pieces):
        found = as_array(np.concatenate([as_numbers(piece) for piece in pieces])[order])
    if found is None:
        whole = pa.Table.from_arrays([pa.chunked_array(pieces, kind)], ["it"]).combine_chunks()
        found = whole.take(as_array(order)).column(0)
    return found


def _text(pieces: list[pa.Array], order: I64, places: list[tuple[I64, I64]]) -> pa.Array | None:
    """Strings or bytes; None when they are too long for the offsets of their type."""
    kind = pieces[0].type
    width = np.int64 if kind in _WIDE else np.int32
    spans = [_spans(piece, width) for piece in pieces]
    lengths = np.concatenate([np.diff(span) for span in spans])[order]
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    if width is np.int32 and ends[-1] > _MOST:
        return None
    target = pa.allocate_buffer(int(ends[-1]))
    into = np.frombuffer(target, np.uint8)
    for piece, span, (rows, to) in zip(pieces, spans, places, strict=True):
        data = piece.buffers()[2]
        if data is not None and data.size and len(into):
            _place(read_only(np.frombuffer(data, np.uint8)), read_only(span), rows, into, ends, to)
    valid = None
    if any(piece.null_count for piece in pieces):
        known = np.concatenate([_known(piece) for piece in pieces])[order]
        valid = pa.py_buffer(np.packbits(known, bitorder="little"))
    return pa.Array.from_buffers(kind, len(order), [valid, pa.py_buffer(ends.astype(width)), target])


def _known(array: pa.Array) -> npt.NDArray[np.bool_]:
    valid = array.buffers()[0]
    if valid is None:
        return np.ones(len(array), np.bool_)
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), count=array.offset + len(array), bitorder="little")
    return bits[array.offset :].astype(np.bool_)


def _spans(array: pa.Array, width: type[np.int32] | type[np.int64]) -> I64:
    """int64[n+1]: where each row begins in the data, and where the last one ends."""
    if not len(array):
        return np.zeros(1, np.int64)
    start = np.dtype(width).itemsize * array.offset
    return np.frombuffer(array.buffers()[1], width, count=len(array) + 1, offset=start).astype(np.int64)


def _copy_template(typing_context, target, at, source, begin, size):  # type: ignore[no-untyped-def]
    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        to = context.make_array(signature.args[0])(context, builder, arguments[0])
        from_ = context.make_array(signature.args[2])(context, builder, arguments[2])
        there, here = builder.gep(to.data, [arguments[1]]), builder.gep(from_.data, [arguments[3]])
        cgutils.raw_memcpy(builder, there, here, arguments[4], 1)  # type: ignore[no-untyped-call]
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate


# numba.extending.intrinsic is typed as what it wraps, not as what a kernel calls.
_copy: Callable[[U8, int, U8, int, int], None] = intrinsic(_copy_template)  # type: ignore[assignment]


@compiled
def _place(data: U8, spans: I64, rows: I64, target: U8, ends: I64, to: I64) -> None:
    """Copy `rows` of one source to where `ends` puts the rows `to` of the target."""
    for i in range(len(rows)):
        begin = spans[rows[i]]
        _copy(target, ends[to[i]], data, begin, spans[rows[i] + 1] - begin)
