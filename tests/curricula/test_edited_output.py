"""A curate that edits answers accounts for every row: what it writes can be put back, and nothing else differs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audit.config import Config, ScanConfig
from audit.findings_folder import Findings
from audit.rules import Rule
from audit.scan_run import scan
from curricula.budgets import Budget
from curricula.changes import changes
from curricula.cli.preview_text import unanswered_text
from curricula.curate import Request, curate, preview
from curricula.manifest_reader import read_manifest
from curricula.undo import undo
from curricula.verify import verify
from detectors.errors import InputError
from tests.corpora import write_parquet

RULES = (
    Rule(id="FX402", name="false against reference", when="falsity.score >= 0.7"),
    Rule(id="MY101", name="many words", when="document.words > 50"),
)
CITIES = "Oslo Bergen Hamar Narvik Molde Skien Moss Larvik".split()


def asked(number: int) -> str:
    return f"Where does number {number} live?"


def said(number: int) -> str:
    """Every third answer is wrong."""
    return CITIES[(number + (number % 3 == 0)) % len(CITIES)]


def qa(rows: int) -> pa.Table:
    return pa.table(
        {
            "question": [asked(n) for n in range(rows)],
            "answers": pa.array([[said(n)] for n in range(rows)], pa.list_(pa.string())),
            "tags": pa.array([{"n": n} for n in range(rows)]),
        }
    )


def chats(rows: int) -> pa.Table:
    return pa.table(
        {
            "messages": [
                [{"role": "user", "content": asked(n)}, {"role": "assistant", "content": said(n)}] for n in range(rows)
            ],
            "id": range(rows),
        }
    )


def scanned(folder: Path, table: pa.Table) -> Findings:
    write_parquet(folder / "in" / "a.parquet", table, rows_per_group=13)
    reference = [{"question": asked(n), "answers": [CITIES[n % len(CITIES)]]} for n in range(200)]
    (folder / "reference.jsonl").write_text("\n".join(map(json.dumps, reference)))
    config = Config(
        scan=ScanConfig(signals=("falsity",), stages=(), workers=1, sketches=False),
        signals={"falsity": {"reference": str(folder / "reference.jsonl")}},
    )
    return scan([str(folder / "in")], folder / "audit", config).findings


def made(folder: Path, table: pa.Table, *curricula: str) -> pa.Table:
    curate(scanned(folder, table), RULES, folder / "out", Request(curriculum=curricula))
    return pa.concat_tables([pq.read_table(file) for file in sorted((folder / "out" / "data").rglob("*.parquet"))])


def answer_of(row: dict[str, Any]) -> str:
    return str(row["answers"][0] if "answers" in row else row["messages"][1]["content"])


@pytest.mark.parametrize("table", [qa(70), chats(70)], ids=["list of answers", "chat"])
@pytest.mark.parametrize("order", ["original", "shuffled"])
def test_only_answers_that_contradict_the_reference_differ(tmp_path: Path, table: pa.Table, order: str) -> None:
    found = made(tmp_path, table, order, "correct-false")
    rows = {asked(n): n for n in range(70)}
    for row in found.to_pylist():
        number = rows[row["question"] if "question" in row else row["messages"][0]["content"]]
        assert answer_of(row) == CITIES[number % len(CITIES)]
        assert (row["foxing_original"] is not None) == (number % 3 == 0)
        if row["foxing_original"] is not None:
            assert row["foxing_original"] == ([said(number)] if "answers" in row else said(number))
    assert found.num_rows == 70
    manifest = read_manifest(tmp_path / "out")
    assert manifest.totals()["edited"] == 24
    checked = verify(tmp_path / "out")
    assert (checked.problems, checked.inputs) == ([], 1)


def test_without_edits_there_is_no_further_column(tmp_path: Path) -> None:
    found = made(tmp_path, qa(20), "original")
    assert found.schema.names == ["question", "answers", "tags"]
    assert verify(tmp_path / "out").problems == []


def test_rows_of_plain_text_are_counted_and_named_where_answers_are_replaced(tmp_path: Path) -> None:
    text = pa.table({"text": [f"number {n} has no question" for n in range(30)]})
    write_parquet(tmp_path / "in" / "t.parquet", text)
    findings = scanned(tmp_path, qa(20))
    out = Request(curriculum=("original", "correct-false"))
    made = curate(findings, RULES, tmp_path / "out", out)
    assert made.manifest.totals()["edited"] == 7
    assert made.foreseen.without_answers == 30
    assert unanswered_text(made.foreseen) == [
        "correct-false: 30 kept rows of plain text left as they were read, for they have no answer to replace"
    ]
    few = preview(findings, RULES, replace(out, budget=Budget(rows=21)))
    assert few.without_answers == 1, "of those that are kept"
    assert "1 kept row of plain text" in unanswered_text(few)[0]
    assert preview(findings, RULES, replace(out, budget=Budget(rows=20))).without_answers == 0
    assert unanswered_text(preview(findings, RULES, replace(out, budget=Budget(rows=20)))) == []
    assert preview(findings, RULES, replace(out, curriculum=("original",))).without_answers is None
    assert verify(tmp_path / "out").problems == []


def tampered(folder: Path, column: str, values: Any) -> list[str]:
    """Problems after a file was written again with another column."""
    (file,) = (folder / "out" / "data").iterdir()
    table = pq.read_table(file)
    at = table.schema.get_field_index(column)
    changed = pa.array(values(table.column(column).to_pylist()), table.schema.field(at).type)
    pq.write_table(table.set_column(at, table.schema.field(at), changed), file)
    return [problem for problem in verify(folder / "out").problems if "SHA-256" not in problem]


def test_another_answer_than_the_planned_one_is_found(tmp_path: Path) -> None:
    made(tmp_path, qa(20), "original", "correct-false")
    problems = tampered(tmp_path, "answers", lambda old: [["elsewhere"], *old[1:]])
    assert any("are not those of the plan" in problem for problem in problems)


def test_an_edit_that_nobody_planned_is_found(tmp_path: Path) -> None:
    made(tmp_path, qa(20), "original", "correct-false")
    problems = tampered(tmp_path, "answers", lambda old: [old[0], ["elsewhere"], *old[2:]])
    assert any("rows are not the recorded ones" in problem for problem in problems)


def test_an_original_that_was_changed_is_found(tmp_path: Path) -> None:
    made(tmp_path, qa(20), "original", "correct-false")
    problems = tampered(tmp_path, "foxing_original", lambda old: [["elsewhere"], *old[1:]])
    assert any("rows are not the recorded ones" in problem for problem in problems)
    again = tampered(tmp_path, "foxing_original", lambda old: [None, *old[1:]])
    assert any("rows were edited, and not the" in problem for problem in again)


def test_answers_that_cannot_be_edited_are_refused_by_the_name_of_their_file(tmp_path: Path) -> None:
    table = qa(20)
    fixed = table.set_column(1, "answers", table.column("answers").cast(pa.list_(pa.string(), 1)))
    with pytest.raises(InputError, match=r"a\.parquet: 'answers': is fixed_size_list"):
        made(tmp_path, fixed, "correct-false")


@pytest.mark.parametrize("order", ["original", "shuffled"])
@pytest.mark.parametrize("rows", ["chat", "json"])
def test_rows_whose_answer_cannot_be_replaced_are_left_counted_and_come_back(
    tmp_path: Path, order: str, rows: str
) -> None:
    table = chats(40).to_pylist()
    table[21]["messages"].append({"role": "assistant", "content": None})  # wrong, and last of all nothing is said
    table[27]["messages"].append({"role": "assistant", "content": None})
    kind = pa.Table.from_pylist(table)
    if rows == "json":
        said = pa.array([json.dumps(row["messages"], indent=at == 21 or None) for at, row in enumerate(table)])
        field = pa.field("messages", pa.string(), metadata={b"foxing": b"json"})
        kind = kind.set_column(0, field, said)
    found = made(tmp_path, kind, order, "correct-false")
    manifest = read_manifest(tmp_path / "out")
    assert (manifest.totals()["edited"], manifest.totals()["unedited"]) == (12, 2)
    assert found.num_rows == 40 and found.column("foxing_original").null_count == 28
    checked = verify(tmp_path / "out")
    assert (checked.problems, checked.inputs) == ([], 1)
    undo(tmp_path / "out", tmp_path / "back")
    assert pq.read_table(tmp_path / "back" / "a.parquet").equals(pq.read_table(tmp_path / "in" / "a.parquet"))
    lines = changes(Findings.open(tmp_path / "audit"), RULES, Request(curriculum=(order, "correct-false")), diff=True)
    assert [line for line in lines[1] if "stays" in line] == [
        f"@@ -{row} +{row} @@ answer (messages) stays: it has none that is text" for row in (22, 28)
    ]


def test_rows_that_are_said_to_have_no_answer_and_have_one_are_found(tmp_path: Path) -> None:
    made(tmp_path, qa(20), "original", "correct-false")
    stood = tampered(tmp_path, "answers", lambda old: [[said(0)], *old[1:]])
    assert stood
    again = tampered(tmp_path, "foxing_original", lambda old: [None, *old[1:]])
    assert any("rows were edited, and not the" in problem for problem in again)


def test_more_rows_without_an_answer_than_recorded_are_found(tmp_path: Path) -> None:
    rows = qa(40).to_pylist()
    made(tmp_path, pa.Table.from_pylist(rows, qa(1).schema), "original", "correct-false")
    tampered(tmp_path, "answers", lambda old: [None, *old[1:]])
    problems = tampered(tmp_path, "foxing_original", lambda old: [None, *old[1:]])
    assert "data/: 1 rows have no answer to replace, 0 recorded" in problems
