"""Chooses the documents that a costlier tier judges: those near the decision, and a random sample of all the others.

Half of the budget, by default, goes to a *band*: the documents whose p-value by the fast tier is nearest to the rate at
which FX101 decides, where a better margin changes verdicts. The rest goes to a *sample* of what is left, drawn alike
from strata of p-values, where a better margin narrows estimates. A document of the sample carries the chance that it
had, so that estimates can weigh it; those of the band are certain. Which documents these are depends on p-values and
random keys alone, not on the order or the batches in which they come, and memory is bounded by the budget.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["BAND", "SAMPLE", "Budget", "Choice", "Chooser", "random_keys"]

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

BAND, SAMPLE = "band", "sample"
STRATA = (0.003, 0.03, 0.1, 0.3)
"""Edges of p-values between strata; each stratum gets the same number of documents as far as it has them."""


@dataclass(frozen=True)
class Budget:
    """How many documents a costlier tier may judge.

    Attributes:
        rows: documents at most.
        band_share: share of them that goes to the band, 0 to 1.
        rate: p-value that decides, `p_human <= rate`.
    """

    rows: int
    band_share: float = 0.5
    rate: float = 0.01

    @property
    def band(self) -> int:
        """Documents of the band."""
        return round(self.rows * self.band_share)


@dataclass(frozen=True, eq=False)
class Choice:
    """The documents that were chosen.

    Attributes:
        row: int64[k], their numbers, ascending.
        in_band: bool[k], whether each is of the band.
        chance: float32[k], with which it was to be chosen; 1 in the band.
        band: smallest and largest p-value of the band; NaN where it is empty.
    """

    row: Integers
    in_band: npt.NDArray[np.bool_]
    chance: npt.NDArray[np.float32]
    band: tuple[float, float]


def random_keys(rows: Integers, shard: int, seed: int) -> Keys:
    """uint64[n]: a random number for each row of a shard, the same in every run with that seed (SplitMix64)."""
    mask = (1 << 64) - 1
    start = np.uint64((shard * 0x9E3779B97F4A7C15 ^ seed * 0xD1B54A32D192ED03) & mask)
    x = (rows.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) + start
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Keys = x ^ (x >> np.uint64(31))
    return mixed


@dataclass(frozen=True, eq=False)
class _Kept:
    """Candidates, as columns."""

    row: Integers
    p: Floats
    key: Keys

    def first(self, order: Integers) -> _Kept:
        return _Kept(self.row[order], self.p[order], self.key[order])

    def and_(self, other: _Kept) -> _Kept:
        row, p = np.concatenate([self.row, other.row]), np.concatenate([self.p, other.p])
        return _Kept(row, p, np.concatenate([self.key, other.key]))


_NONE = _Kept(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.uint64))


class Chooser:
    """Takes p-values as they come and keeps no more candidates than the budget can ask for."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._near = _NONE
        self._strata = [_NONE] * (len(STRATA) + 1)
        self._sizes = np.zeros(len(STRATA) + 1, np.int64)

    def add(self, row: Integers, p: Floats, key: Keys) -> None:
        """Take documents: their numbers, p-values by the fast tier (NaN where it abstained) and random keys."""
        known = np.isfinite(p)
        fresh = _Kept(row[known], p[known], key[known])
        near = self._near.and_(fresh)
        self._near = near.first(self._by_distance(near)[: self._budget.band])
        stratum = np.searchsorted(STRATA, fresh.p, side="left")
        self._sizes += np.bincount(stratum, minlength=len(self._sizes))
        for index in np.unique(stratum).tolist():
            kept = self._strata[index].and_(fresh.first(np.flatnonzero(stratum == index)))
            self._strata[index] = kept.first(np.lexsort((kept.row, kept.key))[: self._budget.rows])

    def _by_distance(self, kept: _Kept) -> Integers:
        """Nearest to the rate first, in logarithms; of those alike the smaller key first, so that it is chance."""
        distance = np.abs(np.log(np.maximum(kept.p, 1e-12)) - np.log(self._budget.rate))
        return np.lexsort((kept.row, kept.key, distance))

    def choice(self) -> Choice:
        """What was chosen, of all that was added."""
        band = self._near
        taken = np.bincount(np.searchsorted(STRATA, band.p, side="left"), minlength=len(self._sizes))
        left = self._sizes - taken
        quotas = _dealt(self._budget.rows - len(band.row), left)
        rows, chances = [band.row], [np.ones(len(band.row), np.float32)]
        for kept, quota, size in zip(self._strata, quotas, left.tolist(), strict=True):
            # As many are kept as the whole budget has, so enough are left when those of the band are gone.
            rest = kept.row[~np.isin(kept.row, band.row)][:quota]
            rows.append(rest)
            chances.append(np.full(len(rest), quota / max(size, 1), np.float32))
        row, chance = np.concatenate(rows), np.concatenate(chances)
        order = np.argsort(row, kind="stable")
        edges = (float(band.p.min()), float(band.p.max())) if len(band.p) else (float("nan"), float("nan"))
        in_band = np.arange(len(row)) < len(band.row)
        return Choice(row[order], in_band[order], chance[order], edges)


def _dealt(total: int, sizes: Integers) -> list[int]:
    """Deal `total` out to strata alike; what a small one cannot take goes to the others."""
    quotas = np.zeros(len(sizes), np.int64)
    while total > 0 and (quotas < sizes).any():
        open_ = np.flatnonzero(quotas < sizes)
        share, more = divmod(total, len(open_))
        given = np.minimum(share + (np.arange(len(open_)) < more), (sizes - quotas)[open_])
        quotas[open_] += given
        total -= int(given.sum())
    return [int(quota) for quota in quotas]
