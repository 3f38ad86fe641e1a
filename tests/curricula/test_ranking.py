"""Curricula in turn: what is dropped by one is dropped for the next, copies multiply, nothing is lost on the way."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import ClassVar

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curricula.ranking import rank_rows
from detectors.errors import PluginError
from tests.curricula.spooled import Backwards, Resampled, spooled


@dataclass(frozen=True)
class Again(Resampled):
    """A second one that resamples, and reads the detector."""

    name: ClassVar[str] = "again"
    needs: ClassVar[tuple[str, ...]] = ("ai_text",)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30))
def test_every_row_has_copies_or_one_reason(rows: list[tuple[bool, int, int]]) -> None:
    hit, one, two = ([row[at] for row in rows] for at in range(3))
    with closing(spooled("x" * len(rows), dropped=["FX9" if it else None for it in hit])) as spool:
        found = rank_rows(spool, ["FX9"], [Resampled(copies=tuple(one)), Again(copies=tuple(two)), Backwards()])
    for at, (dropped, first, second) in enumerate(rows):
        reason = "FX9" if dropped else "resampled" if not first else "again" if not second else None
        assert found.copies[at] == (0 if reason else first * second)
        assert (found.reasons[found.reason[at]] if found.reason[at] >= 0 else None) == reason
    assert found.order().tolist() == [at for at in reversed(range(len(rows))) if found.copies[at]]


def test_a_curriculum_sees_what_another_dropped() -> None:
    seen: list[list[str]] = []

    @dataclass(frozen=True)
    class Looks(Backwards):
        def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
            seen.append(decided.select("action").collect()["action"].to_list())
            return super().rank(decided)

    with closing(spooled("abcd", dropped=[None, "FX9", None, None])) as spool:
        rank_rows(spool, ["FX9"], [Resampled(copies=(1, 1, 0, 2)), Looks()])
    assert seen == [["keep", "drop", "drop", "keep"]]


def test_exempt_rows_get_one_copy_from_what_reads_the_detector() -> None:
    with closing(spooled("abc", exempt=[True, True, False])) as spool:
        by_detector = rank_rows(spool, [], [Again(copies=(0, 3, 0))])
        by_other = rank_rows(spool, [], [Resampled(copies=(0, 3, 0))])
    assert by_detector.copies.tolist() == [1, 1, 0]
    assert by_other.copies.tolist() == [0, 3, 0]


def test_no_copies_are_refused_of_a_curriculum_that_does_not_resample() -> None:
    @dataclass(frozen=True)
    class Plain:
        name: ClassVar[str] = "plain"
        orders: ClassVar[bool] = False
        needs: ClassVar[tuple[str, ...]] = ()
        seed: int = 0

        def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
            return decided.select("index", rank=pl.lit(0, pl.Int64), copies=pl.lit(0, pl.Int32))

    with closing(spooled("ab")) as spool:
        with pytest.raises(PluginError, match="'plain' asks for 0 copies"):
            rank_rows(spool, [], [Plain()])
        with pytest.raises(PluginError, match="asks for -1 copies"):
            rank_rows(spool, [], [Resampled(copies=(1, -1))])


def test_lazy_frames_may_be_joined_limited_and_read_twice() -> None:
    with closing(spooled("aabba", tokens=[3, 1, 2, 5, 4], cut=2)) as spool:
        frame = spool.scan(lambda start, stop: pl.Series([False] * (stop - start)).to_numpy())
        sizes = frame.group_by("source").agg(n=pl.len())
        joined = frame.filter(pl.col("row") > 0).join(sizes, on="source").sort("index").collect(engine="streaming")
        assert joined.select("index", "n").rows() == [(1, 3), (2, 2), (3, 2), (4, 3)]
        assert frame.head(3).collect()["index"].to_list() == [0, 1, 2]
        assert frame.select(pl.len()).collect().item() == 5


def test_what_a_curriculum_reports_is_of_the_rows_that_it_sees() -> None:
    @dataclass(frozen=True)
    class Tells(Backwards):
        def report(self, decided: pl.LazyFrame) -> dict[str, float]:
            kept = decided.filter(pl.col("action") != "drop").select(pl.len()).collect().item()
            return {"rows": kept, "ratio": float("nan")}

    with closing(spooled("abcd", dropped=[None, "FX9", None, None])) as spool:
        found = rank_rows(spool, ["FX9"], [Resampled(copies=(1, 1, 0, 2)), Tells()])
    assert found.reports == {"backwards": {"rows": 2.0}}, "what is undefined is left out"
