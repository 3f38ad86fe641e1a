"""Any Arrow text column becomes the same bytes and offsets."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.documents import Documents, as_large_binary
from tests.detectors.texts import batches

KINDS: dict[str, Callable[[pa.Array], pa.Array]] = {
    "string": lambda a: a.cast(pa.string()),
    "large_string": lambda a: a.cast(pa.large_string()),
    "string_view": lambda a: a.cast(pa.string()).cast(pa.string_view()),
    "binary": lambda a: a.cast(pa.binary()),
    "large_binary": lambda a: a,
    "binary_view": lambda a: a.cast(pa.binary()).cast(pa.binary_view()),
    "dictionary": lambda a: a.cast(pa.string()).dictionary_encode(),
}
TEXTS = [b"one", None, b"", "zwölf 漢".encode(), b"one", None]


def rows(documents: Documents) -> list[bytes]:
    data, offsets = documents.data.tobytes(), documents.offsets.tolist()
    return [data[a:b] for a, b in itertools.pairwise(offsets)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("start", "length"), [(0, 6), (1, 4), (3, 2), (6, 0)])
def test_every_text_type_and_slice_gives_the_same_bytes(kind: str, start: int, length: int) -> None:
    column = KINDS[kind](pa.array(TEXTS, pa.large_binary())).slice(start, length)
    documents = Documents(pa.record_batch({"text": column}))
    wanted = TEXTS[start : start + length]
    assert len(documents) == length
    assert rows(documents) == [t or b"" for t in wanted]
    assert documents.valid.tolist() == [t is not None for t in wanted]
    assert documents.utf8_valid.all()
    assert documents.texts() == [None if t is None else t.decode() for t in wanted]


@given(batches, st.data())
def test_invalid_rows_are_known_by_row(texts: list[bytes | None], data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(texts)))
    documents = Documents.from_texts([*texts]).slice(start, len(texts))
    wanted = [t or b"" for t in texts[start:]]
    assert rows(documents) == wanted
    assert documents.utf8_valid.tolist() == [t.decode("utf-8", "ignore").encode() == t for t in wanted]


def test_bytes_under_a_null_are_not_text() -> None:
    filled = pa.array([b"seen", b"hidden", b"seen too"], pa.large_binary())
    masked = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), 3, [pa.py_buffer(b"\x05"), filled.buffers()[1], filled.buffers()[2]]
    )
    documents = Documents(pa.record_batch({"text": masked}))
    assert rows(documents) == [b"seen", b"", b"seen too"]
    assert documents.words.counts.tolist() == [1, 0, 2]


def test_plain_corpora_answer_with_their_text() -> None:
    documents = Documents.from_texts(["a"])
    assert documents.response is documents
    asked = Documents(pa.record_batch({"text": ["q a"], "response": ["a"]}))
    assert asked.response.texts() == ["a"]


def test_views_are_computed_once() -> None:
    documents = Documents.from_texts(["a b"])
    assert documents.words is documents.words
    assert documents.words.ids is documents.words.ids


def test_a_column_of_all_nulls_is_text() -> None:
    assert rows(Documents(pa.record_batch({"text": pa.nulls(2)}))) == [b"", b""]


def test_other_types_are_refused_by_name() -> None:
    with pytest.raises(TypeError, match="int64 does not hold text"):
        as_large_binary(pa.array([1]))


def test_a_batch_is_freed_as_soon_as_it_is_let_go() -> None:
    documents = Documents.from_texts(["some text"] * 10)
    assert documents.response is documents
    alive = weakref.ref(documents)
    gc.disable()
    try:
        del documents
        assert alive() is None, "a reference cycle keeps text in memory until the collector runs"
    finally:
        gc.enable()
