"""Curricula against falsity: drop-false leaves out rows with a false answer, correct-false puts in the right one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CorrectFalse", "DropFalse"]


@dataclass(frozen=True)
class DropFalse:
    """Leave out rows that contradict the reference (FX402) or other rows of the corpus (FX404).

    It is `--drop` of these rules under one name: `drops` names them. Rows that were not found in the reference, and
    those of questions with one row, have no verdict and stay.
    """

    name: ClassVar[str] = "drop-false"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("falsity",)
    drops: ClassVar[tuple[str, ...]] = ("FX402", "FX404")
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Equal ranks: the order is another curriculum's, or that of the corpus."""
        import polars as pl

        return decided.select("index", rank=pl.lit(0, pl.Int64))


@dataclass(frozen=True)
class CorrectFalse:
    """Give rows that contradict the reference (FX402) the answer that the reference has.

    `rank` gives a column `answer` besides: the new text, null where the row stays as it is. That is so of all rows
    without FX402, and of those whose reference knows only that they are false (a statement), or has an answer of more
    than 1,000 bytes. A row that a rule drops stays dropped.
    """

    name: ClassVar[str] = "correct-false"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("falsity",)
    edits: ClassVar[bool] = True
    rule: ClassVar[str] = "FX402"
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Equal ranks, and the answers to be put in."""
        import polars as pl

        hit = pl.col("rules").list.contains(self.rule) & (pl.col("action") != "drop")
        answer = pl.when(hit.fill_null(False)).then(pl.col("falsity").struct.field("expected"))
        return decided.select("index", rank=pl.lit(0, pl.Int64), answer=answer)
