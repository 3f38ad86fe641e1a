"""What curricula that look at all rows share: numbers of an expression, rows as arrays, ranks and copies back."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from audit.expressions import parse
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Rows", "matching", "number", "ranks_of", "rows_of", "signals_of", "sources_of"]

I64 = npt.NDArray[np.int64]
I32 = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


def signals_of(sql: str, where: str) -> tuple[str, ...]:
    """Signals whose fields an expression reads.

    Raises:
        ConfigError: what is no expression over one row (`audit.expressions`).
    """
    return tuple(dict.fromkeys(name[0] for name in parse(sql, where).names if len(name) > 1))


def number(sql: str, decided: pl.LazyFrame, where: str) -> pl.Expr:
    """An expression over findings as Float64, null where it is undefined or not finite.

    Raises:
        ConfigError: it names what is not there, or is no number.
    """
    import polars as pl

    expression = parse(sql, where)
    expression.look_up(decided.collect_schema(), where)
    try:
        kind = decided.select(value=expression.polars()).collect_schema()["value"]
    except pl.exceptions.PolarsError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"{where}: {sql!r} does not fit the findings ({reason}). Mend it.") from error
    if not kind.is_numeric():
        raise ConfigError(f"{where}: {sql!r} is {kind}, not a number. Name one.")
    value = expression.polars().cast(pl.Float64)
    return pl.when(value.is_finite()).then(value)


@dataclass(frozen=True, eq=False)
class Rows:
    """The rows of a corpus, in corpus order, with no more than what is asked for: memory is counted in bytes a row.

    Attributes:
        index: int64[n]; position in the corpus.
        kept: bool[n]; False where a rule drops the row.
        columns: [n] each; what else was asked for.
    """

    index: I64
    kept: Mask
    columns: dict[str, pl.Series]

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        """A column as an array; nulls of numbers are NaN."""
        return self.columns[name].to_numpy()

    def ranked(self, rank: I64, known: Mask | None = None) -> pl.LazyFrame:
        """What `Curriculum.rank` returns: null for dropped rows, and where `known` is False."""
        import polars as pl

        shown = self.kept if known is None else self.kept & known
        frame = pl.DataFrame({"index": self.index, "rank": rank, "shown": shown})
        return frame.lazy().select("index", rank=pl.when("shown").then("rank"))

    def copied(self, copies: I32) -> pl.LazyFrame:
        """The same of a curriculum that resamples and sets no order; dropped rows get 1, which is ignored."""
        import polars as pl

        copies[~self.kept] = 1
        return pl.DataFrame({"index": self.index, "copies": copies}).lazy().with_columns(rank=pl.lit(0, pl.Int64))


def rows_of(decided: pl.LazyFrame, **columns: pl.Expr) -> Rows:
    """Gather what decides: some 9 bytes a row, and the columns."""
    import polars as pl

    wanted = {"kept": pl.col("action") != "drop", **columns}
    frame = decided.select("index", **wanted).collect(engine="streaming")
    if not frame["index"].is_sorted():
        frame = frame.sort("index")
    # One at a time, so that no more than one of them is there twice.
    found = {name: frame.drop_in_place(name).rechunk() for name in frame.columns}
    return Rows(found.pop("index").to_numpy(), found.pop("kept").to_numpy(), found)


def sources_of(decided: pl.LazyFrame) -> tuple[list[str], pl.Expr]:
    """Names of the sources in the order of the alphabet, and the number of each row's among them, as Int32."""
    import polars as pl

    names = sorted(decided.select(pl.col("source").unique()).collect(engine="streaming")["source"].to_list())
    code = pl.col("source").replace_strict(names, list(range(len(names))), return_dtype=pl.Int32)
    return names, code


def ranks_of(order: I64, rows: int) -> I64:
    """int64[rows]: the place of each row in `order`, which may leave rows out (these get 0)."""
    rank = np.zeros(rows, np.int64)
    rank[order] = np.arange(len(order))
    return rank


def matching(sources: Sequence[str], patterns: Sequence[str], where: str) -> Mask:
    """bool[sources]: which of them a shell pattern (`web*`) matches; case counts.

    Raises:
        ConfigError: no pattern, or one that matches none.
    """
    if not patterns:
        raise ConfigError(f'{where} names no source. Give shell patterns of sources: {where} = ["web*"].')
    found = np.zeros(len(sources), np.bool_)
    for pattern in patterns:
        hits = np.array([fnmatch.fnmatchcase(source, pattern) for source in sources], np.bool_)
        if not hits.any():
            there = ", ".join(sources[:8]) + (", ..." if len(sources) > 8 else "")
            raise ConfigError(f"{where}: no source matches {pattern!r} (there is: {there}). Mend the pattern.")
        found |= hits
    return found
