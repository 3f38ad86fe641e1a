"""Row hashes see values and nothing else."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.row_hash import hash_rows, place, total
from tests.curricula.test_emit import awkward

TAKEN_BY_ARROW = ("view", "views")  # Arrow cannot gather views


@pytest.fixture(scope="module")
def batch() -> pa.RecordBatch:
    return awkward(60).combine_chunks().to_batches()[0]


@settings(deadline=None)
@given(st.integers(0, 59), st.integers(0, 60))
def test_slices_hash_as_their_rows(start: int, length: int) -> None:
    whole = awkward(60).combine_chunks().to_batches()[0]
    np.testing.assert_array_equal(hash_rows(whole.slice(start, length)), hash_rows(whole)[start : start + length])


def test_gathered_concatenated_and_stored_rows_keep_their_hash(batch: pa.RecordBatch, tmp_path: object) -> None:
    plain = batch.drop_columns(list(TAKEN_BY_ARROW))
    hashes = hash_rows(plain)
    np.testing.assert_array_equal(hash_rows(plain.take(pa.array([40, 3, 3]))), hashes[[40, 3, 3]])
    np.testing.assert_array_equal(hash_rows(pa.concat_batches([plain.slice(50), plain]))[10:], hashes)
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_batches([batch]), sink)
    back = pq.read_table(pa.BufferReader(sink.getvalue())).combine_chunks().to_batches()[0]
    np.testing.assert_array_equal(hash_rows(back), hash_rows(batch))


@pytest.mark.parametrize(
    "kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.dictionary(pa.int32(), pa.string())]
)
def test_encoding_of_text_does_not_count(kind: pa.DataType) -> None:
    text = pa.array(["a", None, "", "longer than thirty-two bytes, for sure it is", "a"])
    other = text.dictionary_encode() if pa.types.is_dictionary(kind) else text.cast(kind)
    np.testing.assert_array_equal(hash_rows(pa.record_batch({"x": text})), hash_rows(pa.record_batch({"x": other})))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([""], [None]),
        (["a"], ["a\x00"]),
        ([[]], [None]),
        ([[None]], [[]]),
        ([["a", "b"]], [["ab"]]),
        ([[["a"], []]], [[[], ["a"]]]),
        ([{"a": None}], [None]),
        ([0.0], [-0.0]),
        (["x" * 40], ["x" * 39 + "y"]),
        (["x" * 40], ["y" + "x" * 39]),
    ],
)
def test_different_values_hash_differently(one: list[object], other: list[object]) -> None:
    kind = pa.array([*one, *other]).type
    first, second = (hash_rows(pa.record_batch({"x": pa.array(values, kind)})) for values in (one, other))
    assert first[0] != second[0]


def test_columns_are_told_apart_by_name_and_place() -> None:
    found = {
        int(hash_rows(pa.record_batch(columns))[0])
        for columns in (
            {"a": ["x"], "b": ["y"]},
            {"a": ["y"], "b": ["x"]},
            {"b": ["x"], "a": ["y"]},
            {"a": ["x"], "c": ["y"]},
        )
    }
    assert len(found) == 4


def test_sums_wrap_and_places_tell_orders_apart() -> None:
    hashes = np.array([2**64 - 1, 5], np.uint64)
    assert total(hashes) == 4
    forward, backward = np.array([0, 1]), np.array([1, 0])
    assert total(place(hashes, forward)) != total(place(hashes, backward))


def test_hash_is_the_same_everywhere() -> None:
    found = hash_rows(
        pa.record_batch({"text": pa.array(["", "a", None, "foxing" * 20]), "n": pa.array([1, 2, 3, None])})
    )
    assert [hex(int(value)) for value in found] == [
        "0x5a080bb21eb4f71",
        "0x2f5bd81a7dd05f5b",
        "0x6eca1cb928937b33",
        "0xbd36680a1ef0b68c",
    ]
