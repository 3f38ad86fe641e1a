"""Better rows first, by a measure of quality that is put together from findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from curricula.order import tie_hash
from curricula.ranks import number, signals_of

if TYPE_CHECKING:
    import polars as pl

__all__ = ["METRICS", "QualityFirst"]

_TEXT = (
    "0 - coalesce(diversity.dup_5gram, 0) - coalesce(diversity.dup_line_bytes_share, 0) "
    "- least(residue.hits, 1) - 0.5 * least(residue.weak_hits, 1)"
)
_PAIRS = (
    "0 - 2 * greatest(coalesce(pair_quality.copied, 0) - 0.5, 0) - coalesce(pair_quality.numbers, 0) "
    "- coalesce(pair_quality.repeated, 0) - case when pair_quality.wrong_language then 1 else 0 end "
    "- least(abs(ln(pair_quality.length_ratio)), 1.5)"
)
METRICS = {"text": _TEXT, "pairs": _PAIRS, "similar-pairs": f"5 * pair_quality.similarity + ({_PAIRS})"}
"""Metrics that have a name. `text`: how much is not repeated and no assistant's residue. `pairs`: the same of what can
go wrong in a translation. `similar-pairs`: besides, how near source and translation are to a multilingual encoder."""
_WHERE = "curriculum.quality-first.metric"


@dataclass(frozen=True)
class QualityFirst:
    """Descending quality, ties shuffled; rows of which it is undefined follow in corpus order.

    Strategy 1 of "Regurgitative Training" (Zhang et al. 2024, arXiv:2407.12835): a measure of quality for each instance
    that a model wrote, and training in its order. The paper's formula we do not know; these metrics are our own.

    Args:
        seed: of ties.
        metric: a name (`text`, `pairs`, `similar-pairs`) or an expression over findings; higher is better.
    """

    name: ClassVar[str] = "quality-first"
    orders: ClassVar[bool] = True
    seed: int = 17
    metric: str = "text"

    @property
    def needs(self) -> tuple[str, ...]:
        """The signals that the metric reads."""
        return signals_of(self._sql, _WHERE)

    @property
    def _sql(self) -> str:
        return METRICS.get(self.metric, self.metric)

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Rank by the metric, in the precision of float32.

        Raises:
            ConfigError: a metric that names what is not there, or is no number.
        """
        import polars as pl

        place = -_bits(number(self._sql, decided, _WHERE)) * 2**31
        return decided.select("index", rank=place + (tie_hash(self.seed) // 2**33).cast(pl.Int64))


def _bits(value: pl.Expr) -> pl.Expr:
    """Float32 as an Int64 within 2^31 of 0, of the same order."""
    import polars as pl

    bits = (value.cast(pl.Float32) + 0.0).reinterpret(dtype=pl.Int32).cast(pl.Int64)
    return pl.when(bits >= 0).then(bits).otherwise(-(2**31) - bits - 1)
