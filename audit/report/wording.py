"""The sentences of a report that depend on its figures: what the headline means, and what the figures do not say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit.formats import count, percent
from audit.report.blocks import Tone

if TYPE_CHECKING:
    from audit.assessment import Assessment
    from audit.intervals import Interval
    from audit.report.content import Headline

__all__ = ["caveats", "headline_words", "meaning", "verdict"]

_WIDE = 0.5
_ESTIMATED = "of documents are machine-written, by estimate"


def meaning(share: float | None, interval: Interval | None, budget: float, reason: str | None) -> str:
    """What the share of machine-written documents means, in one or two sentences."""
    if share is None or interval is None:
        return f"No share of machine-written text can be given: {reason or 'nothing was judged'}."
    found = (
        f"An estimated {percent(share)} of the documents are machine-written; everything from {percent(interval.low)} "
        f"to {percent(interval.high)} agrees with what was measured (95 % interval)."
    )
    if interval.high - interval.low > _WIDE:
        found += " So wide an interval makes the estimate a guess; its lower end is what to go by."
    limit = percent(budget)
    if interval.low > budget:
        return f"{found} Even the lower end is above the budget of {limit}, so there is more than is tolerated."
    if interval.high <= budget:
        return f"{found} Even the upper end is within the budget of {limit}."
    return f"{found} The budget of {limit} lies inside the interval, so whether it is kept cannot be said yet."


def headline_words(head: Headline) -> str:
    """What stands after the share, or after "no estimate"."""
    return "of the share of machine-written documents" if head.share is None else _ESTIMATED


def verdict(head: Headline) -> tuple[str, Tone]:
    """The verdict on FX101 in words: within budget only where the whole interval is."""
    if head.verdict == "over":
        return "over budget", Tone.BAD
    if head.verdict == "within" and head.interval is not None and head.interval.high <= head.budget:
        return "within budget", Tone.GOOD
    return "not shown to be over budget" if head.verdict == "within" else head.verdict, Tone.UNSURE


def caveats(assessment: Assessment) -> tuple[str, ...]:
    """What the figures do not say."""
    return tuple(_caveats(assessment))


def _caveats(assessment: Assessment) -> Iterator[str]:
    total = assessment.total
    yield (
        "A score proves nothing about one text or its author. Shares are estimates over many documents; never use them "
        "against a person."
    )
    yield (
        "The intervals cover sampling and how far labelled sources differ. Text by models, or in registers, that the "
        "reference does not know may lie outside of them."
    )
    if assessment.failed:
        yield (
            f"{count(len(assessment.failed), 'file')} could not be read. The audit is not of the whole corpus: "
            f"{'; '.join(failed.message for failed in assessment.failed[:5])}"
        )
    if total.abstained:
        yield f"Too little text, or a language too foreign, to be judged: {count(total.abstained, 'document')}."
    if total.out_of_support:
        yield (
            f"Unlike anything that the detector was trained on: {count(total.out_of_support, 'document')}. They may be "
            "by people or by models, and the interval allows for both."
        )
    if total.nulls or total.errors:
        yield (
            f"Without a text: {count(total.nulls, 'row')}; with a signal that failed: {count(total.errors, 'row')}. "
            "They are counted and never dropped."
        )
    yield (
        "A duplicate is told by its words and a leaked passage by its wording: reworded copies are not found, and "
        "which way a passage went is not known."
    )
    yield "Words are counted as foxing segments text; they are not the tokens of a model."
