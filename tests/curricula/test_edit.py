"""Edits touch the answers of the rows named and nothing else, and can be undone from what they kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.layout import Kind, Layout
from curricula.edit import Editor
from curricula.row_hash import hash_rows
from curricula.stored import in_transit, recast
from detectors.errors import InputError

TEXTS = (
    pa.string(),
    pa.large_string(),
    pa.string_view(),
    pa.binary(),
    pa.dictionary(pa.int8(), pa.string()),
    pa.list_(pa.string()),
    pa.large_list(pa.large_string()),
)
ANSWER = Layout(Kind.ANSWER, ("question", "answer"))
CHAT = Layout(Kind.CHAT, ("messages",))
MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string()), ("weight", pa.float32())])


def is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def answers_of(kind: pa.DataType, values: list[str | None]) -> pa.Array:
    if is_list(kind):
        return pa.array([None if value is None else [value, f"or {value}"] for value in values], kind)
    if pa.types.is_dictionary(kind):
        return pa.array(values, kind.value_type).dictionary_encode().cast(kind)
    return pa.array([v.encode() if v is not None and pa.types.is_binary(kind) else v for v in values], kind)


def table(kind: pa.DataType, values: list[str | None]) -> pa.RecordBatch:
    """Rows in transit, with a column that nobody names and metadata."""
    rows = len(values)
    schema = pa.schema(
        [
            pa.field("question", pa.large_string()),
            pa.field("answer", kind, metadata={b"unit": b"none"}),
            pa.field("tags", pa.list_(pa.int32())),
        ],
        metadata={b"owner": b"x"},
    )
    columns = [pa.array([f"q{i}" for i in range(rows)], pa.large_string()), answers_of(kind, values)]
    batch = pa.record_batch([*columns, pa.array([[i] * (i % 3) for i in range(rows)], pa.list_(pa.int32()))], schema)
    return recast(batch, pa.schema([f.with_type(in_transit(f.type)) for f in schema], metadata=schema.metadata))


def chats() -> pa.RecordBatch:
    said: list[list[dict[str, Any]] | None] = [
        [{"role": "user", "content": "a?", "weight": 1.0}, {"role": "assistant", "content": "A", "weight": None}],
        None,
        [
            {"role": "system", "content": "s", "weight": 0.5},
            {"role": "assistant", "content": "first", "weight": 0.1},
            {"role": "user", "content": "and?", "weight": None},
            {"role": "Assistant", "content": "last\n", "weight": 0.2},
            {"role": "user", "content": "thanks", "weight": None},
        ],
        [],
        [{"role": "user", "content": "no answer", "weight": None}],
        [{"role": "assistant", "content": None, "weight": None}],
    ]
    columns = [pa.array(said, pa.list_(MESSAGE)), pa.array(range(6), pa.int16())]
    return pa.record_batch(columns, names=["messages", "id"])


@pytest.mark.parametrize("kind", TEXTS, ids=str)
@given(values=st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=8), data=st.data())
def test_only_the_answers_of_the_rows_named_change(kind: pa.DataType, values: list[str | None], data: Any) -> None:
    values = [None if v is None else v.encode("utf-8", "replace").decode() for v in values]
    batch = table(kind, values)
    present = [at for at, value in enumerate(values) if value is not None]
    rows = np.array(sorted(data.draw(st.sets(st.sampled_from(present)))) if present else [], np.int64)
    new = [f"new {row}" for row in rows]
    editor = Editor(batch.schema, ANSWER)
    edited = editor.edited(batch, rows, pa.array(new, pa.large_string()))
    edited.validate(full=True)
    assert edited.schema.equals(batch.schema, check_metadata=True)
    assert edited.drop_columns(["answer"]).equals(batch.drop_columns(["answer"]))
    others = np.setdiff1d(np.arange(len(values)), rows)
    assert hash_rows(edited)[others].tolist() == hash_rows(batch)[others].tolist()
    chosen = editor.texts(edited).to_pylist()
    assert [chosen[row] for row in rows] == new
    if is_list(batch.schema.field("answer").type):
        assert all(len(edited.column("answer")[int(row)]) == 1 for row in rows)


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_what_was_kept_puts_every_row_back(kind: pa.DataType) -> None:
    batch = table(kind, ["a", None, "b", "", "b"])
    editor = Editor(batch.schema, ANSWER)
    edited, originals = editor.applied(batch, pa.array(["x", None, None, "y", "z"], pa.large_string()))
    assert originals.is_valid().to_pylist() == [True, False, False, True, True]
    assert editor.texts(edited).to_pylist() == ["x", None, "b", "y", "z"]
    assert hash_rows(edited).tolist() != hash_rows(batch).tolist()
    back = editor.restored(edited, originals)
    assert hash_rows(back).tolist() == hash_rows(batch).tolist()
    assert back.schema.equals(batch.schema, check_metadata=True)


def test_of_a_chat_the_last_answer_alone_changes() -> None:
    batch = chats()
    editor = Editor(batch.schema, CHAT)
    assert editor.texts(batch).to_pylist() == ["A", None, "last\n", None, None, None]
    edited = editor.edited(batch, np.array([0, 2]), pa.array(["B", "other"]))
    edited.validate(full=True)
    want = batch.to_pylist()
    want[0]["messages"][1]["content"] = "B"
    want[2]["messages"][3]["content"] = "other"
    assert edited.to_pylist() == want
    assert edited.schema.equals(batch.schema, check_metadata=True)
    originals = pa.array(["A", None, "last\n", None, None, None])
    assert hash_rows(editor.restored(edited, originals)).tolist() == hash_rows(batch).tolist()


def test_slices_of_chats_and_lists_are_edited_in_place() -> None:
    batch = pa.concat_batches([chats(), chats()]).slice(6, 3)
    edited = Editor(batch.schema, CHAT).edited(batch, np.array([2]), pa.array(["other"]))
    assert edited.column("messages")[2].as_py()[3]["content"] == "other"
    assert edited.slice(0, 2).to_pylist() == batch.slice(0, 2).to_pylist()
    rows = table(pa.list_(pa.string()), ["a", None, "b", "c"]).slice(1, 3)
    edited = Editor(rows.schema, ANSWER).edited(rows, np.array([1]), pa.array(["x"]))
    assert edited.column("answer").to_pylist() == [None, ["x"], ["c", "or c"]]


def test_chats_whose_messages_are_large_or_are_named_otherwise() -> None:
    kind = pa.large_list(pa.struct([("from", pa.large_string()), ("value", pa.dictionary(pa.int32(), pa.string()))]))
    rows = [[{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]] * 2
    batch = pa.record_batch([pa.array(rows, kind)], names=["conversations"])
    edited = Editor(batch.schema, Layout(Kind.CHAT, ("conversations",))).edited(batch, np.array([1]), pa.array(["b"]))
    assert [row[1]["value"] for row in edited.column(0).to_pylist()] == ["a", "b"]
    assert edited.schema.equals(batch.schema)


def test_a_row_without_an_answer_is_refused_by_place() -> None:
    with pytest.raises(InputError, match=r"has no answer to replace.*row 1 of its batch"):
        Editor(chats().schema, CHAT).edited(chats(), np.array([1]), pa.array(["x"]))
    batch = table(pa.string(), ["a", None])
    with pytest.raises(InputError, match=r"has no answer to replace.*row 1 of its batch"):
        Editor(batch.schema, ANSWER).edited(batch, np.array([0, 1]), pa.array(["x", "y"]))


@pytest.mark.parametrize("kind", TEXTS, ids=str)
def test_rows_without_an_answer_are_left_when_edits_are_applied(kind: pa.DataType) -> None:
    batch = table(kind, ["a", None, "b"])
    editor = Editor(batch.schema, ANSWER)
    edited, originals = editor.applied(batch, pa.array(["x", "y", None], pa.large_string()))
    assert originals.is_valid().to_pylist() == [True, False, False]
    assert editor.texts(edited).to_pylist() == ["x", None, "b"]
    edited, originals = Editor(chats().schema, CHAT).applied(chats(), pa.array(["x"] * 6, pa.large_string()))
    assert originals.to_pylist() == ["A", None, "last\n", None, None, None]
    assert hash_rows(edited).tolist()[3:] == hash_rows(chats()).tolist()[3:]


def test_a_full_dictionary_is_refused() -> None:
    batch = table(pa.dictionary(pa.int8(), pa.string()), [str(i) for i in range(128)])
    editor = Editor(batch.schema, ANSWER)
    assert editor.edited(batch, np.array([0]), pa.array(["5"])).column("answer")[0].as_py() == "5"
    with pytest.raises(InputError, match="holds 128 values at most"):
        editor.edited(batch, np.array([0]), pa.array(["new"]))


@pytest.mark.parametrize(
    ("field", "layout"),
    [
        (pa.field("text", pa.string()), Layout(Kind.TEXT, ("text",))),
        (pa.field("answer", pa.int64()), ANSWER),
        (pa.field("answer", pa.large_string(), metadata={b"foxing": b"json"}), ANSWER),
        (pa.field("messages", pa.string()), CHAT),
        (pa.field("messages", pa.list_(pa.struct([("role", pa.string())]))), CHAT),
        (pa.field("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.list_(MESSAGE))]))), CHAT),
    ],
    ids=["text", "number", "json", "chat of text", "no content", "content in parts"],
)
def test_answers_that_cannot_be_edited_are_refused_at_once(field: pa.Field, layout: Layout) -> None:
    with pytest.raises(InputError):
        Editor(pa.schema([field]), layout)
