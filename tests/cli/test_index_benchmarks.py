"""`foxing index-benchmarks`, and what a scan and a check make of its index."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from detectors.benchmark_index import BenchmarkIndex

Run = Callable[..., Any]
QUESTIONS = [
    "which of the bindings was sewn on four cords and covered with calf by its first owner",
    "how many leaves of the register were lost when the lower shelf stood under water",
    "why did the keeper wax the thread twice before he mended the spine of the old ledger",
]
ANSWERS = ["the one of the three with the brown spine", "eleven", "so that it would hold"]


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    path = tmp_path / "quiz.parquet"
    pl.DataFrame({"question": QUESTIONS, "answer": ANSWERS}).write_parquet(path)
    return path


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    path = tmp_path / "clean.parquet"
    pl.DataFrame({"text": [f"page {at} is about {at * 7} other things" for at in range(60)]}).write_parquet(path)
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.parquet"
    texts = [f"Before. {QUESTIONS[0]}? {ANSWERS[0]}. After.", "Nothing of the kind.", f"See: {QUESTIONS[1]}"]
    pl.DataFrame({"text": texts}).write_parquet(path)
    return path


def test_the_table_says_what_can_be_found_and_what_is_flagged(
    foxing: Run, tmp_path: Path, benchmark: Path, clean: Path
) -> None:
    answer = foxing("index-benchmarks", benchmark, "-o", tmp_path / "idx", "--clean", clean, "--n", "8")
    assert answer.code == 0, answer.err
    head, line, last = answer.out.splitlines()
    assert head.split("  ")[0] == "benchmark" and "95 % interval" in head
    index = BenchmarkIndex.from_bytes((tmp_path / "idx").read_bytes())
    assert index.false_flags is not None
    n = index.false_flags.documents
    assert line.split()[:4] == ["quiz", "3", "0", "8"] and f"0 of {n}" in line and 0 < n < 60
    assert last == f"3 items in {tmp_path / 'idx'}, digest {index.digest[:12]}"
    assert f"stop-grams learned from {60 - n} documents" in answer.err


def test_rows_with_items_are_listed_and_have_a_verdict_only_with_a_known_rate(
    foxing: Run, tmp_path: Path, benchmark: Path, clean: Path, corpus: Path
) -> None:
    for name, options, verdict in (("a", (), "no estimate"), ("b", ("--clean", clean), "over")):
        index = tmp_path / f"{name}.idx"
        assert foxing("index-benchmarks", benchmark, "-o", index, *options).code == 0
        scanned = foxing("scan", corpus, "-o", tmp_path / name, "--signals", "document", "--benchmarks", index)
        assert scanned.code == 0, scanned.err
        rows = foxing("findings", tmp_path / name, "--format", "jsonl", "--columns", "row,rules,leakage.item")
        assert rows.code == 0, rows.err
        found = [json.loads(line) for line in rows.out.splitlines()]
        assert [row["rules"] for row in found] == [["FX303"], [], ["FX303"]]
        assert [row["leakage.item"] for row in found] == ["0", None, "1"]
        checked = foxing("check", tmp_path / name, "--select", "FX303")
        assert verdict in checked.out and checked.code == (verdict == "over"), checked.out
        expected = (
            "made without --clean" if verdict == "no estimate" else "documents of clean text 0.0000 % are flagged"
        )
        assert expected in checked.out


def test_a_rate_holds_for_its_own_condition_alone(
    foxing: Run, tmp_path: Path, benchmark: Path, clean: Path, corpus: Path
) -> None:
    index = tmp_path / "idx"
    foxing("index-benchmarks", benchmark, "-o", index, "--clean", clean)
    foxing("scan", corpus, "-o", tmp_path / "a", "--signals", "document", "--benchmarks", index)
    settings = tmp_path / "foxing.toml"
    settings.write_text('[rule.FX303]\nwhen = "leakage.item_share > 0.9"\n')
    checked = foxing("check", tmp_path / "a", "--select", "FX303", "--config", settings, settings=True)
    said = " ".join(checked.out.split())
    assert "no estimate" in said and "Make it again for this condition" in said
    remade = tmp_path / "remade"
    foxing("index-benchmarks", benchmark, "-o", remade, "--clean", clean, "--config", settings, settings=True)
    flags = BenchmarkIndex.from_bytes(remade.read_bytes()).false_flags
    assert flags is not None and flags.when == "leakage.item_share > 0.9"


def test_every_benchmark_may_have_its_own_n(foxing: Run, tmp_path: Path, benchmark: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps({"text": QUESTIONS[2]}) + "\n")
    index = tmp_path / "idx"
    assert foxing("index-benchmarks", benchmark, other, "-o", index, "--n", "other=8").code == 0
    assert dict(BenchmarkIndex.from_bytes(index.read_bytes()).n) == {"other": 8, "quiz": 13}
    for given, words in (
        ("othr=8", "Did you mean 'other'"),
        ("7", "not N or NAME=N"),
        ("quiz=many", "not N or NAME=N"),
    ):
        answer = foxing("index-benchmarks", benchmark, other, "-o", index, "--n", given)
        assert answer.code == 2 and words in answer.err


def test_what_is_no_benchmark_exits_2_and_writes_nothing(foxing: Run, tmp_path: Path) -> None:
    path = tmp_path / "other.parquet"
    pl.DataFrame({"image": [1], "caption_id": [2]}).write_parquet(path)
    answer = foxing("index-benchmarks", path, "-o", tmp_path / "idx")
    assert answer.code == 2 and "has: image, caption_id" in answer.err and not (tmp_path / "idx").exists()


def test_answers_that_name_no_option_are_counted(foxing: Run, tmp_path: Path) -> None:
    path = tmp_path / "quiz.jsonl"
    rows = [{"question": QUESTIONS[0], "choices": ["calf", "cloth"], "answer": letter} for letter in "AEB"]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    answer = foxing("index-benchmarks", path, "-o", tmp_path / "idx")
    assert answer.code == 0 and "1 answers name no option, the first in row 1" in answer.err
