"""A curriculum that lets no template fill a corpus: of the rows of one skeleton the most diverse stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    import polars as pl

__all__ = ["CapTemplates"]


@dataclass(frozen=True)
class CapTemplates:
    """At most so many rows of each skeleton and source: the others (FX204) go.

    Which rows stay, and the order in which they do, is decided by the scan, see `audit.templates.Templates`; how many,
    by the rule: `[tool.foxing.rule.FX204] when = "templates.place >= 20"`. It is a source's own rows that are
    counted, and rows that go for another reason are counted too.
    """

    name: ClassVar[str] = "cap-templates"
    orders: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    drops: ClassVar[tuple[str, ...]] = ("FX204",)
    seed: int = 17

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """No order of its own."""
        import polars as pl

        return decided.select("index", rank=pl.lit(0, pl.Int64))
