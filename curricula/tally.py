"""Counts decisions per shard and per source: what `--dry-run` shows, guard rails look at and the manifest holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from curricula.allow import FAMILY
from curricula.decisions import Spool
from curricula.ranking import Ranked

if TYPE_CHECKING:
    import polars as pl

__all__ = ["FLAGGED", "Counts", "Measures", "Tally"]

FLAGGED = "FX101"
"""The rule whose hits are the share of text that is flagged as machine-written."""
_MERGE_EVERY = 64
_MEANS = ("mtld", "distinct_2", "score")
_SUMS = ("words", "bytes", "tokens")


@dataclass(frozen=True)
class Measures:
    """Some rows, each as often as it is there.

    Attributes:
        rows: how many.
        words, bytes, tokens: of their text; None where not measured.
        flagged: rows that FX101 hits; None where it was not judged.
        unscored: rows without an AI score (abstained or unmeasured).
        mtld, distinct_2, score: means over the rows that have one; None when none has.
    """

    rows: int
    words: int | None
    bytes: int | None
    tokens: int | None
    flagged: int | None
    unscored: int
    mtld: float | None
    distinct_2: float | None
    score: float | None

    @property
    def flagged_share(self) -> float | None:
        """Share of the rows with an AI score that FX101 hits, 0 to 1."""
        scored = self.rows - self.unscored
        return None if self.flagged is None or not scored else self.flagged / scored


@dataclass(frozen=True)
class Counts:
    """Decisions over the rows of one shard or source.

    Attributes:
        name: key of the shard, or the source.
        before: all its rows.
        after: rows of the output, copies counted.
        kept: rows with at least one copy in the output.
        unscored: of those, rows without an AI score.
        dropped: reason to rows dropped: each row counted at its first dropping rule, or else at the curriculum or
            the limit that dropped it.
        hits: rule to rows hit, dropped or not; a row may be hit by several.
        exempt: rows on the allow-list.
        spared: of those, rows that a rule would have dropped otherwise.
        excused: FX1 rule to rows on the allow-list that it hits, and so does not drop.
    """

    name: str
    before: Measures
    after: Measures
    kept: int
    unscored: int
    dropped: dict[str, int]
    hits: dict[str, int]
    exempt: int
    spared: int
    excused: dict[str, int]

    @property
    def rows(self) -> int:
        """Rows in."""
        return self.before.rows

    @property
    def lost_share(self) -> float:
        """Share of rows dropped, 0 to 1."""
        return (self.rows - self.kept) / self.rows if self.rows else 0.0

    def lost_by(self, reasons: Iterable[str]) -> int:
        """Rows dropped for one of these reasons."""
        return sum(self.dropped.get(reason, 0) for reason in reasons)


@dataclass(frozen=True)
class Tally:
    """Counts per source (by name), per shard (corpus order, shards without rows left out), and over all."""

    sources: tuple[Counts, ...]
    shards: tuple[Counts, ...]
    total: Counts

    @property
    def rows(self) -> int:
        """Rows in."""
        return self.total.rows

    @property
    def kept(self) -> int:
        """Rows kept."""
        return self.total.kept

    @classmethod
    def of(cls, spool: Spool, ranked: Ranked, rules: Sequence[str]) -> Tally:
        """Count what is to become of each row, in memory that grows with the number of sources and shards only.

        Args:
            spool: of the decided rows.
            ranked: what is to become of them.
            rules: ids of all rules that judge.
        """
        groups: dict[str, list[pl.DataFrame]] = {"source": [], "shard": []}
        start = 0
        for part in spool.frames(_COLUMNS):
            facts = _facts(part, ranked, start)
            start += part.height
            for key, found in groups.items():
                found.append(_counted(facts, key, rules, ranked.reasons))
                if len(found) >= _MERGE_EVERY:
                    found[:] = [_merged(found)]
        sources, shards = (_as_counts(found, rules, ranked.reasons) for found in groups.values())
        return cls(
            sources=tuple(sorted(sources, key=lambda counts: counts.name)),
            shards=tuple(shards),
            total=_total(groups["source"], rules, ranked.reasons),
        )


_COLUMNS = (
    "source",
    "shard",
    "rules",
    "exempt",
    "spared",
    *(f"_{name}" for name in (*_MEANS, *_SUMS)),
)


def _facts(part: pl.DataFrame, ranked: Ranked, start: int) -> pl.DataFrame:
    import polars as pl

    stop = start + part.height
    return part.with_columns(
        pl.Series("copies", ranked.copies[start:stop].astype(np.int64)), pl.Series("reason", ranked.reason[start:stop])
    )


def _counted(facts: pl.DataFrame, key: str, rules: Sequence[str], reasons: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    copies, kept = pl.col("copies"), pl.col("copies") > 0
    sums = {"rows before": pl.len().cast(pl.Int64), "rows after": copies.sum(), "kept": kept.sum().cast(pl.Int64)}
    for name in _SUMS:
        value = pl.col(f"_{name}").cast(pl.Int64)
        sums |= {
            f"{name} known": value.count().cast(pl.Int64),
            f"{name} before": value.sum(),
            f"{name} after": (value * copies).sum(),
        }
    for name in _MEANS:
        value, there = pl.col(f"_{name}").cast(pl.Float64), pl.col(f"_{name}").is_not_null()
        sums |= {
            f"{name} before": value.sum(),
            f"{name} n before": there.sum().cast(pl.Int64),
            f"{name} after": (value * copies).sum(),
            f"{name} n after": (there * copies).sum(),
        }
    if FLAGGED in rules:
        hit = pl.col("rules").list.contains(FLAGGED) & pl.col("_score").is_not_null()
        sums |= {"flagged before": hit.sum().cast(pl.Int64), "flagged after": (hit * copies).sum()}
    return facts.group_by(pl.col(key).alias("name"), maintain_order=True).agg(
        unscored=(pl.col("_score").is_null() & kept).sum().cast(pl.Int64),
        exempt=pl.col("exempt").sum().cast(pl.Int64),
        spared=pl.col("spared").sum().cast(pl.Int64),
        **sums,
        **{f"hit {rule}": pl.col("rules").list.contains(rule).sum().cast(pl.Int64) for rule in rules},
        **{
            f"excuse {rule}": (pl.col("rules").list.contains(rule) & pl.col("exempt")).sum().cast(pl.Int64)
            for rule in rules
            if rule.startswith(FAMILY)
        },
        **{f"drop {reason}": (pl.col("reason") == at).sum().cast(pl.Int64) for at, reason in enumerate(reasons)},
    )


def _merged(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    import polars as pl

    return pl.concat(found).group_by("name", maintain_order=True).agg(pl.exclude("name").sum())


def _as_counts(found: Sequence[pl.DataFrame], rules: Sequence[str], reasons: Sequence[str]) -> list[Counts]:
    if not found:
        return []
    return [_row_counts(row, rules, reasons) for row in _merged(found).iter_rows(named=True)]


def _total(found: Sequence[pl.DataFrame], rules: Sequence[str], reasons: Sequence[str]) -> Counts:
    import polars as pl

    if not found:
        nothing = Measures(0, None, None, None, None, 0, None, None, None)
        return Counts("total", nothing, nothing, 0, 0, {}, {}, 0, 0, {})
    summed = pl.concat(found).select(pl.lit("total").alias("name"), pl.exclude("name").sum())
    return _row_counts(summed.row(0, named=True), rules, reasons)


def _row_counts(row: dict[str, object], rules: Sequence[str], reasons: Sequence[str]) -> Counts:
    whole = {name: value for name, value in row.items() if isinstance(value, int)}
    means = {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
    return Counts(
        name=str(row["name"]),
        before=_measures(whole, means, "before"),
        after=_measures(whole, means, "after"),
        kept=whole["kept"],
        unscored=whole["unscored"],
        dropped={reason: whole[f"drop {reason}"] for reason in reasons},
        hits={rule: whole[f"hit {rule}"] for rule in rules},
        exempt=whole["exempt"],
        spared=whole["spared"],
        excused={rule: whole[f"excuse {rule}"] for rule in rules if rule.startswith(FAMILY)},
    )


def _measures(whole: dict[str, int], means: dict[str, float], when: str) -> Measures:
    def known(name: str) -> int | None:
        return whole[f"{name} {when}"] if whole[f"{name} known"] else None

    def mean(name: str) -> float | None:
        rows = whole[f"{name} n {when}"]
        return means[f"{name} {when}"] / rows if rows else None

    return Measures(
        rows=whole[f"rows {when}"],
        words=known("words"),
        bytes=known("bytes"),
        tokens=known("tokens"),
        flagged=whole.get(f"flagged {when}"),
        unscored=whole[f"rows {when}"] - whole[f"score n {when}"],
        mtld=mean("mtld"),
        distinct_2=mean("distinct_2"),
        score=mean("score"),
    )
