"""Counts over a corpus, by source: what is there, what could not be measured, what hit which rule. Mergeable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Census", "Counts", "Tally"]

_UNMEASURED = "unmeasured:"


@dataclass(frozen=True)
class Tally:
    """One rule's counts.

    Attributes:
        n: documents on which the rule is defined.
        hits: of them hit.
        n_words: words in those documents.
        hit_words: words in those hit.
        n_words_squared: sum of squared words of the defined documents, for the effective sample size by words.
    """

    n: int
    hits: int
    n_words: int
    hit_words: int
    n_words_squared: int


@dataclass(frozen=True)
class Counts:
    """Counts of one source, or of the corpus. Sizes are 0 where the `document` signal has no finding.

    Attributes:
        rows: all of them.
        words, characters, bytes: in measured documents.
        nulls: rows without any measurement and without an error: their text is null.
        invalid_utf8: documents that were measured although they are not valid UTF-8.
        errors: rows on which at least one signal raised.
        unmeasured_rows: rows that lack at least one measurement.
        abstained: documents on which the detector of machine-written text abstained.
        out_of_support: documents unlike anything the detector was trained on.
        unmeasured: signal to rows without its measurement.
        rules: rule id to its counts.
    """

    rows: int
    words: int
    characters: int
    bytes: int
    nulls: int
    invalid_utf8: int
    errors: int
    unmeasured_rows: int
    abstained: int
    out_of_support: int
    unmeasured: Mapping[str, int]
    rules: Mapping[str, Tally]


@dataclass
class Census:
    """Counts by source. Adding is associative and commutative: how a corpus is split never changes a number."""

    _counters: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, frame: pl.DataFrame, verdicts: pl.DataFrame) -> Self:
        """Count one part of findings.

        Args:
            frame: the part.
            verdicts: one Boolean column per rule, row for row (see `audit.rules.evaluate`).
        """
        import polars as pl

        joined = frame.hstack(verdicts.select(pl.all().name.prefix("rule:"))) if verdicts.width else frame
        counted = joined.group_by("source").agg(_sums(frame, verdicts.columns))
        return cls(
            {
                str(row.pop("source")): Counter({key: int(value) for key, value in row.items() if value})
                for row in counted.iter_rows(named=True)
            }
        )

    def add(self, other: Self) -> None:
        """Take in another census, in time that grows with the sources of the other one alone."""
        for name, counter in other._counters.items():
            self._counters.setdefault(name, Counter()).update(counter)

    @property
    def sources(self) -> tuple[str, ...]:
        """Names, sorted."""
        return tuple(sorted(self._counters))

    def source(self, name: str, rules: Sequence[str] = ()) -> Counts:
        """Counts of one source; `rules` are ids to list even where nothing was counted."""
        return _counts(self._counters[name], rules)

    def total(self, rules: Sequence[str] = ()) -> Counts:
        """Counts over all sources."""
        return _counts(_summed(self._counters.values()), rules)


def _summed(counters: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counter in counters:
        total.update(counter)
    return total


def _sums(frame: pl.DataFrame, rules: Sequence[str]) -> list[pl.Expr]:
    import polars as pl

    names = [name for name, kind in frame.schema.items() if isinstance(kind, pl.Struct)]
    raised = pl.col("errors").list.len() > 0
    counted = {
        "rows": pl.len(),
        "errors": raised.sum(),
        "nulls": ((pl.col("unmeasured") == len(names)) & ~raised).sum() if names else pl.lit(0),
        "unmeasured_rows": (pl.col("unmeasured") > 0).sum(),
        **{_UNMEASURED + name: pl.col(name).is_null().sum() for name in names},
    }
    words = pl.lit(0)
    if "document" in names:
        document = pl.col("document").struct
        counted |= {name: document.field(name).cast(pl.Int64).sum() for name in ("words", "characters", "bytes")}
        counted["invalid_utf8"] = (~document.field("utf8_valid")).sum()
        words = document.field("words").cast(pl.Int64).fill_null(0)
    if "ai_text" in names:
        counted |= {name: pl.col("ai_text").struct.field(name).sum() for name in ("abstained", "out_of_support")}
    for rule in rules:
        hit = pl.col(f"rule:{rule}")
        counted |= {
            f"n:{rule}": hit.is_not_null().sum(),
            f"hits:{rule}": hit.sum(),
            f"n_words:{rule}": (words * hit.is_not_null()).sum(),
            f"hit_words:{rule}": (words * hit.fill_null(False)).sum(),
            f"n_words_squared:{rule}": (words * words * hit.is_not_null()).sum(),
        }
    return [expression.alias(name) for name, expression in counted.items()]


def _counts(counter: Counter[str], rules: Sequence[str]) -> Counts:
    listed = dict.fromkeys([*rules, *(key[2:] for key in sorted(counter) if key.startswith("n:"))])
    return Counts(
        rows=counter["rows"],
        words=counter["words"],
        characters=counter["characters"],
        bytes=counter["bytes"],
        nulls=counter["nulls"],
        invalid_utf8=counter["invalid_utf8"],
        errors=counter["errors"],
        unmeasured_rows=counter["unmeasured_rows"],
        abstained=counter["abstained"],
        out_of_support=counter["out_of_support"],
        unmeasured={
            key.removeprefix(_UNMEASURED): counter[key] for key in sorted(counter) if key.startswith(_UNMEASURED)
        },
        rules={
            rule: Tally(
                counter[f"n:{rule}"],
                counter[f"hits:{rule}"],
                counter[f"n_words:{rule}"],
                counter[f"hit_words:{rule}"],
                counter[f"n_words_squared:{rule}"],
            )
            for rule in listed
        },
    )
