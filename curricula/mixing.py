"""Mixes of real and synthetic rows at a ratio: synthetic rows are added to the real ones, or take their place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from curricula.order import tie_hash
from curricula.ranks import I32, I64, Mask, Rows, matching, rows_of, sources_of
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Accumulate", "Replace"]


@dataclass(frozen=True)
class _Mix:
    """Rows by kind.

    Attributes:
        rows: of the corpus.
        real: int64[r], positions of kept real rows, in a random order.
        synthetic: int64[s], the same of the others.
    """

    rows: Rows
    real: I64
    synthetic: I64

    @classmethod
    def of(cls, decided: pl.LazyFrame, real: tuple[str, ...], name: str, seed: int) -> _Mix:
        sources, code = sources_of(decided)
        rows = rows_of(decided, source=code, hash=tie_hash(seed))
        is_real: Mask = matching(sources, real, f"curriculum.{name}.real")[rows["source"]]
        parts = [np.flatnonzero(rows.kept & chosen) for chosen in (is_real, ~is_real)]
        for part, kind in zip(parts, ("real", "synthetic"), strict=True):
            if not len(part):
                raise ConfigError(
                    f"curriculum {name}: no {kind} rows are left by real = {list(real)}. Name other sources as real."
                )
        first, second = (part[np.argsort(rows["hash"][part], kind="stable")] for part in parts)
        return cls(rows, first, second)

    def copies(self, real: int, synthetic: int) -> I32:
        """One copy of the first so many of each kind, none of the others."""
        copies = np.zeros(len(self.rows.index), np.int32)
        copies[self.real[:real]] = 1
        copies[self.synthetic[:synthetic]] = 1
        return copies


def _check_share(share: float, below: float) -> None:
    if not 0 <= share <= below:
        raise ConfigError(f"share = {share} is not from 0 to {below}. Give the share of synthetic rows in the output.")


def _counts(real: int, synthetic: int, mix: _Mix) -> dict[str, float]:
    return {
        "real": float(real),
        "synthetic": float(synthetic),
        "real_left_out": float(len(mix.real) - real),
        "synthetic_left_out": float(len(mix.synthetic) - synthetic),
        "synthetic_share": synthetic / max(1, real + synthetic),
    }


@dataclass(frozen=True)
class Accumulate:
    """All real rows, and synthetic ones beside them up to a share of the output.

    The setting that "Is Model Collapse Inevitable?" (arXiv:2404.01413) sets against `replace`. Which synthetic rows are
    taken is drawn at random; the others go to dropped/. Where there are too few, all are taken and the share is
    smaller: see the report.

    Args:
        seed: of the draw.
        real: shell patterns of the sources that are real; all others are synthetic.
        share: of synthetic rows in the output, 0 to 0.999.
    """

    name: ClassVar[str] = "accumulate"
    orders: ClassVar[bool] = False
    resamples: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 17
    real: tuple[str, ...] = ()
    share: float = 0.5

    def __post_init__(self) -> None:
        _check_share(self.share, 0.999)

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Copies, 0 or 1, and no order of its own.

        Raises:
            ConfigError: patterns that match no source, or all of them.
        """
        mix = _Mix.of(decided, self.real, self.name, self.seed)
        return mix.rows.copied(mix.copies(*self._sizes(mix)))

    def report(self, decided: pl.LazyFrame) -> dict[str, float]:
        """Rows of either kind, those left out, and the share of synthetic rows that is reached."""
        mix = _Mix.of(decided, self.real, self.name, self.seed)
        return _counts(*self._sizes(mix), mix)

    def _sizes(self, mix: _Mix) -> tuple[int, int]:
        real = len(mix.real)
        return real, min(len(mix.synthetic), round(real * self.share / (1 - self.share)))


@dataclass(frozen=True)
class Replace:
    """As many rows as there are real ones, a share of which make room for synthetic ones.

    What experiments on collapse do from one generation to the next (Shumailov et al. 2024, Nature 631:755): the same
    number of rows, so that what differs is what they are and not how many. Rows that come and rows that go are drawn at
    random; with one seed, those of a small share are among those of a large one.

    Args:
        seed: of the draw.
        real: shell patterns of the sources that are real; all others are synthetic.
        share: of synthetic rows in the output, 0 to 1.
    """

    name: ClassVar[str] = "replace"
    orders: ClassVar[bool] = False
    resamples: ClassVar[bool] = True
    needs: ClassVar[tuple[str, ...]] = ()
    seed: int = 17
    real: tuple[str, ...] = ()
    share: float = 0.5

    def __post_init__(self) -> None:
        _check_share(self.share, 1)

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Copies, 0 or 1, and no order of its own.

        Raises:
            ConfigError: patterns that match no source, or all of them; or too few synthetic rows.
        """
        mix = _Mix.of(decided, self.real, self.name, self.seed)
        return mix.rows.copied(mix.copies(*self._sizes(mix)))

    def report(self, decided: pl.LazyFrame) -> dict[str, float]:
        """Rows of either kind, those left out, and the share of synthetic rows."""
        mix = _Mix.of(decided, self.real, self.name, self.seed)
        return _counts(*self._sizes(mix), mix)

    def _sizes(self, mix: _Mix) -> tuple[int, int]:
        synthetic = round(len(mix.real) * self.share)
        if synthetic > len(mix.synthetic):
            most = int(len(mix.synthetic) / len(mix.real) * 1000) / 1000
            raise ConfigError(
                f"curriculum replace: share = {self.share} of {len(mix.real):,} rows takes {synthetic:,} synthetic "
                f"ones, and there are {len(mix.synthetic):,}. Set share to {most} or less."
            )
        return len(mix.real) - synthetic, synthetic
