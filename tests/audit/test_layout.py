from __future__ import annotations

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.layout import Kind, Layout, find_layout
from audit.readers import Format, ShardError, open_reader


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
        ShardError, match=r"a\.parquet: no column 'text' \(has: body_html, id\)\. Name one with --text\."
    ) as caught:
        find_layout(["body_html", "id"], "a.parquet")
    assert caught.value.code == "FX902"
    with pytest.raises(ShardError, match="no column 'txet'"):
        find_layout(["text"], "a.parquet", text="txet")


@pytest.mark.parametrize(
    ("wanted", "names", "meant"),
    [
        ("body", ["body_id", "text"], "text"),
        ("contnt", ["text", "content"], "content"),
        ("Text", ["id", "text"], "text"),
        (None, ["texts", "id"], "texts"),
        (None, ["id", "output"], "output"),
    ],
)
def test_a_missing_column_proposes_one_that_is_there(wanted: str | None, names: list[str], meant: str) -> None:
    with pytest.raises(ShardError, match=rf'Set text = "{meant}" in \[tool\.foxing\], or pass --text {meant}\.'):
        find_layout(names, "a.parquet", text=wanted)


def test_a_file_without_columns_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n{}\n")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b""))
    pq.write_table(pa.table({}), tmp_path / "c.parquet")
    for path in sorted(tmp_path.iterdir()):
        form = Format.of(path.name)
        assert form is not None
        for text in (None, "body"):
            with pytest.raises(ShardError, match=rf"{path.name}: has no columns\. "):
                find_layout(open_reader(str(path), form).names(), str(path), text=text)


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


def documents_of(path: Path, rows: list[object]) -> pa.Table:
    """The documents of a JSONL file, read as a scan reads it: layout columns only."""
    path.write_text("\n".join(json.dumps(row) for row in rows))
    reader = open_reader(str(path), Format.JSONL)
    layout = find_layout(reader.names(), str(path))
    return pa.Table.from_batches(layout.documents(batch, str(path)) for batch in reader.batches(layout.columns, None))


def test_jsonl_text_that_is_no_string_is_null_among_strings(tmp_path: Path) -> None:
    rows: list[object] = [{"text": "a"}, {"text": 17}, {"text": None}, {"text": "lone \ud800"}, {"text": True}]
    found = documents_of(tmp_path / "a.jsonl", rows)
    assert found.column("text").to_pylist() == [b"a", None, None, b"lone \xed\xa0\x80", None]


def test_jsonl_text_that_is_no_string_anywhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ShardError, match="column 'text' is int64, not text") as caught:
        documents_of(tmp_path / "a.jsonl", [{"text": 1}, {"text": None}])
    assert caught.value.code == "FX902"


def test_jsonl_text_of_nulls_alone_is_null(tmp_path: Path) -> None:
    assert documents_of(tmp_path / "a.jsonl", [{"text": None}]).column("text").to_pylist() == [None]
    assert documents_of(tmp_path / "b.jsonl", [{"messages": None}]).column("text").to_pylist() == [None]


def test_chat_content_is_a_string_or_a_list_of_parts(tmp_path: Path) -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "x"}}]
    asked, answered = {"role": "user", "content": parts}, {"role": "assistant", "content": "I see"}
    rows: list[object] = [
        {"messages": [asked, answered]},
        {"messages": "odd"},
        {"messages": [answered, {"role": "assistant", "content": [{"type": "text", "text": "more"}]}, "odd"]},
        {"messages": []},
        {"messages": [{"role": 7, "content": None}]},
    ]
    found = documents_of(tmp_path / "mixed.jsonl", rows)
    assert found.column("text").to_pylist() == [b"look\n\nI see", None, b"I see\n\nmore", None, None]
    assert found.column("response").to_pylist() == [b"I see", None, b"I see\n\nmore", None, None]
    uniform = documents_of(tmp_path / "lists.jsonl", [{"messages": [asked]}, {"messages": None}])
    assert uniform.column("text").to_pylist() == [b"look", None]


def test_struct_answers_give_their_text() -> None:
    answers = pa.array([{"text": ["a", "b"], "answer_start": [1, 2]}, {"text": [], "answer_start": []}])
    found = documents(pa.record_batch({"question": pa.array(["q", "r"]), "answers": answers}))
    assert found.column("response").to_pylist() == [b"a\n\nb", None]


@pytest.mark.parametrize("kind", [pa.list_view(pa.string()), pa.list_(pa.string(), 2)], ids=str)
def test_every_kind_of_list_is_joined(kind: pa.DataType) -> None:
    answers = pa.array([["a", "b"], None], kind)
    found = documents(pa.record_batch({"question": pa.array(["q", "r"]), "answers": answers}))
    assert found.column("response").to_pylist() == [b"a\n\nb", None]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pa.array([{"url": "x"}]), "'messages.content' is struct"),
        (pa.array([[{"url": "x"}]]), "'messages.content' is struct"),
        (pa.array([3]), "'messages.content' is int64"),
    ],
)
def test_content_without_text_is_refused_by_name(content: pa.Array, words: str) -> None:
    messages = pa.StructArray.from_arrays([pa.array(["user"]), content], names=["role", "content"])
    batch = pa.record_batch({"messages": pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), messages)})
    with pytest.raises(ShardError, match=words) as caught:
        documents(batch)
    assert caught.value.code == "FX902"


def test_what_arrow_refuses_names_file_column_type_and_remedy() -> None:
    kind = pa.list_(pa.struct([("role", pa.list_(pa.string())), ("content", pa.string())]))
    batch = pa.record_batch({"messages": pa.array([[{"role": ["user"], "content": "x"}]], kind)})
    with pytest.raises(
        ShardError, match=r"^a\.parquet: column 'messages' \(list<.*cannot be read as chat.*--text"
    ) as caught:
        documents(batch)
    assert caught.value.code == "FX902"


def test_two_columns_of_one_name_are_refused_by_name() -> None:
    with pytest.raises(ShardError, match="2 columns are named 'text'"):
        find_layout(["text", "text", "id"], "a.parquet")
    batch = pa.RecordBatch.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"])
    with pytest.raises(ShardError, match="2 columns are named 'text'") as caught:
        Layout(Kind.TEXT, ("text",)).documents(batch, "a.parquet")
    assert caught.value.code == "FX902"


def test_what_a_null_list_spans_is_no_text() -> None:
    lists = pa.ListArray.from_arrays(
        pa.array([0, 1, 2], pa.int32()), pa.array(["a", "hidden"]), mask=pa.array([False, True])
    )
    found = documents(pa.record_batch({"question": pa.array(["q", "r"]), "answers": lists}))
    assert found.column("text").to_pylist() == [b"q\n\na", b"r"]
