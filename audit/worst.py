"""The worst rows that a rule hit: a bounded, deterministic top list over a stream of parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.expressions import parse

if TYPE_CHECKING:
    import polars as pl

    from audit.rules import Rule

__all__ = ["Case", "Scalar", "Worst"]

Scalar = float | int | str | bool | None


@dataclass(frozen=True)
class Case:
    """One hit, to be looked at.

    Attributes:
        uri: the file.
        row: position in it; None when the file itself is meant.
        source: of the row; None when the file itself is meant.
        values: what the rule and its order of worst rows read and what it shows besides, by name (`ai_text.p_human`).
        message: what is wrong with the file; empty for rows, whose values say it.
    """

    uri: str
    row: int | None
    source: str | None
    values: Mapping[str, Scalar]
    message: str = ""


class Worst:
    """Keeps the `top` worst hits of a rule. Equally bad rows stay in corpus order, so a list never varies."""

    def __init__(self, rule: Rule, top: int, *, apart: Sequence[str] = ()) -> None:
        """Nothing read yet.

        Args:
            rule: whose hits are kept.
            top: how many.
            apart: columns, or `signal.field`; of rows that are alike in all of them the worst alone is kept.
        """
        self._top = top
        self._apart = [tuple(name.split(".")) for name in apart]
        self._key = parse(rule.worst, rule.id) if rule.worst else None
        self._read = parse(rule.when, rule.id)
        self._more = [tuple(name.split(".")) for name in rule.shown]
        self._kept: pl.DataFrame | None = None

    def add(self, frame: pl.DataFrame, hit: pl.Series) -> None:
        """Take in one part; `hit` is true for the rows to consider. Parts come in corpus order."""
        import polars as pl

        hits = frame.filter(hit.fill_null(False))
        if not hits.height or not self._top:
            return
        key = pl.lit(0.0) if self._key is None or not self._scanned(frame) else self._key.polars()
        found = hits.select(
            key.cast(pl.Float64).fill_nan(None).fill_null(float("-inf")).alias("_key"),
            "shard",
            "row",
            "source",
            pl.struct(_column(name).alias(".".join(name)) for name in self._shown(frame)).alias("values"),
            *(_column(name).alias(f"_apart.{at}") for at, name in enumerate(self._apart)),
        )
        both = found if self._kept is None else pl.concat([self._kept, found])
        ordered = both.sort("_key", descending=True, maintain_order=True)
        if self._apart:
            ordered = ordered.filter(pl.struct(pl.col(r"^_apart\..*$")).is_first_distinct())
        self._kept = ordered.head(self._top)

    def _scanned(self, frame: pl.DataFrame) -> bool:
        return self._key is not None and all(name in frame.columns for name in self._key.columns)

    def _shown(self, frame: pl.DataFrame) -> list[tuple[str, ...]]:
        key = self._key.names if self._key is not None and self._scanned(frame) else ()
        more = [name for name in self._more if name[0] in frame.columns]
        return list(dict.fromkeys((*self._read.names, *key, *more)))

    def cases(self, uris: Mapping[str, str]) -> tuple[Case, ...]:
        """The hits kept, worst first; `uris` maps shard keys to files."""
        rows = [] if self._kept is None else self._kept.iter_rows(named=True)
        return tuple(Case(uris[row["shard"]], row["row"], row["source"], row["values"]) for row in rows)


def _column(name: tuple[str, ...]) -> pl.Expr:
    import polars as pl

    expression = pl.col(name[0])
    for field in name[1:]:
        expression = expression.struct.field(field)
    return expression
