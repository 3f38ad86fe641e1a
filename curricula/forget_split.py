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
_BOTH = "both"


@dataclass(frozen=True)
class ForgetSplit:
    """Divides a corpus into what is to be forgotten and what is to be retained, and says what of it is form.

    Unlearning lowers the probability of synthetic rows of one format, and replays others so that nothing else is lost
    (Chen et al. 2024, "Unveiling the Flaws", arXiv:2406.12397). A row is to be forgotten where one of the rules hits
    it, or its source matches; all others are to be retained. Each row that is kept is in data/forget or in data/retain;
    with `--split 0.1` a tenth of either, by near-duplicate cluster, is in data/test/forget and data/test/retain
    instead. mask/ has, for each file to be forgotten, the bytes of every row that are form and not content.

    Args:
        seed: of no consequence: nothing is drawn.
        part: `both`; or `forget` or `retain` for an output of that set alone, the other in dropped/.
        rules: ids of rules whose hits are to be forgotten (`FX204`: more rows of one skeleton than the cap).
        sources: shell patterns of sources that are to be forgotten whole.
        mask: whether to write what is form.

    Raises:
        ConfigError: another part, or neither rules nor sources.
    """

    name: ClassVar[str] = "forget-split"
    orders: ClassVar[bool] = False
    resamples: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 17
    part: str = _BOTH
    rules: tuple[str, ...] = ("FX204",)
    sources: tuple[str, ...] = ()
    mask: bool = True

    def __post_init__(self) -> None:
        if self.part not in (_BOTH, *_PARTS):
            named = ", ".join((_BOTH, *_PARTS))
            raise ConfigError(f"part = {self.part!r} is none of {named}. Choose one of them.")
        if not self.rules and not self.sources:
            raise ConfigError("neither rules nor sources say what to forget. Name some.")

    @property
    def parts(self) -> tuple[str, ...]:
        """Both sets, or none where the output is one of them."""
        return _PARTS if self.part == _BOTH else ()

    @property
    def masked(self) -> tuple[str, ...]:
        """What is to be forgotten."""
        if not self.mask or self.part == "retain":
            return ()
        return ("forget",) if self.part == _BOTH else ("",)

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """One copy of each row of the part, none of the others, and no order of its own; of both, the part of each row.

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
        if self.part == _BOTH:
            import polars as pl

            ones = rows.copied(np.ones(len(rows.index), np.int32))
            return ones.with_columns(part=pl.lit(pl.Series((~forget).astype(np.int8))))
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
