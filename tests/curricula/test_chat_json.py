"""Chats in JSONL whose messages differ in their keys are edited like others: the last answer, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.config import Config, ScanConfig
from audit.layout import Kind, Layout
from audit.rules import Rule
from audit.scan_run import scan
from curricula.chat_json import json_answers, with_json_answers
from curricula.curate import Request, curate
from curricula.edit import Editor
from curricula.verify import verify

AUTHORS = ("assistant", "gpt")
FIELD = pa.field("messages", pa.large_string(), metadata={b"foxing": b"json"})
LAYOUT = Layout(Kind.CHAT, ("messages",))


def column(*values: object) -> pa.Array:
    return pa.array([value if value is None else json.dumps(value) for value in values], pa.large_string())


CHATS = column(
    [{"role": "user", "content": "où?"}, {"role": "assistant", "content": "là", "weight": 1.5}, {"role": "user"}],
    [{"from": "gpt", "value": "one"}, {"from": "human", "value": ["two"]}, {"from": "GPT", "value": "three"}],
    [{"role": "assistant", "content": [{"type": "text", "text": "parts"}]}],
    [{"role": "user", "content": "alone"}],
    "no list",
    None,
)


def test_the_last_answer_is_found_where_it_is_text() -> None:
    assert json_answers(CHATS, AUTHORS).to_pylist() == ["là", "three", None, None, None, None]


def test_chats_that_would_come_out_spelled_otherwise_are_left_alone() -> None:
    spelled = [
        '[{"role":"assistant","content":"tight"}]',
        '[{"role": "assistant", "content": "twice", "content": "keys"}]',
        '[{"role": "assistant", "content": "huge", "n": 1e999}]',
        '[{"role": "assistant", "content": "l\\u00e0"}]',
    ]
    assert json_answers(pa.array(spelled, pa.large_string()), AUTHORS).to_pylist() == [None, None, None, "là"]


def test_editing_and_putting_back_give_the_same_bytes() -> None:
    editor = Editor(pa.schema([FIELD]), LAYOUT)
    batch = pa.record_batch([CHATS], schema=editor.schema)
    edited, kept = editor.applied(
        batch, pa.array(["here \U0001f600", "four", None, None, None, None], pa.large_string())
    )
    changed = [value if value is None else json.loads(value) for value in edited.column(0).to_pylist()]
    assert changed[0][1] == {"role": "assistant", "content": "here \U0001f600", "weight": 1.5}
    assert changed[1][::2] == [{"from": "gpt", "value": "one"}, {"from": "GPT", "value": "four"}]
    assert kept.to_pylist() == ["là", "three", None, None, None, None]
    assert editor.texts(edited).to_pylist()[:2] == ["here \U0001f600", "four"]
    assert editor.restored(edited, kept).equals(batch) and not edited.equals(batch)


def test_other_rows_keep_their_bytes() -> None:
    changed = with_json_answers(CHATS, np.array([1]), pa.array(["x"]), AUTHORS)
    assert changed.take(pa.array([0, 2, 3, 4, 5])).equals(CHATS.take(pa.array([0, 2, 3, 4, 5])))


def question(n: int) -> str:
    return f"Where does number {n} live?"


def user(n: int, shape: str) -> dict[str, object]:
    """Every fifth message has another shape than the others."""
    plain: dict[str, object] = {"role": "user", "content": question(n)}
    if n % 5:
        return plain
    return plain | ({"name": "n"} if shape == "a key more" else {"content": [{"type": "text", "text": question(n)}]})


@pytest.mark.parametrize("shape", ["a key more", "content in parts"])
def test_wrong_answers_of_such_a_file_are_corrected_and_can_be_verified(tmp_path: Path, shape: str) -> None:
    rows = [[user(n, shape), {"role": "assistant", "content": "Hamar" if n % 3 else "Oslo"}] for n in range(40)]
    (tmp_path / "chats.jsonl").write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    reference = [{"question": question(n), "answers": ["Hamar"]} for n in range(40)]
    (tmp_path / "reference.jsonl").write_text("\n".join(map(json.dumps, reference)))
    config = Config(
        scan=ScanConfig(signals=("falsity",), stages=(), workers=1, sketches=False),
        signals={"falsity": {"reference": str(tmp_path / "reference.jsonl")}},
    )
    findings = scan([str(tmp_path / "chats.jsonl")], tmp_path / "audit", config).findings
    rule = Rule(id="FX402", name="false against reference", when="falsity.score >= 0.7")
    curate(findings, (rule,), tmp_path / "out", Request(curriculum=("correct-false",)))
    table = pa.concat_tables([pq.read_table(path) for path in sorted((tmp_path / "out" / "data").rglob("*.parquet"))])
    found = [json.loads(value) for value in table.column("messages").to_pylist()]
    assert [row[1]["content"] for row in found] == ["Hamar"] * 40
    assert table.column("foxing_original").to_pylist() == [None if n % 3 else "Oslo" for n in range(40)]
    assert [row[0] for row in found] == [row[0] for row in rows]
    assert verify(tmp_path / "out").problems == []
