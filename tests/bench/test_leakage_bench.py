from __future__ import annotations

import itertools
import json
import random
from pathlib import Path

import polars as pl
import pytest

from audit.benchmark_layout import ItemText
from audit.benchmarks import Item
from tests.bench import leakage

WORDS = ["".join(letters) for letters in itertools.product("abcdefghij", repeat=4)]


def text(seed: int, words: int) -> str:
    return " ".join(random.Random(seed).choices(WORDS, k=words))


@pytest.fixture
def items() -> list[Item]:
    return [Item("quiz", str(at), ItemText(text(at, 30), "", text(at + 100, 6)), "quiz", at) for at in range(20)]


@pytest.fixture
def planted(items: list[Item], monkeypatch: pytest.MonkeyPatch) -> pl.DataFrame:
    monkeypatch.setattr(leakage, "_ITEMS", 10)
    return leakage.plant(items, [text(at, 200) for at in range(1000, 1020)])


def test_each_kind_is_planted_in_each_document_it_is_said_to_be_in(planted: pl.DataFrame) -> None:
    assert planted["kind"].value_counts()["count"].to_list() == [10] * 5
    for row in planted.iter_rows(named=True):
        assert all(f"\n{part}\n" in row["text"] for part in row["planted"])
        assert row["whole"].split() == " ".join(row["planted"]).split() or row["kind"] not in ("whole", "cut in two")
    edited = planted.filter(pl.col("kind") == "10 % of words replaced")
    for whole, (part,) in edited.select("whole", "planted").iter_rows():
        pairs = zip(whole.split(), part.split(), strict=True)
        assert 1 <= sum(one != other for one, other in pairs) <= 4


def test_parts_of_an_item_do_not_stand_side_by_side(planted: pl.DataFrame) -> None:
    for whole, shown in planted.filter(pl.col("kind") == "cut in two").select("whole", "text").iter_rows():
        assert " ".join(whole.split()) not in " ".join(shown.split())


def test_reach_is_what_a_search_for_n_grams_can_find() -> None:
    whole = text(1, 30)
    words = whole.split()
    for size, found in ((13, True), (12, False)):
        assert leakage._in_reach(whole, ["other " + " ".join(words[4 : 4 + size]) + " words"], 13) is found
    assert not leakage._in_reach(whole, [" ".join(words[:12]), " ".join(words[12:24])], 13)
    assert leakage._in_reach(text(2, 9), [text(2, 9)], 13)


def test_results_have_recall_and_false_flags_with_n(
    tmp_path: Path, items: list[Item], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(leakage, "_ITEMS", 10)
    monkeypatch.setenv("FOXING_DATA", str(tmp_path))
    for folder in ("bench", "tasks"):
        (tmp_path / folder).mkdir()
    human = pl.DataFrame({"text": [text(at, 200) for at in range(1000, 1040)]})
    human.write_parquet(tmp_path / "bench" / "human_web_40k.parquet")
    rows = {"question": [item.text.question for item in items], "answer": [item.text.answer for item in items]}
    pl.DataFrame(rows).write_parquet(tmp_path / "tasks" / "benchmarks.parquet")
    assert leakage.main(["--no-peers", "--out", str(tmp_path / "out")]) == 0
    (path,) = (tmp_path / "out").glob("leakage-*.json")
    search = json.loads(path.read_text())["searches"]["n=13"]
    assert search["recall"]["whole"]["flagged"]["share"] == 1.0 and search["recall"]["whole"]["flagged"]["n"] == 10
    assert search["false_flags"]["all human text, no stop-grams"]["n"] == 40
    assert "whole" in capsys.readouterr().out
