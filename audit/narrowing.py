"""Cuts a wide interval of a share to what the share of flagged documents leaves possible.

Scores far beyond all of the reference say little of how many there are, and a flag is no less sure for it. What is
drawn for that costs more than the rest of an estimate, so it is asked for only where an interval is wide.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from audit.intervals import Interval
from audit.prevalence import Prevalence

__all__ = ["LEVEL", "WIDE", "narrowed"]

WIDE = 0.5
"""Intervals up to this width are left alone."""
LEVEL = 0.99
"""Of the interval by flagged documents: two of 95 %, cut to each other, hold the share less often than either."""


def narrowed(found: Prevalence, flagged: Callable[[], Interval | None]) -> Prevalence:
    """The estimate, a wide interval cut to that of flagged documents; as it is where the two contradict each other.

    Args:
        found: from scores.
        flagged: gives the `LEVEL` interval of the same share by flagged documents, None where that is not known.
            Called only if it is needed.
    """
    if found.share is None or found.interval is None or found.interval.high - found.interval.low <= WIDE:
        return found
    bounds = flagged()
    if bounds is None:
        return found
    low, high = max(found.interval.low, bounds.low), min(found.interval.high, bounds.high)
    if low > high or (low, high) == (found.interval.low, found.interval.high):
        return found
    reason = "the scores leave more than half of all shares possible; what was flagged leaves fewer"
    share = min(max(found.share, low), high)
    return dataclasses.replace(found, share=share, interval=Interval(low, high), reasons=(*found.reasons, reason))
