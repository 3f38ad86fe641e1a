from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from audit.findings_folder import Findings
from tests.corpora import texts, write_texts

Run = Callable[..., Any]
OPTIONS = ("--signals", "document,near_dup", "--stages", "duplicates", "--workers", "1")


@pytest.fixture
def corpus(tmp_path: Path, foxing: Run) -> Path:
    """Three files and their scan in `audit`."""
    folder = tmp_path / "in"
    for at, name in enumerate("abc"):
        write_texts(folder / f"{name}.parquet", texts(30, at))
    assert foxing("scan", folder, "-o", tmp_path / "audit", *OPTIONS).code == 0
    return folder


def as_from_scratch(foxing: Run, corpus: Path, audit: Path) -> None:
    """A rescan must leave what a scan into a new folder would."""
    again = audit.parent / "again"
    assert foxing("scan", corpus, "-o", again, *OPTIONS).code == 0
    one, other = Findings.open(audit), Findings.open(again)
    assert one.signature() == other.signature()
    assert all(a.equals(b) for a, b in zip(one.parts(), other.parts(), strict=True))
    assert sorted(p.relative_to(audit) for p in (audit / "findings").rglob("*.parquet")) == sorted(
        p.relative_to(again) for p in (again / "findings").rglob("*.parquet")
    )


def test_only_new_and_changed_files_are_measured_and_removed_ones_leave(
    foxing: Run, corpus: Path, tmp_path: Path
) -> None:
    write_texts(corpus / "b.parquet", texts(40, 7))
    write_texts(corpus / "d.parquet", texts(5, 8))
    (corpus / "c.parquet").unlink()
    answer = foxing("scan", corpus, "-o", tmp_path / "audit", *OPTIONS, "--update")
    assert answer.code == 0 and "measured now: 45 rows" in answer.out
    assert "b.parquet: has changed and is measured anew" in answer.err and "c.parquet: is gone" in answer.err
    for folder in (tmp_path / "audit" / "findings").iterdir():
        shutil.rmtree(folder / "c", ignore_errors=True)  # left there, and no part of the audit
    as_from_scratch(foxing, corpus, tmp_path / "audit")


def test_a_changed_file_is_refused_without_the_option(foxing: Run, corpus: Path, tmp_path: Path) -> None:
    write_texts(corpus / "b.parquet", texts(40, 7))
    answer = foxing("scan", corpus, "-o", tmp_path / "audit", *OPTIONS)
    assert answer.code == 2 and "digest" in answer.err and Findings.open(tmp_path / "audit").rows == 90
    assert "Measure what has changed with --update, scan into another folder" in answer.err


def test_nothing_changed_measures_nothing(foxing: Run, corpus: Path, tmp_path: Path) -> None:
    answer = foxing("scan", corpus, "-o", tmp_path / "audit", *OPTIONS, "--update")
    assert answer.code == 0 and "measured now: nothing" in answer.out and "has changed" not in answer.err


def test_all_files_may_change_at_once(foxing: Run, corpus: Path, tmp_path: Path) -> None:
    for at, name in enumerate("abc"):
        write_texts(corpus / f"{name}.parquet", texts(20, at + 10))
    assert "measured now: 60 rows" in foxing("scan", corpus, "-o", tmp_path / "audit", *OPTIONS, "--update").out
    as_from_scratch(foxing, corpus, tmp_path / "audit")


def test_a_run_that_was_killed_after_forgetting_is_finished_by_the_next(
    foxing: Run, corpus: Path, tmp_path: Path
) -> None:
    """The record goes first: what is left of the old file on disk is found by its digest alone."""
    record = tmp_path / "audit" / "scan.json"
    found = json.loads(record.read_text())
    found["shards"] = [shard for shard in found["shards"] if shard["key"] != "b"]
    found["signals"] = [signal for signal in found["signals"] if signal["name"] != "duplicates"]
    record.write_text(json.dumps(found))
    write_texts(corpus / "b.parquet", texts(40, 7))
    assert foxing("scan", corpus, "-o", tmp_path / "audit", *OPTIONS, "--update").code == 0
    as_from_scratch(foxing, corpus, tmp_path / "audit")
