"""What matters most in a report, a sentence each, with the section that says more."""

from __future__ import annotations

from collections.abc import Iterator

from audit.formats import count, percent
from audit.report.blocks import Tone
from audit.report.content import Absent, Report
from audit.report.figures import share_of
from audit.report.visible import one_line

__all__ = ["glance"]

_LEAST_DOCUMENTS = 30
_BETTER = 0.05
_NAME = 50
Item = tuple[str, str, Tone]


def glance(report: Report) -> tuple[Item, ...]:
    """Sentence, id of its section, and whether it is good news."""
    found = (
        _verdicts(report),
        _change(report),
        _worst_source(report),
        _filter(report),
        _copies(report),
        _variety(report),
        _form(report),
        _knowledge(report),
        _curricula(report),
        _trial(report),
    )
    return tuple(item for items in found for item in items)


def _verdicts(report: Report) -> Iterator[Item]:
    over = [rule for rule in report.rules if rule.verdict == "over"]
    if report.data.failed:
        yield (f"{count(len(report.data.failed), 'file')} could not be read.", "method", Tone.BAD)
    if over:
        names = ", ".join(f"{rule.id} {one_line(rule.name, _NAME)}" for rule in over)
        yield (f"Over budget: {names}.", "glance", Tone.BAD)
    else:
        judged = sum(rule.verdict == "within" for rule in report.rules)
        yield (f"Nothing is over budget; {count(judged, 'rule')} judged.", "glance", Tone.GOOD)


def _change(report: Report) -> Iterator[Item]:
    if isinstance(report.change, Absent):
        return
    moved = [one for one in report.change.rules if one.verdict.value in ("higher", "lower")]
    if not moved:
        yield ("Since the earlier audit no rule's share changed by more than chance.", "change", Tone.GOOD)
    for one in moved[:3]:
        tone = Tone.BAD if one.verdict.value == "higher" else Tone.GOOD
        points = f"{100 * (one.change or 0.0):+.2f} points"
        yield (f"{one.rule} {one_line(one.name, _NAME)} is {one.verdict.value} than before: {points}.", "change", tone)


def _worst_source(report: Report) -> Iterator[Item]:
    groups = [
        group for group in report.groups.get("source", ()) if group.interval is not None and group.n >= _LEAST_DOCUMENTS
    ]
    if len(groups) < 2:
        return
    worst = max(groups, key=lambda group: (group.interval.low if group.interval else 0.0, group.share or 0.0))
    if worst.interval is not None and worst.interval.low > report.headline.budget:
        interval = f"{percent(worst.interval.low)} to {percent(worst.interval.high)}"
        name = one_line(worst.name, _NAME)
        yield (f"Most machine-written: {name}, {share_of(worst.share)} ({interval}).", "groups", Tone.BAD)


def _filter(report: Report) -> Iterator[Item]:
    if isinstance(report.yield_curve, Absent):
        return
    curve = report.yield_curve
    point = next((point for point in curve.points if curve.rate is not None and point.rate == curve.rate), None)
    if point is not None:
        left = f"{percent(point.interval.low)} to {percent(point.interval.high)}"
        yield (
            f"Dropping what FX101 flags keeps {percent(point.kept)} of words, costs about {percent(point.human_lost)} "
            f"of human text and leaves {percent(point.left)} machine-written ({left}).",
            "yield",
            Tone.PLAIN,
        )


def _copies(report: Report) -> Iterator[Item]:
    by_id = {rule.id: rule for rule in report.rules}
    shares = [by_id[name].share or 0.0 for name in ("FX301", "FX302") if name in by_id and by_id[name].n]
    if shares:
        bad = any(by_id[name].verdict == "over" for name in ("FX301", "FX302") if name in by_id)
        tone = Tone.BAD if bad else Tone.PLAIN
        yield (f"Copies: {percent(sum(shares))} of rows repeat another one, exactly or nearly.", "cases", tone)
    leaked = by_id.get("FX303")
    if leaked is not None and leaked.n:
        tone = Tone.BAD if leaked.hits else Tone.GOOD
        yield (f"Benchmark passages: {leaked.hits:,} of {count(leaked.n, 'row')}.", "cases", tone)


def _variety(report: Report) -> Iterator[Item]:
    if isinstance(report.variety, Absent):
        return
    first = report.variety.measures[0]
    if first.below is not None:
        tone = Tone.BAD if first.below > 2 * _BETTER else Tone.GOOD
        yield (
            f"Diversity: {percent(first.below)} of documents have fewer different words than 95 % of the reference's "
            "(5 % would be expected).",
            "diversity",
            tone,
        )


def _form(report: Report) -> Iterator[Item]:
    if isinstance(report.uniformity, Absent):
        return
    share = report.uniformity.fits[0].share
    if share is not None:
        yield (
            f"Form: {percent(share)} of rows begin like one of the 100 most frequent templates.",
            "form",
            Tone.PLAIN,
        )


def _knowledge(report: Report) -> Iterator[Item]:
    if isinstance(report.knowledge, Absent):
        return
    total = report.knowledge.sources.get("", ())
    if total and sum(total):
        yield (
            f"Facts that the model does not know: {percent(total[-1] / sum(total))} of rows.",
            "knowledge",
            Tone.PLAIN,
        )


def _curricula(report: Report) -> Iterator[Item]:
    if isinstance(report.outcomes, Absent):
        return
    found = [one for one in report.outcomes.outcomes if one.absent is None and one.kept < one.rows]
    if found:
        kept = "; ".join(f"{one_line(one.name, _NAME)} {percent(one.kept / one.rows)}" for one in found[:3])
        yield (f"Rows that a curriculum would keep: {kept}.", "curricula", Tone.PLAIN)


def _trial(report: Report) -> Iterator[Item]:
    if isinstance(report.trial, Absent):
        return
    clear = [one for one in report.trial.changes if one.p_corrected is not None and one.p_corrected < _BETTER]
    said = (
        f"{count(len(clear), 'difference')} between arms more than chance" if clear else "no difference beyond chance"
    )
    yield (f"Trial: {said}, of {len(report.trial.changes):,} compared.", "trial", Tone.PLAIN)
