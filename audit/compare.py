"""Two audits against each other: what changed from one to the other, and whether that is more than chance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from math import sqrt

from audit.assessment import Assessment, Judged, Result
from audit.prevalence import Interval
from audit.signature import differing

__all__ = ["Change", "Comparison", "Difference", "compare", "difference"]


class Change(Enum):
    """How a share moved from the first audit to the second."""

    HIGHER = "higher"
    LOWER = "lower"
    NOT_TOLD_APART = "not told apart"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True)
class Difference:
    """One rule's share in both audits, of the whole corpus or of one source.

    Attributes:
        rule: id.
        name: of the rule.
        source: None for the whole corpus.
        before: share and its 95 % interval in the first audit; None where it has no estimate.
        after: likewise in the second.
        change: second minus first; None where either has no estimate.
        interval: 95 % interval of the change; None exactly when `change` is.
        verdict: whether the interval lies above 0, below it, or around it.
        exact: whether both shares count all that there is, so that the change has no sampling error.
    """

    rule: str
    name: str
    source: str | None
    before: tuple[float, Interval] | None
    after: tuple[float, Interval] | None
    change: float | None
    interval: Interval | None
    verdict: Change
    exact: bool = False


@dataclass(frozen=True)
class Comparison:
    """What changed between two audits.

    Attributes:
        rules: a difference for each rule that either judged, in rule order.
        sources: of sources that both have, the differences that are told apart, largest first.
        appeared: sources of the second audit alone.
        vanished: sources of the first alone.
        rows: rows of both corpora.
        signatures: of both.
        warnings: why the figures may not be comparable, in words.
    """

    rules: tuple[Difference, ...]
    sources: tuple[Difference, ...]
    appeared: tuple[str, ...]
    vanished: tuple[str, ...]
    rows: tuple[int, int]
    signatures: tuple[str, str]
    warnings: tuple[str, ...]


def difference(before: tuple[float, Interval], after: tuple[float, Interval]) -> tuple[float, Interval]:
    """Second minus first share, and its 95 % interval from theirs (MOVER; Zou and Donner 2008, Stat. Med. 27:1693).

    Holds for independent estimates. Two audits whose shares are corrected by the same error rates err alike, which
    makes the interval wider than it need be.
    """
    (p, i), (q, j) = before, after
    low = q - p - sqrt((q - j.low) ** 2 + (i.high - p) ** 2)
    high = q - p + sqrt((j.high - q) ** 2 + (p - i.low) ** 2)
    return q - p, Interval(max(-1.0, low), min(1.0, high))


def compare(before: Assessment, after: Assessment) -> Comparison:
    """Compare two assessments, rule by rule and source by source."""
    first, second = _by_id(before), _by_id(after)
    ids = list(dict.fromkeys([*second, *first]))
    shared = sorted(set(before.sources) & set(after.sources))
    rules = tuple(_rule(rule, first.get(rule), second.get(rule)) for rule in ids)
    moved = [one for rule in ids for one in _sources(rule, first.get(rule), second.get(rule), shared)]
    return Comparison(
        rules=rules,
        sources=tuple(sorted(moved, key=lambda one: -abs(one.change or 0.0))),
        appeared=tuple(sorted(set(after.sources) - set(before.sources))),
        vanished=tuple(sorted(set(before.sources) - set(after.sources))),
        rows=(before.total.rows, after.total.rows),
        signatures=(before.signature, after.signature),
        warnings=tuple(_warnings(before, after)),
    )


def _by_id(assessment: Assessment) -> Mapping[str, Result]:
    return {result.rule.id: result for result in assessment.results}


def _estimate(share: float | None, interval: Interval | None) -> tuple[float, Interval] | None:
    return None if share is None or interval is None else (share, interval)


def _rule(rule: str, first: Result | None, second: Result | None) -> Difference:
    named = second or first
    assert named is not None
    before = None if first is None else _estimate(first.share, first.interval)
    after = None if second is None else _estimate(second.share, second.interval)
    found = _difference(rule, named.rule.name, None, before, after)
    return replace(found, exact=found.change is not None and named.judged is Judged.SHARDS)


def _difference(
    rule: str,
    name: str,
    source: str | None,
    before: tuple[float, Interval] | None,
    after: tuple[float, Interval] | None,
) -> Difference:
    if before is None or after is None:
        return Difference(rule, name, source, before, after, None, None, Change.NOT_COMPARABLE)
    change, interval = difference(before, after)
    verdict = Change.HIGHER if interval.low > 0 else Change.LOWER if interval.high < 0 else Change.NOT_TOLD_APART
    return Difference(rule, name, source, before, after, change, interval, verdict)


def _sources(rule: str, first: Result | None, second: Result | None, shared: list[str]) -> list[Difference]:
    if first is None or second is None:
        return []
    one = {found.source: _estimate(found.share, found.interval) for found in first.sources}
    other = {found.source: _estimate(found.share, found.interval) for found in second.sources}
    found = [_difference(rule, second.rule.name, name, one.get(name), other.get(name)) for name in shared]
    return [each for each in found if each.verdict in (Change.HIGHER, Change.LOWER)]


def _warnings(before: Assessment, after: Assessment) -> list[str]:
    """What differs in how both were measured and judged, from their signatures."""
    return [
        f"{name}: " + ("is in one audit only" if one is None or other is None else f"{one} and {other}")
        for name, one, other in differing(before.signature, after.signature)
    ]
