"""The plan: every row once, dense ranks, copies, and what a curriculum may not do."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.rules import settle
from curricula.decisions import Spool
from curricula.order import HumanFirst, Original, Shuffled
from curricula.plan import PLAN_SCHEMA, Places, Plan, PlanCursor, Settled, build_plan
from curricula.protocols import Curriculum
from curricula.ranking import rank_rows
from curricula.sections import Division
from detectors.errors import FindingsError, PluginError


def planned(
    folder: Path,
    parts: Sequence[pl.DataFrame],
    shards: Sequence[tuple[str, int]],
    series: Sequence[Sequence[int]],
    curricula: Sequence[Curriculum],
) -> Plan:
    with closing(Spool()) as spool:
        spool.fill(parts, ["ai_text"])
        ranked = rank_rows(spool, ["FX101"], curricula)
        settled = Settled(ranked, ranked.order(), Division.whole(len(ranked.copies)))
        return build_plan(spool, settled, Places(shards, series), folder / "plan.parquet", folder / "work")


def part(shard: str, first: int, scores: list[float | None], rules: list[list[str]]) -> pl.DataFrame:
    rows = len(scores)
    frame = pl.DataFrame(
        {"shard": [shard] * rows, "row": range(first, first + rows), "source": [shard] * rows, "rules": rules},
        schema={"shard": pl.String, "row": pl.Int64, "source": pl.String, "rules": pl.List(pl.String)},
    )
    found = pl.DataFrame({"score": pl.Series(scores, dtype=pl.Float32)})
    whole = frame.hstack(found.select(ai_text=pl.struct("score")))
    return settle(whole, ["FX101"]).with_columns(exempt=pl.lit(value=False), spared=pl.lit(value=False))


def made(
    folder: Path, scores: list[float | None], hits: list[bool], *curricula: Curriculum, cut: int = 7
) -> tuple[Plan, pl.DataFrame]:
    rules = [["FX201", "FX101"] if hit else ["FX201"] for hit in hits]
    half = len(scores) // 2
    parts = [
        part(shard, at - start, scores[at : min(stop, at + cut)], rules[at : min(stop, at + cut)])
        for shard, start, stop in (("a", 0, half), ("b", half, len(scores)))
        for at in range(start, stop, cut)
    ]
    plan = planned(folder, parts, [("a", half), ("b", len(scores) - half)], [[0, 1]], curricula)
    return plan, pl.read_parquet(plan.path)


@dataclass(frozen=True)
class Doubled:
    """Copies every third row."""

    name: ClassVar[str] = "doubled"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 0
    times: int = 2

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        copies = pl.when(pl.col("index") % 3 == 0).then(self.times).otherwise(1)
        return decided.select("index", rank=pl.lit(None, pl.Int64), copies=copies).sort("index", descending=True)


@dataclass(frozen=True)
class Broken:
    """Answers with any frame."""

    name: ClassVar[str] = "broken"
    orders: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 0
    answer: pl.Expr = field(default_factory=lambda: pl.col("index"))
    head: int = 10**9

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        return decided.select(self.answer, rank=pl.lit(0)).head(self.head)


ROWS = st.lists(st.tuples(st.one_of(st.none(), st.sampled_from([0.0, 0.25, 0.5, 1.0])), st.booleans()), max_size=40)


@settings(max_examples=40, deadline=None)
@given(ROWS, st.sampled_from([HumanFirst(1), Shuffled(1), Original(1)]), st.integers(1, 9))
def test_rows_in_are_kept_plus_dropped_and_order_is_a_permutation(
    rows: list[tuple[float | None, bool]], curriculum: Curriculum, cut: int
) -> None:
    scores, hits = [score for score, _ in rows], [hit for _, hit in rows]
    with TemporaryDirectory() as folder:
        plan, frame = made(Path(folder), scores, hits, curriculum, cut=cut)
    assert frame.height == len(rows) == sum(plan.kept) + sum(plan.dropped)
    kept = frame.filter(pl.col("copies") > 0)
    assert sorted(kept["rank"].to_list()) == list(range(kept.height))
    assert (frame["action"] == "drop").to_list() == hits == (frame["copies"] == 0).to_list()
    assert frame.filter(pl.col("copies") == 0)["rank"].null_count() == sum(hits)
    assert plan.sorted == ((kept["rank"].diff().drop_nulls() > 0).all(),)


def test_parts_of_any_size_give_the_same_bytes(tmp_path: Path) -> None:
    scores: list[float | None] = [None if i % 5 == 0 else (i * 7 % 11) / 11 for i in range(60)]
    hits = [i % 4 == 0 for i in range(60)]
    frames = [made(tmp_path, scores, hits, HumanFirst(1), cut=cut)[1] for cut in (1, 13, 60)]
    assert all(frame.equals(frames[0]) for frame in frames)


def test_unranked_rows_are_counted_and_last(tmp_path: Path) -> None:
    plan, frame = made(tmp_path, [None, 0.5, None, 0.1], [False] * 4, HumanFirst())
    assert plan.unranked == 2
    assert frame["rank"].to_list() == [2, 1, 3, 0]


def test_plan_has_its_documented_schema(tmp_path: Path) -> None:
    plan, frame = made(tmp_path, [0.5, None], [True, False], Original())
    assert pq.read_schema(plan.path).equals(PLAN_SCHEMA)
    assert frame.row(0) == ("a", 0, "drop", ["FX201", "FX101"], "FX101", 0.5, None, 0, None)


def test_copies_take_following_positions(tmp_path: Path) -> None:
    plan, frame = made(tmp_path, [0.4, 0.3, 0.2, 0.1], [False] * 4, HumanFirst(), Doubled())
    assert frame["copies"].to_list() == [2, 1, 1, 2]
    assert frame["rank"].to_list() == [4, 3, 2, 0]
    assert plan.kept == (3, 3)


def test_series_are_ranked_apart(tmp_path: Path) -> None:
    parts = [part("a", 0, [0.5, 0.1], [[], []]), part("b", 0, [0.4, 0.2, 0.3], [[], [], []])]
    plan = planned(tmp_path, parts, [("a", 2), ("b", 3)], [[0], [1]], [HumanFirst()])
    assert pl.read_parquet(plan.path)["rank"].to_list() == [1, 0, 2, 0, 1]


@pytest.mark.parametrize(
    "broken",
    [
        Broken(answer=pl.lit(0, pl.Int64).alias("index") + 0 * pl.col("index")),
        Broken(head=3),
        Broken(answer=pl.col("row")),
        Doubled(times=0),
    ],
)
def test_curriculum_that_loses_or_doubles_a_row_is_refused(tmp_path: Path, broken: Curriculum) -> None:
    with pytest.raises(PluginError, match=broken.name):
        made(tmp_path, [0.1] * 8, [False] * 8, broken)


def test_findings_with_a_hole_are_refused(tmp_path: Path) -> None:
    for parts in ([part("a", 1, [0.5], [[]])], [part("a", 0, [0.5], [[]])], [part("x", 0, [0.5, 0.5], [[], []])]):
        with pytest.raises(FindingsError):
            planned(tmp_path, parts, [("a", 2)], [[0]], [Original()])


def test_cursor_reads_on_from_any_row(tmp_path: Path) -> None:
    plan, frame = made(tmp_path, [0.5] * 40, [False] * 40, Shuffled())
    for first in (0, 6, 7, 20, 39):
        cursor = PlanCursor(plan.path, first)
        pieces = [cursor.read(size) for size in (1, 9, 100)]
        cursor.close()
        rows = [row for piece in pieces for row in piece.column("rank").to_pylist()]
        assert rows == frame["rank"].to_list()[first:]
