"""`foxing probe` as people use it, with a tiny model."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.detectors.test_knowledge import write_letter_model
from tests.detectors.tiny_models import need_torch

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need_torch()
    folder = tmp_path_factory.mktemp("model")
    write_letter_model(folder)
    return folder


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    letters = "abcdefghij"
    columns = {
        "question": [f"capital of {letter}?" for letter in letters],
        "answers": [[f"t{letter}"] for letter in letters],
        "relation": ["capital"] * len(letters),
    }
    pl.DataFrame(columns).write_parquet(tmp_path / "qa.parquet")
    return tmp_path / "qa.parquet"


def test_shares_of_the_categories_are_printed_and_findings_written(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    answer = foxing("probe", questions, "-o", tmp_path / "out", "--model", model)
    assert answer.code == 0 and "10 rows, 10 with a question and an answer" in answer.out
    assert [line.split()[0] for line in answer.out.splitlines()[3:7]] == [
        "HighlyKnown",
        "MaybeKnown",
        "WeaklyKnown",
        "Unknown",
    ]
    lines = foxing("findings", tmp_path / "out", "--columns", "row,rules,knowledge.category").out.splitlines()
    assert len(lines) == 10
    for line in map(json.loads, lines):
        assert (line["knowledge.category"] == "Unknown") == ("FX401" in line["rules"])
    assert len((tmp_path / "out" / "exemplars.jsonl").read_text().splitlines()) == 10


def test_the_same_probe_again_measures_nothing_and_says_the_same(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    first = foxing("probe", questions, "-o", tmp_path / "out", "--model", model)
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")}
    again = foxing("probe", questions, "-o", tmp_path / "out", "--model", model)
    assert again.out == first.out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")} == stamps


def test_text_without_questions_is_refused_and_leaves_nothing(foxing: Run, model: Path, tmp_path: Path) -> None:
    pl.DataFrame({"text": ["plain text"]}).write_parquet(tmp_path / "a.parquet")
    answer = foxing("probe", tmp_path / "a.parquet", "-o", tmp_path / "out", "--model", model)
    assert answer.code == 2 and "--question" in answer.err and not (tmp_path / "out").exists()


def test_a_model_must_be_named(foxing: Run, questions: Path, tmp_path: Path) -> None:
    answer = foxing("probe", questions, "-o", tmp_path / "out")
    assert answer.code == 2 and "--model" in answer.err and not (tmp_path / "out").exists()


def test_what_is_unknown_can_be_relabelled_after_a_probe(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    assert foxing("probe", questions, "-o", tmp_path / "probed", "--model", model).code == 0
    lines = foxing("findings", tmp_path / "probed", "--columns", "knowledge.category").out.splitlines()
    unknown = sum(json.loads(line)["knowledge.category"] == "Unknown" for line in lines)
    made = foxing("curate", tmp_path / "probed", "-o", tmp_path / "made", "--curriculum", "relabel-unknown")
    assert unknown and f"answers replaced: {unknown:,} rows" in made.out
    assert f"unchanged but for {unknown:,} answers" in foxing("verify", tmp_path / "made").out


def test_relabelling_text_that_has_no_answers_is_refused(
    foxing: Run, model: Path, questions: Path, tmp_path: Path
) -> None:
    named = pl.read_parquet(questions).rename({"question": "asked", "answers": "right"})
    named.write_parquet(tmp_path / "named.parquet")
    columns = ("--question", "asked", "--answers", "right")
    probed = foxing("probe", tmp_path / "named.parquet", "-o", tmp_path / "probed", "--model", model, *columns)
    assert probed.code == 0, probed.err
    made = foxing("curate", tmp_path / "probed", "-o", tmp_path / "made", "--curriculum", "relabel-unknown")
    assert made.code == 2 and "no file was read as having any" in made.err


def test_a_folder_of_something_else_is_left_as_it_is(foxing: Run, model: Path, questions: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    answer = foxing("probe", questions, "-o", tmp_path / "mine", "--model", model)
    assert answer.code == 2 and [path.name for path in (tmp_path / "mine").iterdir()] == ["notes.txt"]
