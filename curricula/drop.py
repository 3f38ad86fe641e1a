"""Curricula that leave rows out and order nothing: what they drop are the hits of rules, counted and kept aside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Decontaminate", "Dedup"]


def _unranked(decided: pl.LazyFrame) -> pl.LazyFrame:
    import polars as pl

    return decided.select("index", rank=pl.lit(0, pl.Int64))


@dataclass(frozen=True)
class Dedup:
    """One row of each set of copies: exact (FX301) and near duplicates (FX302) of a row that is kept go.

    Which one stays is decided by the scan, see `audit.duplicates.Duplicates`.
    """

    name: ClassVar[str] = "dedup"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    drops: ClassVar[tuple[str, ...]] = ("FX301", "FX302")
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """No order of its own."""
        return _unranked(decided)


@dataclass(frozen=True)
class Decontaminate:
    """No rows that hold benchmark items (FX303)."""

    name: ClassVar[str] = "decontaminate"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    drops: ClassVar[tuple[str, ...]] = ("FX303",)
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """No order of its own."""
        return _unranked(decided)
