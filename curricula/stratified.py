"""Orders that keep something fixed: the mix of sources throughout, or known facts for the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curricula.inner import inner, keys_of
from curricula.interleaving import interleaved
from curricula.order import tie_hash
from curricula.ranks import I64, Rows, ranks_of, rows_of, sources_of
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["KnownPatch", "Stratified"]


@dataclass(frozen=True)
class Stratified:
    """Holds the mix of sources fixed, and puts the rows of each source in the order of another curriculum.

    An order by a score also sorts sources: what a detector likes comes first whole. Here any stretch of the output
    holds each source in its share of the corpus, within a row a source, and only inside of it the score decides.
    What is a source is up to the scan (`--by`, else each file).

    Args:
        seed: passed on to the order inside.
        inside: the curriculum that orders each source, with its default settings.
    """

    name: ClassVar[str] = "stratified"
    orders: ClassVar[bool] = True
    seed: int = 17
    inside: str = "human-first"

    @property
    def needs(self) -> tuple[str, ...]:
        """What the order inside needs."""
        return inner(self.inside, self.seed, "curriculum.stratified.inside").needs

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Interleave the sources; rows that the inner order leaves unranked come last in theirs."""
        rows = rows_of(decided, source=sources_of(decided)[1])
        key = keys_of(inner(self.inside, self.seed, "curriculum.stratified.inside"), decided)
        return rows.ranked(interleaved(rows["source"], rows.kept, key))


@dataclass(frozen=True)
class KnownPatch:
    """Keeps a share of the rows for the end, all of them facts that the model knows.

    A little known data late in training, after "KnownPatch" (arXiv:2511.02626). The patch is drawn at random from rows
    of the categories, and all else comes before it in the order inside. Where there are too few such rows, the patch is
    smaller: see the report.

    Args:
        seed: of the draw, passed on to the order inside.
        late: share of all rows, 0 to 1, that make up the patch.
        categories: of `knowledge.category`, that count as known.
        inside: the curriculum that orders what comes before, with its default settings.

    Raises:
        ConfigError: a share outside its range, or no category.
    """

    name: ClassVar[str] = "known-patch"
    orders: ClassVar[bool] = True
    seed: int = 17
    late: float = 0.1
    categories: tuple[str, ...] = ("HighlyKnown", "MaybeKnown")
    inside: str = "shuffled"

    def __post_init__(self) -> None:
        if not 0 <= self.late <= 1:
            raise ConfigError(f"late = {self.late} is not a share. Give a number from 0 to 1.")
        known = ("HighlyKnown", "MaybeKnown", "WeaklyKnown", "Unknown")
        if not self.categories or not set(self.categories) <= set(known):
            raise ConfigError(f"categories = {list(self.categories)} are not some of {', '.join(known)}. Name these.")

    @property
    def needs(self) -> tuple[str, ...]:
        """Categories, and what the order inside needs."""
        return tuple(dict.fromkeys(("knowledge", *inner(self.inside, self.seed, self._where).needs)))

    @property
    def _where(self) -> str:
        return "curriculum.known-patch.inside"

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """The order inside, and after it the patch, shuffled."""
        rows, patch = self._patched(decided)
        key = keys_of(inner(self.inside, self.seed, self._where), decided)
        rank = ranks_of(np.argsort(key, kind="stable"), len(key))
        rank[patch] = len(rank) + np.arange(len(patch))
        return rows.ranked(rank)

    def report(self, decided: pl.LazyFrame) -> dict[str, float]:
        """`rows` to be ordered, `known` ones among them, and rows of the `patch`."""
        rows, patch = self._patched(decided)
        known = rows.kept & rows["known"]
        return {"rows": float(rows.kept.sum()), "known": float(known.sum()), "patch": float(len(patch))}

    def _patched(self, decided: pl.LazyFrame) -> tuple[Rows, I64]:
        """The rows, and the positions of those of the patch in a random order."""
        import polars as pl

        known = pl.col("knowledge").struct.field("category").is_in(list(self.categories)).fill_null(False)
        rows = rows_of(decided, known=known, hash=tie_hash(self.seed))
        chosen = np.flatnonzero(rows.kept & rows["known"])
        wanted = round(self.late * int(rows.kept.sum()))
        return rows, chosen[np.argsort(rows["hash"][chosen], kind="stable")][:wanted]
