from __future__ import annotations

import pyarrow as pa
import pytest

from audit.layout import Kind, find_layout
from audit.readers import ShardError


def documents(batch: pa.RecordBatch, text: str | None = None) -> pa.RecordBatch:
    return find_layout(batch.schema.names, "a.parquet", text=text).documents(batch, "a.parquet")


@pytest.mark.parametrize(
    ("names", "kind", "columns"),
    [
        (["id", "text"], Kind.TEXT, ("text",)),
        (["Content", "url"], Kind.TEXT, ("Content",)),
        (["question", "answers"], Kind.ANSWER, ("question", "answers")),
        (["instruction", "input", "output"], Kind.ANSWER, ("instruction", "input", "output")),
        (["id", "messages"], Kind.CHAT, ("messages",)),
        (["src", "tgt"], Kind.ANSWER, ("src", "tgt")),
    ],
)
def test_layout_is_found_by_convention(names: list[str], kind: Kind, columns: tuple[str, ...]) -> None:
    layout = find_layout(names, "a.parquet")
    assert (layout.kind, layout.columns) == (kind, columns)


def test_missing_text_column_lists_what_there_is_and_how_to_name_it() -> None:
    with pytest.raises(
        ShardError, match=r"a\.parquet: no column 'text' \(has: body_html, id\)\. Set text = "
    ) as caught:
        find_layout(["body_html", "id"], "a.parquet")
    assert caught.value.code == "FX902"
    with pytest.raises(ShardError, match="no column 'txet'"):
        find_layout(["text"], "a.parquet", text="txet")


@pytest.mark.parametrize(
    "kind",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.dictionary(pa.int8(), pa.string()),
    ],
    ids=str,
)
def test_every_arrow_text_type_is_read_alike(kind: pa.DataType) -> None:
    values = ["a", None, "", "größe"]
    column = (
        pa.array(values).cast(kind)
        if not pa.types.is_dictionary(kind)
        else pa.array(values).dictionary_encode().cast(kind)
    )
    batch = documents(pa.record_batch({"text": column}).slice(1))
    assert batch.column("text").to_pylist() == [None, b"", "größe".encode()]


def test_wrong_type_names_column_and_type() -> None:
    with pytest.raises(ShardError, match="column 'text' is int64, not text"):
        documents(pa.record_batch({"text": pa.array([1, 2])}))


def test_answers_are_joined_and_the_answer_is_the_response() -> None:
    batch = pa.record_batch(
        {
            "question": pa.array(["Q1", "Q2", None, None, "Q5"]),
            "answers": pa.array([["a", "b"], [], ["only"], None, [None, "x"]], pa.list_(pa.string())),
        }
    )
    found = documents(batch)
    assert found.column("text").to_pylist() == [b"Q1\n\na\n\nb", b"Q2", b"only", None, b"Q5\n\nx"]
    assert found.column("response").to_pylist() == [b"a\n\nb", None, b"only", None, b"x"]


def test_chat_response_is_what_the_assistant_said() -> None:
    said = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    rows = [
        [
            {"role": "user", "content": "hi"},
            {"role": "Assistant", "content": "hello"},
            {"role": "assistant", "content": "more"},
        ],
        [],
        None,
        [{"role": "user", "content": "alone"}],
        [{"role": "assistant", "content": None}],
    ]
    found = documents(pa.record_batch({"messages": pa.array([None, *rows], said)}).slice(1))
    assert found.column("text").to_pylist() == [b"hi\n\nhello\n\nmore", None, None, b"alone", None]
    assert found.column("response").to_pylist() == [b"hello\n\nmore", None, None, None, None]


def test_sharegpt_names_are_chat_too() -> None:
    kind = pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())]))
    batch = pa.record_batch(
        {"conversations": pa.array([[{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]], kind)}
    )
    assert documents(batch).column("response").to_pylist() == [b"a"]


def test_messages_without_role_and_content_are_refused() -> None:
    kind = pa.list_(pa.struct([("who", pa.string()), ("what", pa.string())]))
    with pytest.raises(ShardError, match="no role and content"):
        documents(pa.record_batch({"messages": pa.array([[{"who": "a", "what": "b"}]], kind)}))


def test_raw_columns_are_passed_on() -> None:
    assert documents(pa.record_batch({"text": ["a"], "url": ["u"]})).column("column:url").to_pylist() == ["u"]
