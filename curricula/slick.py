"""Curricula by what a model knows (Gekhman et al. 2024): leave unknown facts out, or put half-known ones first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from curricula.order import tie_hash

if TYPE_CHECKING:
    import polars as pl

__all__ = ["DropUnknown", "MaybeFirst", "RelabelUnknown"]

IDK = "I don't know"
"""What an unknown fact is answered by, as in the paper."""

_ORDER = ("MaybeKnown", "HighlyKnown", "WeaklyKnown", "Unknown")


@dataclass(frozen=True)
class DropUnknown:
    """No rows whose fact the model does not know (FX401): fitting those teaches it to make things up."""

    name: ClassVar[str] = "slick-drop-unknown"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    drops: ClassVar[tuple[str, ...]] = ("FX401",)
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """No order of its own."""
        import polars as pl

        return decided.select("index", rank=pl.lit(0, pl.Int64))


@dataclass(frozen=True)
class MaybeFirst:
    """MaybeKnown facts first, then HighlyKnown, WeaklyKnown and Unknown ones, each shuffled.

    Of all single categories MaybeKnown gave the best model, and Unknown facts were fitted last and harmed most, so that
    a run that stops early never sees them. Rows without a category follow in corpus order.
    """

    name: ClassVar[str] = "slick-maybe-first"
    orders: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("knowledge",)
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Rank by category, then by hash."""
        import polars as pl

        place = (
            pl.col("knowledge")
            .struct.field("category")
            .replace_strict(list(_ORDER), list(range(len(_ORDER))), default=None, return_dtype=pl.Int64)
        )
        return decided.select("index", rank=place * 2**60 + (tie_hash(self.seed) // 2**4).cast(pl.Int64))


@dataclass(frozen=True)
class RelabelUnknown:
    """Rows whose fact the model does not know (FX401) are answered by "I don't know"; what stood there is kept beside.

    In the paper a model tuned on such rows answers fewer questions and more of those right: with half the facts unknown
    43.0 % of all became 61.8 % of the 58.7 % that it answered. That is fewer right answers in all, so look at both.
    """

    name: ClassVar[str] = "relabel-unknown"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("knowledge",)
    edits: ClassVar[bool] = True
    rule: ClassVar[str] = "FX401"
    seed: int = 17
    refusal: str = IDK

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """No order of its own, and the answers to be put in."""
        import polars as pl

        hit = pl.col("rules").list.contains(self.rule) & (pl.col("action") != "drop")
        answer = pl.when(hit.fill_null(False)).then(pl.lit(self.refusal))
        return decided.select("index", rank=pl.lit(0, pl.Int64), answer=answer)
