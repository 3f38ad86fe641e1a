"""`foxing review` as people see it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

Run = Callable[..., Any]
TEXT = " ".join(f"word{number}" for number in range(400))


@pytest.fixture
def audit(foxing: Run, tmp_path: Path) -> Path:
    changed = TEXT.replace("word60 ", "\x1b[31mother ")
    pl.DataFrame({"text": [TEXT, TEXT, changed]}).write_parquet(tmp_path / "corpus.parquet")
    answer = foxing(
        "scan", tmp_path / "corpus.parquet", "-o", tmp_path / "audit", "--signals", "near_dup", "--workers", "1"
    )
    assert answer.code == 0
    return tmp_path / "audit"


def test_both_texts_stand_side_by_side_with_what_differs_marked(foxing: Run, audit: Path) -> None:
    out = foxing("review", audit, "FX302").out
    assert "corpus row 2 (goes)" in out and "corpus row 0 (stays)" in out and "exact Jaccard 0.9" in out
    marked = [line for line in out.splitlines() if line.startswith("> ")]
    assert len(marked) == 1 and "other" in marked[0] and "> word60" in marked[0]
    assert "words alike" in out


def test_text_from_data_cannot_control_the_terminal(foxing: Run, audit: Path) -> None:
    assert "\x1b" not in foxing("review", audit, "FX302").out


def test_json_holds_both_texts(foxing: Run, audit: Path) -> None:
    (pair,) = json.loads(foxing("review", audit, "FX301", "--format", "json").out)
    assert pair["left"]["text"] == pair["right"]["text"] == TEXT
    assert pair["jaccard"] == 1.0 and pair["values"]["exact"] is True


def test_nothing_to_show_is_said(foxing: Run, audit: Path) -> None:
    answer = foxing("review", audit, "FX301", "--source", "elsewhere")
    assert answer.code == 0 and "no row is hit" in answer.out


def test_a_rule_over_single_rows_is_refused(foxing: Run, audit: Path) -> None:
    answer = foxing("review", audit, "FX201")
    assert answer.code == 2 and "compares no row with another" in answer.err


def test_rows_that_stay_are_no_cases_of_a_rule_over_clusters(foxing: Run, audit: Path, tmp_path: Path) -> None:
    (tmp_path / "rules.toml").write_text('[rule.XX101]\nname = "copied"\nwhen = "duplicates.size >= 2"\nbudget = 1.0\n')
    rules = ("--config", tmp_path / "rules.toml")
    answer = foxing("review", audit, "XX101", *rules, "--format", "json", settings=True)
    assert answer.code == 0, answer.err
    assert sorted(pair["left"]["row"] for pair in json.loads(answer.out)) == [1, 2]


def test_the_reference_is_found_from_another_folder(
    foxing: Run, audit: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pl.DataFrame({"text": [TEXT]}).write_parquet(tmp_path / "new.parquet")
    monkeypatch.chdir(tmp_path)
    options = ("--signals", "near_dup", "--workers", "1", "--reference", "audit")
    assert foxing("scan", "new.parquet", "-o", "again", *options).code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (pair,) = json.loads(foxing("review", tmp_path / "again", "FX301", "--format", "json").out)
    assert pair["values"]["in_reference"] is True and pair["right"]["text"] == TEXT
