from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.audit.judging import Row, row, write_findings

Run = Callable[..., Any]
ROWS: list[Row] = [
    row(hits=2, source="=1+1"),
    row(source="@x"),
    {"source": "+a"},
    {**row(words=5, source='-b\n"c"'), "residue": None, "error:residue": "ValueError: odd"},
]


@pytest.fixture
def scanned(tmp_path: Path) -> Path:
    write_findings(tmp_path / "audit", {"b": ROWS[:3], "a": ROWS[3:]}, signals=("document", "residue"), by="source")
    return tmp_path / "audit"


def test_jsonl_has_one_line_a_row_in_corpus_order(foxing: Run, scanned: Path) -> None:
    answer = foxing("findings", scanned, "--columns", "shard,row,rules,residue.hits,errors")
    lines = [json.loads(line) for line in answer.out.splitlines()]
    assert answer.code == 0 and lines == [
        {"shard": "b", "row": 0, "rules": ["FX102"], "residue.hits": 2, "errors": []},
        {"shard": "b", "row": 1, "rules": [], "residue.hits": 0, "errors": []},
        {"shard": "b", "row": 2, "rules": ["FX901"], "residue.hits": None, "errors": []},
        {"shard": "a", "row": 0, "rules": ["FX901"], "residue.hits": None, "errors": ["residue: ValueError: odd"]},
    ]


def test_default_columns_hold_address_source_and_decision(foxing: Run, scanned: Path) -> None:
    first = json.loads(foxing("findings", scanned).out.splitlines()[0])
    assert first == {"shard": "b", "row": 0, "source": "=1+1", "rules": ["FX102"], "action": "report"}


def test_the_rule_that_drops_a_row_is_told_whatever_hit_it_before(foxing: Run, scanned: Path, tmp_path: Path) -> None:
    settings = tmp_path / "foxing.toml"
    settings.write_text("[rule.MY101]\nwhen = 'residue.hits > 1'\naction = 'drop'\n")
    columns = "rules,action,dropped_by"
    out = foxing("findings", scanned, "--columns", columns, "--config", settings, settings=True).out
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0] == {"rules": ["FX102", "MY101"], "action": "drop", "dropped_by": "MY101"}
    assert [line["action"] for line in lines[1:]] == ["keep", "report", "report"]


def test_csv_joins_rules_and_defuses_formulas(foxing: Run, scanned: Path) -> None:
    out = foxing("findings", scanned, "--format", "csv", "--columns", "row,source,rules,document.words,action").out
    rows = list(csv.reader(io.StringIO(out)))
    assert rows == [
        ["row", "source", "rules", "document.words", "action"],
        ["0", "'=1+1", "FX102", "100", "report"],
        ["1", "'@x", "", "100", "keep"],
        ["2", "'+a", "FX901", "", "report"],
        ["0", '\'-b\n"c"', "FX901", "5", "report"],
    ]


def test_parquet_keeps_types_and_flat_names(foxing: Run, scanned: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.parquet"
    answer = foxing("findings", scanned, "--format", "parquet", "-o", out, "--columns", "row,rules,document.words")
    table = pq.read_table(out)
    assert answer.code == 0 and not answer.out and table.column_names == ["row", "rules", "document.words"]
    assert table["row"].to_pylist() == [0, 1, 2, 0] and table["document.words"].to_pylist() == [100, 100, None, 5]
    assert table["rules"].to_pylist() == [["FX102"], [], ["FX901"], ["FX901"]]
    assert pa.types.is_int64(table.schema.field("row").type) and pa.types.is_int32(
        table.schema.field("document.words").type
    )


def test_not_a_number_never_reaches_jsonl(foxing: Run, tmp_path: Path) -> None:
    from audit.export import export
    from audit.findings_folder import Findings
    from audit.rules import Rule
    from tests.audit import judging

    schema = pa.schema([("value", pa.float32())])
    judging.SCHEMAS["odd"] = schema
    try:
        write_findings(tmp_path, {"a": [{"odd": {"value": float("nan")}}, {"odd": {"value": 1.5}}]}, signals=("odd",))
    finally:
        del judging.SCHEMAS["odd"]
    stream = io.BytesIO()
    rules: list[Rule] = []
    export(Findings.open(tmp_path), rules, stream, form="jsonl", columns=["odd.value"])
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [{"odd.value": None}, {"odd.value": 1.5}]


def test_an_unknown_column_names_the_nearest(foxing: Run, scanned: Path) -> None:
    answer = foxing("findings", scanned, "--columns", "row,residue.hit")
    assert answer.code == 2 and "no column 'residue.hit' in the findings. Did you mean 'residue.hits'" in answer.err
    assert not answer.out


def test_a_failed_export_leaves_nothing_behind(foxing: Run, scanned: Path, tmp_path: Path) -> None:
    assert foxing("findings", scanned, "-o", tmp_path / "x.jsonl", "--columns", "nope").code == 2
    assert foxing("findings", scanned, "-o", tmp_path / "no" / "x.jsonl").code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit"]


def test_parquet_is_not_written_to_a_terminal(foxing: Run, scanned: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.BytesIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("audit.cli.findings.standard_output", Terminal)
    answer = foxing("findings", scanned, "--format", "parquet")
    assert answer.code == 2 and "not for a terminal" in answer.err


def test_a_column_asked_for_twice_comes_once(foxing: Run, scanned: Path) -> None:
    answer = foxing("findings", scanned, "--columns", "row,row,shard")
    assert answer.code == 0 and list(json.loads(answer.out.splitlines()[0])) == ["row", "shard"]


def test_a_binary_field_is_said_to_lie_in_the_files(foxing: Run, scanned: Path) -> None:
    answer = foxing("findings", scanned, "--columns", "row,near_dup.minhash")
    assert answer.code == 2 and "findings/near_dup/*/part-*.parquet" in answer.err
    assert "Did you mean" in foxing("findings", scanned, "--columns", "residue.hit").err
