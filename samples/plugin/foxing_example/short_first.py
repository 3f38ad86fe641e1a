"""A curriculum that reads short documents first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ShortFirst"]


@dataclass(frozen=True)
class ShortFirst:
    """Ascending number of words, in steps of `step`, within which corpus order stays. No row is left out.

    Attributes:
        step: words that two documents may differ by and still count as of one length.
        seed: not used, for nothing here is random.
    """

    name: ClassVar[str] = "short-first"
    orders: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ("document",)
    step: int = 100
    seed: int = 17

    def __post_init__(self) -> None:
        if self.step < 1:
            raise ValueError(f"step = {self.step} is not 1 or more. Change its value.")

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Rank by words; a row without them keeps its place behind all others."""
        import polars as pl

        words = pl.col("document").struct.field("words").cast(pl.Int64)
        return decided.select("index", rank=words // self.step)
