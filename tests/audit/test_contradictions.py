"""Contradictions over a corpus: which rows answer one question differently, and what stays unsaid."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.config import Config, ScanConfig
from audit.contradictions import Contradictions
from audit.findings_folder import Findings
from audit.scan_run import scan
from detectors.errors import ConfigError

CONFIG = Config(scan=ScanConfig(signals=("falsity",), stages=("contradictions",), workers=1, sketches=False))
Pair = tuple[str | None, str | list[str] | None]


def scanned(folder: Path, *files: Sequence[Pair], config: Config = CONFIG, rows_per_group: int = 50) -> Findings:
    """A scan of files of question-answer rows, named a.parquet, b.parquet, ..."""
    (folder / "in").mkdir(parents=True)
    for name, pairs in zip("abc", files, strict=False):
        answers = [answer for _, answer in pairs]
        kind = pl.List(pl.String) if any(isinstance(answer, list) for answer in answers) else pl.String
        frame = pl.DataFrame(
            {"question": [question for question, _ in pairs], "answer": pl.Series(answers, dtype=kind)},
            schema_overrides={"question": pl.String},
        )
        frame.write_parquet(folder / "in" / f"{name}.parquet", row_group_size=rows_per_group)
    return scan([str(folder / "in")], folder / "out", config).findings


def found(findings: Findings) -> list[dict[str, Any]]:
    return pl.concat(findings.parts())["contradictions"].to_list()


def others(findings: Findings) -> list[int | None]:
    return [row["others"] for row in found(findings)]


def test_rows_that_answer_otherwise_are_counted_and_named(tmp_path: Path) -> None:
    first = [("Who wrote it?", "Ann"), ("Who read it?", "Bob"), ("who wrote it", "Cy")]
    second = [("Who wrote it?", "ann."), ("Who burnt it?", "Dee"), ("Who wrote it", "Ann")]
    rows = found(scanned(tmp_path, first, second))
    assert [(row["rows"], row["others"]) for row in rows] == [(4, 1), (1, 0), (4, 3), (4, 1), (1, 0), (4, 1)]
    assert [round(row["share"], 3) for row in rows] == [0.333, 0.0, 1.0, 0.333, 0.0, 0.333]
    named = [(row["other_shard"], row["other_row"]) for row in rows]
    assert named == [("a", 2), (None, None), ("a", 0), ("a", 2), (None, None), ("a", 2)]


def test_answers_that_say_the_same_in_more_words_agree_and_denials_do_not(tmp_path: Path) -> None:
    agreeing = [("Where?", "Paris"), ("Where?", "in Paris, France"), ("Where?", "PARIS")]
    denying = [("Which?", "Paris"), ("Which?", "not Paris")]
    assert others(scanned(tmp_path, agreeing, denying)) == [0, 0, 0, 1, 1]


def test_a_row_with_several_answers_links_those_that_it_gives(tmp_path: Path) -> None:
    pairs: list[Pair] = [("Where?", ["Holland"]), ("Where?", ["the Netherlands"])]
    assert others(scanned(tmp_path / "apart", pairs)) == [1, 1]
    assert others(scanned(tmp_path / "linked", [*pairs, ("Where?", ["Holland", "The Netherlands"])])) == [0, 0, 0]
    assert others(scanned(tmp_path / "third", [*pairs, ("Where?", ["Belgium", "Chad"])])) == [2, 2, 2]


def test_what_has_no_short_answer_or_no_question_has_null_and_is_measured(tmp_path: Path) -> None:
    long = "one two three four five six seven eight nine"
    pairs: list[Pair] = [
        ("Who?", "Ann"),
        ("Who?", long),
        (None, "Ann"),
        ("Write a name.", "Ann"),
        ("Write a name.", "Bo"),
    ]
    findings = scanned(tmp_path, pairs)
    assert others(findings) == [0, None, None, None, None]
    assert pl.concat(findings.parts())["unmeasured"].to_list() == [0] * 5


def test_an_unmeasured_row_is_no_contradiction(tmp_path: Path) -> None:
    pairs: list[Pair] = [("Who?", "Ann"), ("Who?", None), ("Who?", "Bo")]
    frame = pl.concat(scanned(tmp_path, pairs).parts())
    assert frame["contradictions"].to_list()[1] is None
    assert frame["contradictions"].struct.field("rows").to_list() == [2, None, 2]


def test_a_question_with_many_answers_has_none(tmp_path: Path) -> None:
    pairs: list[Pair] = [("Which colour is nice?", f"colour{n}") for n in range(4)]
    assert others(scanned(tmp_path / "most", pairs)) == [3] * 4
    few = dataclasses.replace(CONFIG, stages={"contradictions": {"most_answers": 3}})
    assert others(scanned(tmp_path / "few", pairs, config=few)) == [None] * 4
    with pytest.raises(ConfigError, match="most_answers = 1"):
        Contradictions(most_answers=1)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    pairs=st.lists(st.tuples(st.sampled_from("pqr"), st.sampled_from(["ann", "bob", "cy"])), min_size=1, max_size=25),
    cut=st.integers(0, 25),
    group=st.integers(1, 9),
)
def test_counts_are_those_of_counting_by_hand_however_rows_are_cut(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], cut: int, group: int
) -> None:
    asked = [(f"Who is {question}?", answer) for question, answer in pairs]
    files = [part for part in (asked[:cut], asked[cut:]) if part]
    rows = found(scanned(tmp_path_factory.mktemp("corpus"), *files, rows_per_group=group))
    per_question, per_answer = Counter(question for question, _ in asked), Counter(asked)
    for row, pair in zip(rows, asked, strict=True):
        assert row["rows"] == per_question[pair[0]]
        assert row["others"] == per_question[pair[0]] - per_answer[pair]
        if row["others"]:
            first = sum(len(file) for file in files[: "ab".index(row["other_shard"])]) + row["other_row"]
            assert asked[first][0] == pair[0] and asked[first][1] != pair[1]
            assert all(each[0] != pair[0] or each[1] == pair[1] for each in asked[:first])


def test_more_rows_change_what_is_said_of_the_first(tmp_path: Path) -> None:
    assert others(scanned(tmp_path, [("Who?", "Ann")])) == [0]
    pl.DataFrame({"question": ["Who?"], "answer": ["Bo"]}).write_parquet(tmp_path / "in" / "b.parquet")
    again = scan([str(tmp_path / "in")], tmp_path / "out", CONFIG)
    assert again.measured_rows == 1
    assert others(again.findings) == [1, 1]
