"""What a report says of training: what a model knows, what curricula would keep, what a trial found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from audit.intervals import Interval

__all__ = ["Curve", "Knowledge", "Outcome", "Outcomes", "TrialArm", "TrialChange", "Trials", "Unknown"]

Bins = tuple[float, ...]


@dataclass(frozen=True)
class Unknown:
    """Facts of plain text that a model does not know: their share, its 95 % interval, and how many were asked."""

    share: float
    interval: Interval
    items: int


@dataclass(frozen=True)
class Knowledge:
    """What a model knows of the corpus.

    Attributes:
        categories: SliCK categories, best known first.
        sources: source to rows of each category; "" is the whole corpus.
        corrected: the same for the whole corpus, corrected for chance.
        unknown: of facts asked in plain text those that the model does not know; None where none was asked.
    """

    categories: tuple[str, ...]
    sources: Mapping[str, tuple[int, ...]]
    corrected: tuple[int, ...]
    unknown: Unknown | None


@dataclass(frozen=True)
class Outcome:
    """What one curriculum would make of the corpus.

    Attributes:
        name: of it.
        rows, kept, out: rows before; of them kept; rows out, copies counted.
        words, words_out: before and out; None where words were not counted.
        flagged, flagged_out: share of scored rows that FX101 hits, before and out.
        mtld, mtld_out: mean over rows.
        dropped: reason to rows.
        in_order: whether rows stay in the order of the corpus.
        refusal: why it would be refused; None where it would not.
        absent: why it cannot be foreseen; None where it can, and then alone do the figures mean something.
    """

    name: str
    rows: int = 0
    kept: int = 0
    out: int = 0
    words: int | None = None
    words_out: int | None = None
    flagged: float | None = None
    flagged_out: float | None = None
    mtld: float | None = None
    mtld_out: float | None = None
    dropped: Mapping[str, int] | None = None
    in_order: bool = True
    refusal: str | None = None
    absent: str | None = None


@dataclass(frozen=True)
class Outcomes:
    """What curricula would make of the corpus, each by itself."""

    count: str
    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True)
class Curve:
    """Training loss of an arm: mean over seeds, and their range."""

    arm: str
    tokens: Bins
    loss: Bins
    low: Bins
    high: Bins


@dataclass(frozen=True)
class TrialArm:
    """An arm on a test: mean over seeds, and its interval where there is more than one seed."""

    arm: str
    test: str
    metric: str
    mean: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class TrialChange:
    """An arm against the first: difference with interval, and p after Holm."""

    name: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    p_corrected: float | None


@dataclass(frozen=True)
class Trials:
    """A trial of arms that differ in their data."""

    digest: str
    tokens: int
    seeds: int
    curves: tuple[Curve, ...]
    arms: tuple[TrialArm, ...]
    changes: tuple[TrialChange, ...]
