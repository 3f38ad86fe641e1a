"""Importance resampling: rows that are likely machine-written come less often, by a weight instead of a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from audit.calibrate import SIGNAL
from curricula.ranks import Rows, number, rows_of, signals_of
from detectors.errors import ConfigError

if TYPE_CHECKING:
    import polars as pl

__all__ = ["Importance", "systematic"]

F64 = npt.NDArray[np.float64]
I32 = npt.NDArray[np.int32]
_WHERE = "curriculum.importance.probability"


def systematic(expected: F64, seed: int) -> I32:
    """Copies of rows by systematic sampling: one random offset for all, so that the counts vary as little as they can.

    Args:
        expected: float64[n]; how many copies each row is to get on average over seeds. Their sum is rounded.
        seed: of the offset.

    Returns:
        int32[n]: each within 1 of what is expected, on average exactly that, and their sum the same for every seed.
    """
    total = round(float(expected.sum()))
    if not total:
        return np.zeros(len(expected), np.int32)
    reached = np.cumsum(expected)
    reached *= total / reached[-1]
    reached[-1] = total
    np.minimum(reached, total, out=reached)
    reached += np.random.default_rng(seed % 2**64).random()
    copies = np.floor(reached).astype(np.int64)
    copies[1:] -= copies[:-1].copy()
    return copies.astype(np.int32)


@dataclass(frozen=True)
class Importance:
    """Resamples by (1 - p) to the power of `strength`, where p is the probability that a row is machine-written.

    In the manner of Drayson, Yilmaz and Lampos 2025, "Machine-generated text detection prevents language model
    collapse" (arXiv:2502.15654). Rows are drawn by systematic sampling in corpus order, so each row's expected number
    of copies is proportional to its weight, a seed moves it by less than one, and every source gets its due. Rows
    without a probability get one copy each and do not take part, nor do those on the allow-list where `probability`
    reads `ai_text`. A row that is drawn no time goes to dropped/.

    Args:
        seed: of the draw.
        strength: the exponent b; 0 draws evenly.
        size: rows out for each row in, of those that take part.
        probability: expression over findings that gives p; beyond 0 and 1 it is cut.

    Raises:
        ConfigError: a setting outside its range.
    """

    name: ClassVar[str] = "importance"
    orders: ClassVar[bool] = False
    resamples: ClassVar[bool] = True
    seed: int = 17
    strength: float = 1.0
    size: float = 1.0
    probability: str = "ai_text.score"

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 100:
            raise ConfigError(f"strength = {self.strength} is not from 0 to 100. Change its value.")
        if not 0 < self.size <= 100:
            raise ConfigError(f"size = {self.size} is not above 0 and up to 100. Change its value.")

    @property
    def needs(self) -> tuple[str, ...]:
        """The signals that `probability` reads."""
        return signals_of(self.probability, _WHERE)

    def rank(self, decided: pl.LazyFrame) -> pl.LazyFrame:
        """Copies, and no order of its own.

        Raises:
            ConfigError: a probability that cannot be read, or no row with a weight.
        """
        rows, weights = self._weighed(decided)
        return rows.copied(self._copies(rows, weights))

    def report(self, decided: pl.LazyFrame) -> dict[str, float]:
        """What the draw came to.

        Returns:
            `rows` that took part, their `effective_sample_size` (Kish: the square of the sum of weights over the sum of
            their squares), rows `left_out`, `most_copies` of a row, and the mean probability before and after.
        """
        rows, weights = self._weighed(decided)
        drawn = weights >= 0
        copies, weight = self._copies(rows, weights)[drawn], weights[drawn]
        p = rows["p"][drawn]
        return {
            "rows": float(len(weight)),
            "effective_sample_size": float(weight.sum() ** 2 / (weight**2).sum()),
            "left_out": float((copies == 0).sum()),
            "most_copies": float(copies.max()),
            "probability_before": float(p.mean()),
            "probability_after": float((p * copies).sum() / max(1, copies.sum())),
        }

    def _weighed(self, decided: pl.LazyFrame) -> tuple[Rows, F64]:
        """Weights, -1 where a row does not take part."""
        import polars as pl

        p = number(self.probability, decided, _WHERE).clip(0, 1)
        # What is machine-written on purpose gets its one copy, see `curricula.protocols.Resampling`.
        marked = SIGNAL in self.needs and "exempt" in decided.collect_schema().names()
        exempt = pl.col("exempt") if marked else pl.lit(value=False)
        rows = rows_of(decided, p=p, exempt=exempt)
        found = rows["p"]
        drawn = rows.kept & ~np.isnan(found) & ~rows["exempt"]
        weights: F64 = np.where(drawn, (1 - found) ** self.strength, -1.0)
        if not (weights > 0).any():
            raise ConfigError(
                f"curriculum importance: no row has a weight above 0 by {self.probability!r}. "
                "Scan with the signal that it reads, or give another probability."
            )
        return rows, weights

    def _copies(self, rows: Rows, weights: F64) -> I32:
        drawn = weights >= 0
        copies = np.ones(len(weights), np.int32)
        weight = weights[drawn]
        copies[drawn] = systematic(weight * (len(weight) * self.size / weight.sum()), self.seed)
        return copies
