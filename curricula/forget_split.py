"""Sets for unlearning: the rows that a model is to forget, and those that it is to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curricula.ranks import Mask, Rows, matching, rows_of, sources_of
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["ForgetSplit"]

_PARTS = ("forget", "retain")


@dataclass(frozen=True)
class ForgetSplit:
    """Writes one of two sets that a corpus falls into: what is to be forgotten, or what is to be retained.

    Unlearning lowers the probability of synthetic rows of one format, and replays others so that nothing else is lost
    (Chen et al. 2024, "Unveiling the Flaws", arXiv:2406.12397). A row is to be forgotten where one of the rules hits
    it, or its source matches; all others are to be retained. Curate twice, once for each part, into two folders: no row
    is in both, each row that is kept is in one, and what is not in a part is in its dropped/. `--split 0.1` besides
    holds out a tenth of either by near-duplicate cluster, the same clusters in both, to test on.

    Args:
        seed: of no consequence: nothing is drawn.
        part: `forget` or `retain`.
        rules: ids of rules whose hits are to be forgotten (`FX204`: more rows of one skeleton than the cap).
        sources: shell patterns of sources that are to be forgotten whole.

    Raises:
        ConfigError: another part, or neither rules nor sources.
    """

    name: ClassVar[str] = "forget-split"
    orders: ClassVar[bool] = False
    resamples: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 17
    part: str = "forget"
    rules: tuple[str, ...] = ("FX204",)
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.part not in _PARTS:
            raise ConfigError(f"part = {self.part!r} is none of {', '.join(_PARTS)}. Choose one of them.")
        if not self.rules and not self.sources:
            raise ConfigError("neither rules nor sources say what to forget. Name some.")

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """One copy of each row of the part, none of the others, and no order of its own.

        Raises:
            ConfigError: a pattern that matches no source, or a part without rows, be it this one or the other: where
                nothing is to be forgotten, a rule is misspelt or was not judged.
        """
        rows, forget = self._divided(decided)
        parts = {"forget": forget, "retain": ~forget}
        for part, chosen in parts.items():
            if not (rows.kept & chosen).any():
                named = f"rules = {list(self.rules)}, sources = {list(self.sources)}"
                raise ConfigError(f"curriculum forget-split: no row is left to {part} by {named}. Name others.")
        return rows.copied(parts[self.part].astype(np.int32))

    def report(self, decided: pl.LazyFrame) -> dict[str, float]:
        """Rows of either part."""
        rows, forget = self._divided(decided)
        return {"forget": float((rows.kept & forget).sum()), "retain": float((rows.kept & ~forget).sum())}

    def _divided(self, decided: pl.LazyFrame) -> tuple[Rows, Mask]:
        import polars as pl

        hit = pl.col("rules").list.set_intersection(list(self.rules)).list.len() > 0
        sources, code = sources_of(decided)
        rows = rows_of(decided, hit=hit.fill_null(False), source=code)
        forget: Mask = rows["hit"]
        if self.sources:
            forget = forget | matching(sources, self.sources, "curriculum.forget-split.sources")[rows["source"]]
        return rows, forget
