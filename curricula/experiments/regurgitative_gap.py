"""How much of a gap something closes: a ratio of two means over the same seeds, with the interval of Fieller."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from curricula.contrasts import seed_interval

__all__ = ["GapClosed", "gap_closed"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class GapClosed:
    """A ratio with its 95 % interval.

    Attributes:
        share: of the gap that is closed, of the means; 1 is all. NaN where there is no gap.
        low: end of the interval; NaN where there is none.
        high: the other end.
        conclusive: whether the gap's own interval leaves 0 out; else the ratio says nothing.
    """

    share: float
    low: float
    high: float
    conclusive: bool

    def to_json(self) -> dict[str, float | bool]:
        """As JSON has it."""
        return asdict(self)


def gap_closed(gain: Floats, gap: Floats) -> GapClosed:
    """The mean gain over the mean gap, by seed.

    The interval holds each ratio r for which the mean of `gain - r * gap` is not different from 0 by Student's t
    (Fieller 1954). It is bounded only where the gap itself is different from 0.

    Args:
        gain: float64[seeds], what something adds.
        gap: float64[seeds], what there is to add.
    """
    low, high = seed_interval(gap)
    if math.isnan(low) or low <= 0 <= high:
        return GapClosed(math.nan, math.nan, math.nan, False)
    n = len(gap)
    squared = ((high - low) / 2 / (gap.std(ddof=1) / math.sqrt(n))) ** 2 / n if gap.std(ddof=1) else 0.0
    both = np.cov(gain, gap)
    # (mean gain - r mean gap)^2 = t^2 / n (var gain - 2 r cov + r^2 var gap), a parabola in r
    a = gap.mean() ** 2 - squared * both[1, 1]
    b = gain.mean() * gap.mean() - squared * both[0, 1]
    c = gain.mean() ** 2 - squared * both[0, 0]
    root = math.sqrt(max(0.0, b * b - a * c))
    return GapClosed(float(gain.mean() / gap.mean()), float((b - root) / a), float((b + root) / a), True)
