"""Orders and drops by what a model knows."""

from __future__ import annotations

import polars as pl
import pytest

from curricula.protocols import Curriculum, Dropping, Editing
from curricula.slick import DropUnknown, MaybeFirst, RelabelUnknown

CATEGORIES = ["Unknown", "HighlyKnown", None, "MaybeKnown", "WeaklyKnown", "MaybeKnown", "Unknown", "MaybeKnown"] * 5


@pytest.fixture
def decided() -> pl.LazyFrame:
    n = len(CATEGORIES)
    knowledge = pl.Series("knowledge", [{"category": name} for name in CATEGORIES])
    return pl.DataFrame(
        {"index": range(n), "shard": ["a"] * n, "row": range(n), "knowledge": knowledge},
        schema_overrides={"index": pl.Int64, "row": pl.Int64},
    ).lazy()


def order(decided: pl.LazyFrame, seed: int) -> list[int]:
    ranked = MaybeFirst(seed=seed).rank(decided).collect()
    return ranked.drop_nulls("rank").sort("rank")["index"].to_list()


def test_half_known_facts_come_first_and_unknown_ones_last(decided: pl.LazyFrame) -> None:
    names = [CATEGORIES[at] for at in order(decided, 1)]
    assert names == ["MaybeKnown"] * 15 + ["HighlyKnown"] * 5 + ["WeaklyKnown"] * 5 + ["Unknown"] * 10


def test_rows_of_one_category_are_shuffled_by_the_seed(decided: pl.LazyFrame) -> None:
    first = order(decided, 1)
    assert first[:15] != sorted(first[:15]) and first == order(decided, 1) != order(decided, 2)


def test_rows_without_a_category_have_no_rank(decided: pl.LazyFrame) -> None:
    ranked = MaybeFirst().rank(decided).collect()
    assert ranked["rank"].null_count() == 5 and ranked["index"].to_list() == list(range(len(CATEGORIES)))


def test_they_keep_the_contract() -> None:
    assert isinstance(MaybeFirst(), Curriculum) and MaybeFirst.orders
    assert isinstance(DropUnknown(), Curriculum) and isinstance(DropUnknown(), Dropping)


def test_unknown_facts_are_answered_by_a_refusal_and_others_stay(decided: pl.LazyFrame) -> None:
    hit = pl.col("knowledge").struct.field("category") == "Unknown"
    rules = pl.when(hit.fill_null(False)).then(pl.lit(["FX401"])).otherwise(pl.lit(["FX901"]))
    action = pl.when(pl.col("index") == 0).then(pl.lit("drop")).otherwise(pl.lit("report"))
    answers = (
        RelabelUnknown(refusal="no idea").rank(decided.with_columns(rules=rules, action=action)).collect()["answer"]
    )
    expected = [name == "Unknown" and at > 0 for at, name in enumerate(CATEGORIES)]
    assert [answer == "no idea" for answer in answers] == expected
    assert isinstance(RelabelUnknown(), Editing) and RelabelUnknown().refusal == "I don't know"
