"""Decided rows made in code, and curricula whose answers a test chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import polars as pl

from curricula.decisions import Spool


def spooled(
    sources: Sequence[str],
    *,
    tokens: Sequence[int | None] | None = None,
    clusters: Sequence[int | None] | None = None,
    dropped: Sequence[str | None] | None = None,
    exempt: Sequence[bool] | None = None,
    cut: int = 5,
) -> Spool:
    """A spool of rows of one shard `s`, in parts of `cut` rows."""
    rows = len(sources)
    reasons = list(dropped or [None] * rows)
    frame = pl.DataFrame(
        {
            "shard": ["s"] * rows,
            "row": list(range(rows)),
            "source": list(sources),
            "rules": [[] if reason is None else [reason] for reason in reasons],
            "exempt": list(exempt or [False] * rows),
            "action": ["keep" if reason is None else "drop" for reason in reasons],
            "dropped_by": reasons,
            "spared": [False] * rows,
            "document": [{"words": value, "bytes": value} for value in tokens or [1] * rows],
            "duplicates": [{"cluster": value} for value in clusters or [None] * rows],
        },
        schema_overrides={
            "row": pl.Int64,
            "rules": pl.List(pl.String),
            "dropped_by": pl.String,
            "source": pl.String,
            "shard": pl.String,
            "document": pl.Struct({"words": pl.Int32, "bytes": pl.Int64}),
            "duplicates": pl.Struct({"cluster": pl.Int64}),
        },
    )
    spool = Spool()
    spool.fill((frame.slice(at, cut) for at in range(0, rows, cut)), [])
    return spool


@dataclass(frozen=True)
class Resampled:
    """Gives each row the copies that stand in `copies`, and writes down what it saw dropped."""

    name: ClassVar[str] = "resampled"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    resamples: ClassVar[bool] = True
    seed: int = 0
    copies: tuple[int, ...] = ()

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        wanted = pl.lit(pl.Series(self.copies, dtype=pl.Int32)).gather(pl.col("index"))
        return decided.select("index", rank=pl.lit(None, pl.Int64), copies=wanted)


@dataclass(frozen=True)
class Backwards:
    """The order of the corpus turned round, dropped rows first."""

    name: ClassVar[str] = "backwards"
    orders: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 0

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        gone = (pl.col("action") == "drop").cast(pl.Int64)
        return decided.select("index", rank=-pl.col("index") - 1_000_000 * gone)
