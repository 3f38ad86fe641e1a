"""`foxing probe --cloze` and `foxing scan --signals novelty` as people use them, with tiny models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tests.detectors.test_cloze_probe import facts, taught
from tests.detectors.test_knowledge import write_letter_model
from tests.detectors.tiny_models import need_torch

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that knows `facts(1)`."""
    need_torch()
    folder = tmp_path_factory.mktemp("model")
    write_letter_model(folder)
    taught(folder, facts(1))
    return folder


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Known facts from one source, others from a second, and rows that have none."""
    texts = [*facts(1), *facts(1, shift=37), None, "Nothing to ask."]
    sources = ["known"] * 12 + ["new"] * 12 + ["rest"] * 2
    pl.DataFrame({"text": texts, "source": sources}).write_parquet(tmp_path / "text.parquet")
    return tmp_path / "text.parquet"


def test_shares_of_unknown_facts_are_printed_by_source(foxing: Run, model: Path, corpus: Path, tmp_path: Path) -> None:
    answer = foxing("probe", corpus, "-o", tmp_path / "out", "--model", model, "--cloze", 2, "--by", "source")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "26 rows, 25 of them chosen, 24 with items, 24 asked"
    table = {line.split("  ")[0]: line for line in lines[2:12] if line}
    assert table["source"].split() == "source documents items unknown 95 % interval corrected 95 % interval".split()
    assert table["known"].split()[1:5] == ["12", "12", "0.0", "%"]
    assert table["new"].split()[1:5] == ["12", "12", "100.0", "%"]
    assert table["all"].split()[1:5] == ["24", "24", "50.0", "%"]
    assert table["date"].split()[1:3] == ["24", "24"] and table["name"].split()[1:] == ["0", "0", "-", "-", "-", "-"]
    assert "Advisory" in answer.out


def test_the_same_as_json_measures_nothing_again(foxing: Run, model: Path, corpus: Path, tmp_path: Path) -> None:
    arguments = ("probe", corpus, "-o", tmp_path / "out", "--model", model, "--cloze", 2, "--by", "source")
    assert foxing(*arguments).code == 0
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")}
    found = json.loads(foxing(*arguments, "--format", "json").out)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")} == stamps
    assert (found["format"], found["version"]) == ("foxing-unknown-share", 1)
    assert list(found["sources"]) == ["known", "new", "rest"] and found["total"]["rows"] == 26
    new = found["sources"]["new"]
    assert new["unknown"]["share"] == 1.0 and 0.6 < new["unknown"]["interval"][0] < 0.8
    assert new["kinds"]["date"]["items"] == new["items"] == new["documents"] == 12
    assert found["sources"]["rest"]["unknown"] == {"share": None, "interval": [0.0, 1.0]}


def test_findings_are_those_of_a_scan(foxing: Run, model: Path, corpus: Path, tmp_path: Path) -> None:
    assert foxing("probe", corpus, "-o", tmp_path / "out", "--model", model, "--cloze", 2).code == 0
    lines = foxing("findings", tmp_path / "out", "--columns", "row,cloze.asked,cloze.unknown,cloze.kind").out
    rows = [json.loads(line) for line in lines.splitlines()]
    assert [row["cloze.asked"] for row in rows] == [1] * 24 + [None, 0]
    assert sum(row["cloze.unknown"] or 0 for row in rows[12:]) == 12 and rows[0]["cloze.kind"] == ["date"]


def test_a_table_of_many_sources_lists_those_with_most_items(foxing: Run, model: Path, tmp_path: Path) -> None:
    texts = [" ".join(facts(at)[: 2 if at == 44 else 1]) for at in range(45)]
    pl.DataFrame({"text": texts, "source": [f"s{at:02}" for at in range(45)]}).write_parquet(tmp_path / "many.parquet")
    answer = foxing("probe", tmp_path / "many.parquet", "-o", tmp_path / "out", "--model", model, "--cloze", 3,
                    "--by", "source")  # fmt: skip
    lines = answer.out.splitlines()
    assert lines[3].split()[:3] == ["s44", "1", "2"] and lines[43].split()[:3] == ["all", "45", "46"]
    assert lines[44].strip() == "and 5 more sources (--format json lists all)"


@pytest.mark.parametrize("option", ["--pool", "--question", "--answers", "--relation", "--estimator", "--generate"])
def test_options_about_questions_are_refused(
    foxing: Run, model: Path, corpus: Path, tmp_path: Path, option: str
) -> None:
    answer = foxing("probe", corpus, "-o", tmp_path / "out", "--model", model, "--cloze", 2, option, "exact")
    assert answer.code == 2 and option in answer.err and not (tmp_path / "out").exists()


def test_json_of_categories_and_a_missing_model_are_refused(foxing: Run, corpus: Path, tmp_path: Path) -> None:
    answer = foxing("probe", corpus, "-o", tmp_path / "out", "--cloze", 2, "--model", "nowhere")
    assert answer.code == 2 and "'nowhere'" in answer.err
    answer = foxing("probe", corpus, "-o", tmp_path / "out", "--model", "m", "--format", "json")
    assert answer.code == 2 and "--cloze" in answer.err and not (tmp_path / "out").exists()


def test_novelty_is_measured_with_the_model_of_the_settings(
    foxing: Run, model: Path, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "foxing.toml").write_text(f'[signal.novelty]\nmodel = "{model}"\nwindow = 64\n')
    monkeypatch.chdir(tmp_path)
    scan = ("scan", corpus, "-o", tmp_path / "out", "--signals", "novelty", "--stages", "", "--workers", 1)
    first = foxing(*scan, settings=True)
    assert first.code == 0, first.err
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")}
    assert foxing(*scan, settings=True).code == 0
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("part-*.parquet")} == stamps
    columns = "row,novelty.tokens,novelty.surprisal,novelty.min_k_plus"
    rows = [json.loads(line) for line in foxing("findings", tmp_path / "out", "--columns", columns).out.splitlines()]
    assert rows[24]["novelty.tokens"] is None and all(row["novelty.tokens"] for row in rows[:24])
    known, new = (sum(row["novelty.surprisal"] for row in rows[at : at + 12]) / 12 for at in (0, 12))
    assert known < new
    (tmp_path / "foxing.toml").write_text(f'[signal.novelty]\nmodel = "{model}"\nwindow = 32\n')
    changed = foxing(*scan, settings=True)
    assert changed.code == 2 and "window" in changed.err


def test_novelty_without_a_model_says_where_to_name_one(foxing: Run, corpus: Path, tmp_path: Path) -> None:
    answer = foxing("scan", corpus, "-o", tmp_path / "out", "--signals", "novelty")
    assert answer.code == 2 and "[tool.foxing.signal.novelty]" in answer.err and not (tmp_path / "out").exists()
