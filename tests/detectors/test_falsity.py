"""The falsity signal: answers against a reference, and what it leaves unsaid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from detectors.conformance import check_signal
from detectors.documents import Documents
from detectors.errors import ConfigError, SignalError
from detectors.falsity import Falsity
from detectors.protocols import Device

ROWS = [
    {"id": "fr", "question": "What is the capital of France?", "answers": ["Paris"], "false_answers": ["Lyon"]},
    {"id": "moon", "question": "When was the last moon landing?", "answers": ["14 December 1972 UTC"]},
    {"id": "kr", "question": "Krasnodar is a city in ____.", "answers": ["Russia"]},
    {"id": "poet", "question": "What did Anna do for a living?", "answers": ["poet", "playwright"]},
]


def write(path: Path, rows: Sequence[dict[str, Any]] = ROWS) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows), "utf-8")
    return str(path)


@pytest.fixture
def signal(tmp_path: Path) -> Falsity:
    return Falsity(reference=write(tmp_path / "reference.jsonl")).pinned()


def asked(*pairs: tuple[str | None, str | None], **columns: list[str]) -> Documents:
    texts = ["\n\n".join(part for part in pair if part is not None) or None for pair in pairs]
    batch = {
        "text": pa.array([None if text is None else text.encode() for text in texts], pa.large_binary()),
        "response": pa.array([None if a is None else a.encode() for _, a in pairs], pa.large_binary()),
        **{f"column:{name}": pa.array(values) for name, values in columns.items()},
    }
    return Documents(pa.record_batch(batch))


def measured(signal: Falsity, documents: Documents) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = signal.load(Device.CPU)(documents).to_pylist()
    return found


def verdicts(signal: Falsity, documents: Documents) -> list[tuple[float | None, str | None]]:
    return [(None if r["score"] is None else round(r["score"], 2), r["match"]) for r in measured(signal, documents)]


def test_keeps_the_contract_of_a_signal(signal: Falsity) -> None:
    check_signal(Falsity())
    check_signal(signal)


def test_accepted_answers_are_0_and_others_1_with_the_evidence(signal: Falsity) -> None:
    rows = measured(
        signal,
        asked(("what's the capital of france", "PARIS!"), ("What is the capital of France?", "Marseille.")),
    )
    assert [(row["score"], row["match"]) for row in rows] == [(0.0, "accepted"), (1.0, "different")]
    assert [(row["reference"], row["expected"]) for row in rows] == [("fr", "Paris")] * 2


def test_every_right_answer_is_accepted_and_one_in_a_list_is_enough(signal: Falsity) -> None:
    question = "What did Anna do for a living?"
    rows = [(question, "Playwright"), (question, "a poet"), (question, "banker\n\npoet"), (question, "banker")]
    assert [score for score, _ in verdicts(signal, asked(*rows))] == [0.0, 0.0, 0.0, 1.0]


def test_contained_where_sure_is_accepted_and_a_denial_is_not(signal: Falsity) -> None:
    capital, moon = "What is the capital of France?", "When was the last moon landing?"
    rows = [
        (capital, "It is Paris, of course."),
        (moon, "December 14, 1972"),
        (moon, "Dec 1972"),
        (capital, "not Paris"),
    ]
    scores = [score for score, _ in verdicts(signal, asked(*rows))]
    assert scores[:3] == [0.0, 0.0, 0.0]
    assert scores[3] is not None and scores[3] >= 0.5


def test_a_known_wrong_answer_is_named(signal: Falsity) -> None:
    assert verdicts(signal, asked(("What is the capital of France?", "It's Lyon"))) == [(1.0, "known_false")]


def test_rows_that_are_not_found_have_nothing(signal: Falsity) -> None:
    rows = measured(signal, asked(("What is the capital of Spain?", "Lyon"), ("Paris", None)))
    for row in rows:
        assert (row["score"], row["match"], row["reference"], row["expected"]) == (None, None, None, None)


def test_long_prose_without_the_answer_is_no_verdict_and_with_it_is_accepted(signal: Falsity) -> None:
    prose = "Well, that has a long history of which much could be said here and elsewhere too. " * 4
    question = "What is the capital of France?"
    found = measured(signal, asked((question, prose), (question, prose + "So Paris it is.")))
    assert [row["score"] for row in found] == [None, 0.0]
    assert found[0]["reference"] == "fr"


def test_what_stands_before_the_question_may_be_an_instruction(signal: Falsity) -> None:
    rows = asked(("Answer in one word.\n\nWhat is the capital of France?", "Lyon"))
    assert verdicts(signal, rows) == [(1.0, "known_false")]


def test_a_chat_of_several_turns_is_not_compared(signal: Falsity) -> None:
    text = b"What is the capital of France?\n\nLyon\n\nThanks\n\nWelcome"
    batch = pa.record_batch(
        {"text": pa.array([text], pa.large_binary()), "response": pa.array([b"Lyon\n\nWelcome"], pa.large_binary())}
    )
    (row,) = measured(signal, Documents(batch))
    assert (row["score"], row["question"]) == (None, None)


def test_plain_text_that_goes_on_where_a_question_breaks_off_is_its_answer(signal: Falsity) -> None:
    documents = Documents.from_texts(
        ["Krasnodar is a city in Russia.", "Krasnodar is a city in Poland", "Krasnodar is"]
    )
    rows = measured(signal, documents)
    assert [(row["score"], row["expected"]) for row in rows] == [(0.0, "Russia"), (1.0, "Russia"), (None, None)]
    assert all(row["question"] is None for row in rows)


def test_statements_are_judged_by_their_label(tmp_path: Path) -> None:
    path = tmp_path / "statements.parquet"
    table = {"statement": ["Iron is a metal.", "Iron is a gas."], "label": [True, False], "id": [7, 8]}
    pq.write_table(pa.table(table), path)
    signal = Falsity(reference=str(path)).pinned()
    rows = measured(signal, Documents.from_texts(["iron is a metal", "Iron is a GAS", "Iron is heavy"]))
    assert [(row["score"], row["match"], row["reference"]) for row in rows] == [
        (0.0, "accepted", "7"),
        (1.0, "known_false", "8"),
        (None, None, None),
    ]


def test_rows_are_found_by_subject_and_relation(tmp_path: Path) -> None:
    reference = [{"subject": "Café Noir", "relation": "P17", "object": "France"}]
    signal = Falsity(reference=write(tmp_path / "r.jsonl", reference), subject="s", relation="p").pinned()
    documents = asked(
        ("Where?", "France"), ("Where?", "Chad"), ("Where?", "Chad"), s=["cafe noir"] * 3, p=["P17", "P17", "P36"]
    )
    assert [score for score, _ in verdicts(signal, documents)] == [0.0, 1.0, None]


def test_answers_of_one_question_are_put_together(tmp_path: Path) -> None:
    rows = [{"question": "Who came?", "answer": "Ann"}, {"question": "who came", "answer": "Bob"}]
    signal = Falsity(reference=write(tmp_path / "r.jsonl", rows)).pinned()
    assert [score for score, _ in verdicts(signal, asked(("Who came?", "bob"), ("Who came?", "Cy")))] == [0.0, 1.0]


def test_keys_are_equal_for_equal_questions_and_short_answers_alone_have_words() -> None:
    signal = Falsity()
    rows = measured(
        signal,
        asked(
            ("What's the capital of France?", "Paris"),
            ("what is the capital of France", "the PARIS"),
            ("Who?", "word " * 9),
            ("Write a haiku.", "Old pond"),
            ("Who?", "Ann\n\nBob Lee"),
        ),
    )
    assert rows[0]["question"] == rows[1]["question"] != rows[2]["question"]
    assert rows[0]["answers"] == rows[1]["answers"]
    assert rows[2]["answers"] is None and rows[3]["answers"] is None
    assert len(rows[4]["answers"]) == 4 * 5 and rows[4]["answers"].endswith(b"\0\0\0\0")


def test_the_reference_is_pinned_by_what_it_holds(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    signal = Falsity(reference=path).pinned()
    assert signal.pinned() == signal
    with pytest.raises(SignalError, match="reference_digest"):
        Falsity(reference=path).load(Device.CPU)
    write(Path(path), ROWS[:1])
    for refused in (signal.pinned, lambda: signal.load(Device.CPU)):
        with pytest.raises(SignalError, match="has digest"):
            refused()
    assert Falsity().pinned() == Falsity()


@pytest.mark.parametrize(
    ("content", "message"),
    [('{"text": "x"}', "is no reference"), ("{", "cannot be read"), ('{"question": "x"}', "is no reference")],
)
def test_a_file_that_is_no_reference_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(content)
    signal = Falsity(reference=str(path)).pinned()
    with pytest.raises(SignalError, match=message):
        signal.load(Device.CPU)


def test_an_absent_reference_and_half_a_pair_of_columns_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SignalError, match="no file"):
        Falsity(reference=str(tmp_path / "absent.parquet")).pinned()
    with pytest.raises(ConfigError, match="belong together"):
        Falsity(subject="s")
