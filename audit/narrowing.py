"""Cuts a wide interval of a share to what the share of flagged documents leaves possible.

Scores far beyond all of the reference say little of how many there are, and a flag is no less sure for it. What is
drawn for that costs more than the rest of an estimate, so it is asked for only where an interval is wide. Only flags of
documents in support count: how often the detector errs on text unlike the reference is not known, so that may be
either.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING

from audit.intervals import Interval
from audit.prevalence import Prevalence
from audit.rogan_gladen import DRAWS, ErrorRates, estimate

if TYPE_CHECKING:
    from audit.score_cells import Cell

__all__ = ["LEVEL", "WIDE", "documents_by_flags", "narrowed", "words_by_flags"]

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


def documents_by_flags(cell: Cell, rates: ErrorRates, *, seed: int, draws: int = DRAWS) -> Interval | None:
    """`LEVEL` interval of the share of machine-written documents by those flagged; None without any in support."""
    inside = int(cell.documents.sum())
    if not inside:
        return None
    found = estimate(cell.flagged / inside, inside, inside, rates, seed=seed, draws=draws, level=LEVEL).interval
    return _opened(found, cell.outside / cell.n)


def words_by_flags(cell: Cell, rates: ErrorRates, *, seed: int) -> Interval | None:
    """The same of the share of words."""
    inside = float(cell.words.sum())
    if not inside:
        return None
    observed, size = min(1.0, cell.flagged_words / inside), cell.words_size
    found = estimate(observed, size, int(cell.documents.sum()), rates, seed=seed, level=LEVEL).interval
    return _opened(found, cell.outside_words / (inside + cell.outside_words))


def _opened(found: Interval | None, outside: float) -> Interval | None:
    """The interval with a share of text that may be either."""
    if found is None:
        return None
    return Interval((1 - outside) * found.low, min(1.0, (1 - outside) * found.high + outside))
