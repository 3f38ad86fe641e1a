"""What a request would change, told row by row, and nothing written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from audit.findings_folder import Findings
from curricula.changes import changes
from curricula.curate import Request
from curricula.sections import Shape
from detectors.errors import InputError
from tests.corpora import write_parquet
from tests.curricula import test_edited_output as edited
from tests.curricula.fake_findings import RULES, make_findings, patch_calibration


@pytest.fixture
def findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Findings:
    patch_calibration(monkeypatch)
    texts = ["one\ntwo", 'a "quote"', "x" * 1000, None, "five"]
    paths = [write_parquet(tmp_path / "in" / f"{name}.parquet", pa.table({"text": texts})) for name in "ab"]
    margins: dict[str, list[float | None]] = {"a.parquet": [0.9, 0.0, 0.9, None, 0.0], "b.parquet": [0.0] * 5}
    return make_findings(tmp_path / "audit", paths, margins)


def test_dropped_rows_are_hunks_with_their_reasons(findings: Findings) -> None:
    found, lines = changes(findings, RULES, Request(curriculum=("original",), drop=("FX101",)), diff=True)
    assert (found.any, found.dropped, found.edited, found.copied, found.reordered) == (True, 2, 0, 0, False)
    assert list(lines) == [
        "--- a/a",
        "+++ b/a",
        "@@ -1 +0,0 @@ dropped by FX101",
        '-"one\\ntwo"',
        "@@ -3 +2,0 @@ dropped by FX101",
        f'-"{"x" * 400} ..."',
    ]


def test_nothing_to_change_is_no_change(findings: Findings) -> None:
    found, lines = changes(findings, RULES, Request(curriculum=("original",)), diff=True)
    assert not found.any
    assert list(lines) == []


def test_another_order_is_a_change_without_hunks(findings: Findings) -> None:
    found, lines = changes(findings, RULES, Request(curriculum=("shuffled",)), diff=True)
    assert found.any and found.reordered
    assert list(lines) == []


def test_holding_rows_out_is_another_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    patch_calibration(monkeypatch)
    path = write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": ["word"] * 40}))
    findings = make_findings(tmp_path / "audit", [path], clusters_of={})
    for shape, moved in ((Shape(split=0.5), True), (Shape(stages=4), False)):
        found, _ = changes(findings, RULES, Request(curriculum=("original",), shape=shape))
        assert (found.reordered, found.any, found.foreseen.in_order) == (moved, moved, not moved)


@pytest.mark.parametrize("table", [edited.qa(12), edited.chats(12)], ids=["list of answers", "chat"])
def test_replaced_answers_are_shown_before_and_after(tmp_path: Path, table: pa.Table) -> None:
    findings = edited.scanned(tmp_path, table)
    found, lines = changes(findings, edited.RULES, Request(curriculum=("correct-false",)), diff=True)
    assert (found.edited, found.dropped, found.reordered) == (4, 0, False)
    column = table.schema.names[1 if "answers" in table.schema.names else 0]
    right = [edited.CITIES[n % len(edited.CITIES)] for n in range(12)]
    expected = [
        line
        for n in range(0, 12, 3)
        for line in (f"@@ -{n + 1} +{n + 1} @@ answer ({column})", f'-"{edited.said(n)}"', f'+"{right[n]}"')
    ]
    assert list(lines) == ["--- a/a", "+++ b/a", *expected]


def test_diff_of_a_file_that_changed_is_refused(tmp_path: Path, findings: Findings) -> None:
    write_parquet(tmp_path / "in" / "a.parquet", pa.table({"text": ["other"] * 5}))
    _, lines = changes(findings, RULES, Request(curriculum=("original",), drop=("FX101",)), diff=True)
    with pytest.raises(InputError, match="changed since it was scanned"):
        list(lines)
