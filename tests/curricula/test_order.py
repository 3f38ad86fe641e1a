"""Curricula: orders, ties, seeds, and what `--curriculum` accepts."""

from __future__ import annotations

from typing import cast

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.composing import resolve
from curricula.order import HumanFirst, Original, Shuffled, row_hash
from curricula.protocols import Curriculum
from detectors.errors import ConfigError, PluginError


def decided(scores: list[float | None], shard: str = "a.parquet") -> pl.LazyFrame:
    rows = len(scores)
    frame = pl.DataFrame(
        {"index": range(rows), "shard": [shard] * rows, "row": range(rows), "score": scores},
        schema={"index": pl.Int64, "shard": pl.String, "row": pl.Int64, "score": pl.Float32},
    )
    return frame.select("index", "shard", "row", ai_text=pl.struct("score")).lazy()


def order(curriculum: Curriculum, frame: pl.LazyFrame) -> list[int]:
    ranks = curriculum.rank(frame).collect().sort("rank", "index", nulls_last=True)
    return cast("list[int]", ranks["index"].to_list())


def test_row_hash_is_the_same_everywhere() -> None:
    found = row_hash("web/a.parquet", np.array([0, 1, 2**40], np.int64), 17)
    assert [hex(int(value)) for value in found] == ["0x2fe081936bc27542", "0x4e7147d3826e9c1c", "0xc63fb0a65f8e78bf"]


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.floats(0, 1, width=32)), max_size=60))
def test_human_first_ascends_and_unscored_rows_follow_in_corpus_order(scores: list[float | None]) -> None:
    found = order(HumanFirst(seed=3), decided(scores))
    assert sorted(found) == list(range(len(scores)))
    scored = [scores[index] for index in found if scores[index] is not None]
    assert scored == sorted(cast("list[float]", scored))
    unscored = [index for index in range(len(scores)) if scores[index] is None]
    assert found[len(scored) :] == unscored


def test_nan_score_counts_as_unscored() -> None:
    assert order(HumanFirst(), decided([float("nan"), 0.5])) == [1, 0]


def test_any_float_keeps_its_order() -> None:
    values = [-3.0, -1e-30, 0.0, 1e-38, 0.25, 1.0, 7e8]
    assert order(HumanFirst(), decided([values[i] for i in (3, 0, 6, 1, 5, 2, 4)])) == [1, 3, 5, 0, 6, 4, 2]


def test_ties_are_shuffled_by_the_seed_alone() -> None:
    frame = decided([0.5] * 50)
    assert order(HumanFirst(seed=1), frame) == order(HumanFirst(seed=1), frame)
    assert order(HumanFirst(seed=1), frame) != order(HumanFirst(seed=2), frame)
    assert order(HumanFirst(seed=1), frame) != list(range(50))


def test_tie_of_a_row_does_not_depend_on_the_rows_around_it() -> None:
    whole = HumanFirst().rank(decided([0.5] * 20)).collect()
    part = HumanFirst().rank(decided([0.5] * 20).slice(7, 5)).collect()
    assert part["rank"].to_list() == whole["rank"].to_list()[7:12]


def test_shards_are_told_apart_in_one_frame() -> None:
    both = pl.concat([decided([0.5] * 5, "a"), decided([0.5] * 5, "b"), decided([0.5] * 5, "a")])
    ranks = Shuffled().rank(both).collect()["rank"].to_list()
    assert ranks[:5] == ranks[10:]
    assert not set(ranks[:5]) & set(ranks[5:10])


def test_original_keeps_corpus_order() -> None:
    assert order(Original(), decided([0.9, None, 0.1])) == [0, 1, 2]


def test_names_resolve_to_registered_curricula() -> None:
    for name, kind in (("human-first", HumanFirst), ("original", Original), ("shuffled", Shuffled)):
        (curriculum,) = resolve([name], 5)
        assert curriculum == kind(seed=5)


def test_unknown_curriculum_names_the_nearest() -> None:
    with pytest.raises(PluginError, match="human-first"):
        resolve(["human-frist"], 0)


@pytest.mark.parametrize("names", [[], ["shuffled", "shuffled"], ["human-first", "shuffled"]])
def test_none_twice_and_two_orders_are_refused(names: list[str]) -> None:
    with pytest.raises(ConfigError):
        resolve(names, 0)
