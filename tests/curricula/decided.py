"""Decided rows made in code, as curricula see them."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl


def decided(
    sources: Sequence[str],
    *,
    dropped: Sequence[int] = (),
    exempt: Sequence[int] = (),
    **signals: Sequence[dict[str, object] | None],
) -> pl.LazyFrame:
    """One row a source that is named, in one shard; a struct column for each signal."""
    rows = len(sources)
    frame = pl.DataFrame(
        {"index": range(rows), "shard": ["a.parquet"] * rows, "row": range(rows), "source": list(sources)},
        schema={"index": pl.Int64, "shard": pl.String, "row": pl.Int64, "source": pl.String},
    )
    actions = ["drop" if row in set(dropped) else "keep" for row in range(rows)]
    return frame.with_columns(
        pl.Series("rules", [[]] * rows, pl.List(pl.String)),
        pl.Series("exempt", [row in set(exempt) for row in range(rows)], pl.Boolean),
        pl.Series("action", actions, pl.String),
        *(pl.Series(name, values) for name, values in signals.items()),
    ).lazy()


def in_order(answer: pl.LazyFrame) -> list[int]:
    """Index of each ranked row, as a plan would lay them out."""
    return answer.collect().drop_nulls("rank").sort("rank", "index")["index"].to_list()
