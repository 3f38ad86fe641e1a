"""Counts decisions per shard and per source: what `--dry-run` shows, the guard rail looks at and the manifest holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from detectors.errors import OutputError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Counts", "Tally", "refuse_loss"]

_MERGE_EVERY = 64
_NAMED = 3


@dataclass(frozen=True)
class Counts:
    """Decisions over the rows of one shard or source.

    Attributes:
        name: key of the shard, or the source.
        rows: rows in; `kept` of them stay.
        dropped: rule id to rows dropped, each row counted at its first dropping rule.
        hits: rule id to rows hit, dropped or not; a row may be hit by several.
        unscored: kept rows without an AI score (abstained or unmeasured).
        words: words kept; None when `document` was not scanned.
        scored: rows with an AI score.
        score_sum: their sum.
        kept_score_sum: the same of those kept.
    """

    name: str
    rows: int
    kept: int
    dropped: dict[str, int]
    hits: dict[str, int]
    unscored: int
    words: int | None
    scored: int
    score_sum: float
    kept_score_sum: float

    @property
    def score_before(self) -> float | None:
        """Mean AI score, 0 to 1; None when no row has one."""
        return self.score_sum / self.scored if self.scored else None

    @property
    def score_after(self) -> float | None:
        """Mean AI score of the kept rows; None when none has one."""
        kept_scored = self.kept - self.unscored
        return self.kept_score_sum / kept_scored if kept_scored else None

    @property
    def lost_share(self) -> float:
        """Share of rows dropped, 0 to 1."""
        return (self.rows - self.kept) / self.rows if self.rows else 0.0


@dataclass(frozen=True)
class Tally:
    """Counts per source (by name) and per shard (corpus order, shards without rows left out)."""

    sources: tuple[Counts, ...]
    shards: tuple[Counts, ...]

    @property
    def rows(self) -> int:
        """Rows in."""
        return sum(counts.rows for counts in self.shards)

    @property
    def kept(self) -> int:
        """Rows kept."""
        return sum(counts.kept for counts in self.shards)

    def total(self) -> Counts:
        """Counts over all sources, scores averaged over rows."""
        return _summed("total", self.sources)

    @classmethod
    def of(cls, parts: Iterable[pl.DataFrame], rules: Sequence[str], drop: Sequence[str]) -> Tally:
        """Count decided parts, in memory that grows with the number of sources only."""
        groups: dict[str, list[pl.DataFrame]] = {"source": [], "shard": []}
        for part in parts:
            for key, found in groups.items():
                found.append(_counted(part, key, rules, drop))
                if len(found) >= _MERGE_EVERY:
                    found[:] = [_merged(found)]
        sources, shards = (_as_counts(found, rules, drop) for found in groups.values())
        return cls(tuple(sorted(sources, key=lambda counts: counts.name)), tuple(shards))


def score(columns: Iterable[str]) -> pl.Expr:
    """The AI score of each row as Float32, null where there is none."""
    import polars as pl

    if "ai_text" not in columns:
        return pl.lit(None, pl.Float32)
    return pl.col("ai_text").struct.field("score").cast(pl.Float32).fill_nan(None)


def _counted(part: pl.DataFrame, key: str, rules: Sequence[str], drop: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    kept, found = pl.col("dropped_by").is_null(), score(part.columns).cast(pl.Float64)
    words = (
        pl.col("document").struct.field("words").cast(pl.Int64)
        if "document" in part.columns
        else pl.lit(None, pl.Int64)
    )
    facts = part.select(
        pl.col(key).alias("name"),
        "rules",
        "dropped_by",
        kept=kept,
        found=found,
        words=words.fill_null(0) * kept.cast(pl.Int64),
    )
    return facts.group_by("name", maintain_order=True).agg(
        rows=pl.len().cast(pl.Int64),
        kept=pl.col("kept").sum().cast(pl.Int64),
        unscored=(pl.col("found").is_null() & pl.col("kept")).sum().cast(pl.Int64),
        words=pl.col("words").sum(),
        score=pl.col("found").sum(),
        scored=pl.col("found").count().cast(pl.Int64),
        kept_score=pl.col("found").filter(pl.col("kept")).sum(),
        document=pl.lit("document" in part.columns),
        **{f"hit {rule}": pl.col("rules").list.contains(rule).sum().cast(pl.Int64) for rule in rules},
        **{f"drop {rule}": (pl.col("dropped_by") == rule).sum().cast(pl.Int64) for rule in drop},
    )


def _merged(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    sums = pl.exclude("name", "document").sum()
    return pl.concat(found).group_by("name", maintain_order=True).agg(sums, pl.col("document").all())


def _as_counts(found: Sequence[pl.DataFrame], rules: Sequence[str], drop: Sequence[str]) -> list[Counts]:
    if not found:
        return []
    return [
        Counts(
            name=row["name"],
            rows=row["rows"],
            kept=row["kept"],
            dropped={rule: row[f"drop {rule}"] for rule in drop},
            hits={rule: row[f"hit {rule}"] for rule in rules},
            unscored=row["unscored"],
            words=row["words"] if row["document"] else None,
            scored=row["scored"],
            score_sum=row["score"],
            kept_score_sum=row["kept_score"],
        )
        for row in _merged(found).iter_rows(named=True)
    ]


def _summed(name: str, groups: Sequence[Counts]) -> Counts:
    rules = {"dropped": groups[0].dropped if groups else {}, "hits": groups[0].hits if groups else {}}
    return Counts(
        name=name,
        rows=sum(counts.rows for counts in groups),
        kept=sum(counts.kept for counts in groups),
        dropped={rule: sum(counts.dropped[rule] for counts in groups) for rule in rules["dropped"]},
        hits={rule: sum(counts.hits[rule] for counts in groups) for rule in rules["hits"]},
        unscored=sum(counts.unscored for counts in groups),
        words=None if any(counts.words is None for counts in groups) else sum(counts.words or 0 for counts in groups),
        scored=sum(counts.scored for counts in groups),
        score_sum=sum(counts.score_sum for counts in groups),
        kept_score_sum=sum(counts.kept_score_sum for counts in groups),
    )


def refuse_loss(tally: Tally, allow_loss: float) -> None:
    """Stop before anything is written when a source would lose too much, or everything.

    Raises:
        OutputError: nothing would be kept, or a source would lose a larger share than `allow_loss`.
    """
    if not tally.rows:
        raise OutputError("the corpus has no rows, so there is nothing to write. Scan files that hold rows.")
    if not tally.kept:
        rules = ", ".join(sorted({rule for counts in tally.shards for rule, rows in counts.dropped.items() if rows}))
        raise OutputError(
            f"all {tally.rows:,} rows would be dropped ({rules}), which leaves no corpus. Drop by fewer rules."
        )
    worst = sorted((counts for counts in tally.sources if counts.lost_share > allow_loss), key=lambda c: -c.lost_share)
    if not worst:
        return
    named = "; ".join(
        f"{counts.name} {counts.lost_share:.1%} ({counts.rows - counts.kept:,} of {counts.rows:,} rows)"
        for counts in worst[:_NAMED]
    )
    more = f" and {len(worst) - _NAMED} more" if len(worst) > _NAMED else ""
    limit = max(counts.lost_share for counts in worst)
    raise OutputError(
        f"{len(worst)} source{'s' * (len(worst) > 1)} would lose more than {allow_loss:.0%} of rows: {named}{more}. "
        f"Look at the rules, or permit it with --allow-loss {_rounded_up(limit)}."
    )


def _rounded_up(share: float) -> str:
    return f"{min(1.0, -(-share * 100 // 1) / 100):.2f}"
