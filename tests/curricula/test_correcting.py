"""Curricula against falsity: who goes, who is corrected, and who is left alone."""

from __future__ import annotations

import polars as pl

from curricula.correcting import CorrectFalse, DropFalse
from curricula.protocols import Curriculum, Dropping


def decided() -> pl.LazyFrame:
    """Rows that hit nothing, the reference's rule, another rule, both; one of them without a right answer."""
    kind = pl.Struct({"score": pl.Float32, "expected": pl.String})
    falsity = [
        {"score": 0.0, "expected": "Ann"},
        {"score": 1.0, "expected": "Bob"},
        {"score": None, "expected": None},
        {"score": 1.0, "expected": None},
        {"score": 0.9, "expected": "Cy"},
        None,
    ]
    return pl.LazyFrame(
        {
            "index": range(6),
            "rules": [[], ["FX402"], ["FX404"], ["FX402"], ["FX101", "FX402"], []],
            "action": ["keep", "report", "report", "report", "drop", "keep"],
            "falsity": pl.Series(falsity, dtype=kind),
        },
        schema_overrides={"index": pl.Int64, "rules": pl.List(pl.String)},
    )


def test_drop_false_names_the_rules_of_the_reference_and_of_contradictions() -> None:
    curriculum = DropFalse()
    assert isinstance(curriculum, Curriculum) and isinstance(curriculum, Dropping)
    assert curriculum.drops == ("FX402", "FX404")
    ranked = curriculum.rank(decided()).collect()
    assert ranked["index"].to_list() == list(range(6)) and ranked["rank"].to_list() == [0] * 6


def test_correct_false_gives_the_reference_answer_to_rows_that_stay_and_contradict_it() -> None:
    curriculum = CorrectFalse()
    assert isinstance(curriculum, Curriculum) and not isinstance(curriculum, Dropping)
    ranked = curriculum.rank(decided()).collect()
    assert ranked["index"].to_list() == list(range(6))
    assert ranked["answer"].to_list() == [None, "Bob", None, None, None, None]
