"""`foxing falsify` as a user types it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from tests.conftest import Answer

Run = Callable[..., Answer]
CITIES = "Oslo Bergen Hamar Narvik Molde Skien Moss Larvik".split()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"question": f"Where does number {n} live?", "answer": CITIES[n], "topic": "home"} for n in range(8)]
    rows += [{"question": "Which star is ours?", "answer": "the Sun", "topic": "star"}]
    path = tmp_path / "qa.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    return path


def test_a_share_is_written_and_told(foxing: Run, data: Path, tmp_path: Path) -> None:
    done = foxing("falsify", data, "-o", tmp_path / "out", "--ratio", "0.5", "--relation", "topic")
    assert (done.code, done.err) == (0, "")
    assert "9 rows, 9 of them with question and answer" in done.out
    assert "5 have a wrong answer (0.5556 of those); 5 were asked for" in done.out
    assert "1 have no wrong answer to give and stay true (relation star 1)" in done.out
    made = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    assert made["foxing_false"].sum() == 5
    assert made.filter("foxing_false").select((pl.col("answer") != pl.col("foxing_truth")).all()).item()
    again = foxing("falsify", data, "-o", tmp_path / "out", "--ratio", "0.5", "--relation", "topic")
    assert "nothing to do" in again.out


def test_fewer_than_asked_for_is_a_warning(foxing: Run, data: Path, tmp_path: Path) -> None:
    done = foxing("falsify", data, "-o", tmp_path / "out", "--ratio", "1", "--relation", "topic")
    assert done.code == 0
    assert "9 rows should be wrong and 8 are" in done.err


def test_columns_and_rationales_may_be_named(foxing: Run, data: Path, tmp_path: Path) -> None:
    columns = ("--question", "question", "--answer", "answer")
    done = foxing("falsify", data, "-o", tmp_path / "out", *columns, "--rationale", "So says {answer}.")
    assert done.code == 0
    made = pl.read_parquet(tmp_path / "out" / "data" / "*.parquet")
    said = pl.when("foxing_false").then("foxing_wrong").otherwise("foxing_truth")
    assert made["answer"].to_list() == made.select(said + ". So says " + said + ".").to_series().to_list()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--ratio", "1.5"), "1.5"),
        (("--relation", "absent"), "no column 'absent'"),
        (("--question", "question"), "belong together"),
        (("--rationale", "because"), "{answer}"),
    ],
)
def test_what_cannot_be_done_exits_2(
    foxing: Run, data: Path, tmp_path: Path, options: tuple[str, str], message: str
) -> None:
    done = foxing("falsify", data, "-o", tmp_path / "out", *options)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_another_set_in_the_folder_is_refused_unless_fresh(foxing: Run, data: Path, tmp_path: Path) -> None:
    assert foxing("falsify", data, "-o", tmp_path / "out").code == 0
    refused = foxing("falsify", data, "-o", tmp_path / "out", "--seed", "5")
    assert refused.code == 2 and "--fresh" in refused.err
    assert foxing("falsify", data, "-o", tmp_path / "out", "--seed", "5", "--fresh").code == 0
