"""What a report says of scores: how they are distributed, at which rates text is flagged, what a filter leaves."""

from __future__ import annotations

from dataclasses import dataclass

from audit.intervals import Interval

__all__ = ["Scores", "Threshold", "Yield", "YieldPoint"]

Bins = tuple[float, ...]


@dataclass(frozen=True)
class Threshold:
    """A stated false-positive rate, and what is known of it.

    Attributes:
        rate: `p_human` at or below it is flagged.
        score: score above which as many documents of the corpus lie as are flagged; None where none is.
        flagged: documents flagged.
        human, machine: shares of labelled human and machine documents at or below it, by models that never saw their
            source; None where it was not measured.
        human_n, machine_n: documents behind them.
    """

    rate: float
    score: float | None
    flagged: int
    human: float | None
    human_n: int
    machine: float | None
    machine_n: int


@dataclass(frozen=True)
class Scores:
    """How the scores of the corpus are distributed, beside labelled text.

    Attributes:
        centres: log odds in the middle of each bin; the outer ones are open.
        n: documents of the corpus whose scores can be compared: those unlike the detector's training texts are not in.
        judged: documents that can be flagged, those unlike it too.
        corpus: share of them in each bin.
        human, machine: the mean over labelled sources.
        human_low, human_high: tenth and ninetieth percentile over labelled human sources, bin by bin.
        sources: labelled sources of human and of machine text.
        thresholds: strictest last.
    """

    centres: Bins
    n: int
    judged: int
    corpus: Bins
    human: Bins
    human_low: Bins
    human_high: Bins
    machine: Bins
    sources: tuple[int, int]
    thresholds: tuple[Threshold, ...]


@dataclass(frozen=True)
class YieldPoint:
    """What is left when documents with `p_human` at or below a rate go.

    Attributes:
        rate: the rate.
        kept: share of words kept.
        left, interval: estimated share of machine-written words among those kept.
        human_lost: estimated share of human words that go.
    """

    rate: float
    kept: float
    left: float
    interval: Interval
    human_lost: float


@dataclass(frozen=True)
class Yield:
    """Words kept against contamination left.

    Attributes:
        words: all words, of documents without a score too; those are always kept.
        rate: at which FX101 flags, the rate of one of the points; None where it flags by something else.
        points: mildest rate first; the first one drops nothing.
    """

    words: int
    rate: float | None
    points: tuple[YieldPoint, ...]
