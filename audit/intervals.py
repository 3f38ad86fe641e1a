"""Shares with their 95 % intervals."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

__all__ = ["Estimate", "Interval", "wilson"]

_Z = 1.959963984540054


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a share, 0 to 1."""

    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """An estimated share of machine-written text.

    Attributes:
        share: point estimate, 0 to 1; None when there is no estimate.
        interval: 95 % interval; None when there is no estimate.
        n: documents that were measured.
        observed: share flagged, uncorrected; None when n is 0.
        reason: why there is no estimate, in words; None when there is one.
    """

    share: float | None
    interval: Interval | None
    n: int
    observed: float | None
    reason: str | None = None


def wilson(hits: float, n: float) -> Interval:
    """Wilson's 95 % score interval of a counted share (1927, J. Am. Stat. Assoc. 22:209). `n` may be an effective size.

    Nothing observed leaves everything possible: 0 to 1.
    """
    if n <= 0:
        return Interval(0.0, 1.0)
    rate = hits / n
    centre = rate + _Z**2 / (2 * n)
    spread = _Z * sqrt(rate * (1 - rate) / n + _Z**2 / (4 * n * n))
    scale = 1 + _Z**2 / n
    low = 0.0 if hits <= 0 else (centre - spread) / scale
    high = 1.0 if hits >= n else (centre + spread) / scale
    return Interval(max(0.0, low), min(1.0, high))
