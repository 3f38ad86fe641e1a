"""How often people's text looks at least as machine-like: the upper tail of human margins, for a source nobody saw.

A p-value must hold for documents of a new source, and sources differ. So a document is taken to come from one whose
mean lies `deviations` standard deviations of source means above the mean of sources; and it is never more surprising
than among all human documents. Counts become rates by their exact upper 95 % bound, so that at a p-value of at most a
the rate is at most a with 95 % confidence, as far as documents are drawn alike (see `detectors.binomial`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from detectors.binomial import upper_bound

__all__ = ["MIN_SOURCE", "Tail", "rates_above", "tail_of"]

MIN_SOURCE = 15
"""Documents that a source must have to count among those that spread."""

_EXACT_SHARE, _POINTS = 0.1, 150
_Z95 = 1.6448536269514722

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Tail:
    """Human margins, adjusted.

    Attributes:
        pooled: float64[n], ascending, of all documents.
        within: float64[m], ascending, less the mean of their source.
        mean: of source means.
        spread: standard deviation of source means, with what is not known of their mean.
    """

    pooled: Floats
    within: Floats
    mean: float
    spread: float

    def p(self, adjusted: Floats, deviations: float) -> Floats:
        """float64[n] in (0, 1]: upper bound of the share of human text at or above each margin; NaN stays NaN."""
        found = rates_above(self.pooled, adjusted)
        if len(self.within):
            found = np.maximum(found, rates_above(self.within, adjusted - self.mean - deviations * self.spread))
        return np.where(np.isnan(adjusted), np.nan, found)


def tail_of(adjusted: Floats, source: npt.NDArray[np.int64]) -> Tail:
    """Tail of human margins.

    Args:
        adjusted: float64[n].
        source: int64[n], number of the source of each.
    """
    counts = np.bincount(source)
    means = np.bincount(source, adjusted) / np.maximum(counts, 1)
    large = counts >= MIN_SOURCE
    rows = large[source]
    if large.sum() < 2:
        return Tail(np.sort(adjusted), np.zeros(0), 0.0, 0.0)
    spread = float(np.std(means[large], ddof=1) * np.sqrt(1.0 + 1.0 / large.sum()))
    within = np.sort(adjusted[rows] - means[source[rows]])
    return Tail(np.sort(adjusted), within, float(means[large].mean()), spread)


def rates_above(ordered: Floats, values: Floats) -> Floats:
    """float64[k]: upper 95 % bound of the share at or above each value, from an ascending sample."""
    n = len(ordered)
    counts, bounds = _bounds(n)
    above = n - np.searchsorted(ordered, values, side="left")
    # The next count of the table: rounding never makes a document look more surprising than it is.
    result: Floats = bounds[np.minimum(np.searchsorted(counts, above, side="left"), len(counts) - 1)]
    return result


@lru_cache(maxsize=1024)
def _bounds(n: int) -> tuple[Integers, Floats]:
    """Counts, ascending from 0 to n, and the upper bound of the rate at each: exact where rates are small."""
    steps = np.concatenate([np.arange(40), np.geomspace(40, max(n, 41), _POINTS)])
    counts = np.unique(np.minimum(steps, n).astype(np.int64))
    small = counts <= max(40, int(_EXACT_SHARE * n))
    bounds = np.ones(len(counts))
    bounds[small] = upper_bound(counts[small], n)
    share = counts[~small] / max(n, 1)
    centre = share + _Z95**2 / (2 * n) if n else share
    half = _Z95 * np.sqrt(share * (1 - share) / max(n, 1) + _Z95**2 / (4.0 * max(n, 1) ** 2))
    bounds[~small] = np.minimum(1.0, (centre + half) / (1.0 + _Z95**2 / max(n, 1)))
    bounds[counts == n] = 1.0
    return counts, np.maximum.accumulate(bounds)
