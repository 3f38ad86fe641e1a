"""Sections about the share of machine-written text: what it is, every rule beside it, and where it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from audit.formats import count, percent
from audit.report.blocks import (
    Axis,
    Block,
    Cell,
    Chart,
    Interval,
    IntervalPlot,
    Listed,
    Mark,
    Paragraph,
    Section,
    Series,
    Spark,
    Table,
    Tone,
    XYPlot,
)
from audit.report.content import Group, Headline, Report, RuleLine
from audit.report.figures import between, interval_cells, share_axis, share_of, verdict_tone
from audit.report.glance import glance
from audit.report.visible import one_line

__all__ = ["glance_section", "groups_section"]

_MOST_GROUPS = 30
_MOST_NAMES = 5
_NAME = 60
_KEY = "Drawn: the interval from 0 to 100 % with the budget as a line; documents by score, likely human text left."
_KINDS = {"source": "source", "domain": "domain", "language": "language", "time": "month"}


def glance_section(report: Report) -> Section:
    """The headline share, what else matters most, and every rule with its verdict."""
    head = report.headline
    blocks: list[Block] = [Paragraph(head.meaning, Tone.LEAD)]
    blocks.append(Listed(glance(report)))
    if head.share is not None:
        blocks.append(_headline_chart(head))
        if head.reasons:
            blocks.append(Paragraph(f"About the interval: {'; '.join(head.reasons)}.", Tone.NOTE))
    blocks.append(_rules(report))
    return Section("glance", "In two minutes", tuple(blocks))


def _headline_chart(head: Headline) -> Chart:
    rows = [
        ("documents", head.share, head.interval, 0),
        ("words", head.words, head.words_interval, 0),
        *((one.method.partition(" (")[0], one.share, one.interval, 3) for one in head.opinions),
    ]
    return Chart(
        title="Share of machine-written text",
        description=f"{head.meaning} Other methods stand below it, the budget is a line.",
        plot=IntervalPlot(
            share_axis("share of machine-written text, with 95 % interval"),
            tuple(
                Interval(name, share, found.low if found else None, found.high if found else None, colour)
                for name, share, found, colour in rows
            ),
            (Mark(head.budget, f"budget {percent(head.budget)}"),),
        ),
        table=Table(
            f"Share of machine-written text by {head.method}, of {count(head.n, 'document')}, and by other methods",
            ("counted", "share#", "95 % interval"),
            tuple((Cell(name), Cell(share_of(share)), Cell(between(found))) for name, share, found, _ in rows),
        ),
    )


def _rules(report: Report) -> Table:
    judged = [rule for rule in report.rules if rule.verdict != "not applicable"]
    absent = [f"{rule.id} ({rule.reason})" for rule in report.rules if rule.verdict == "not applicable"]
    return Table(
        "Every rule that was judged",
        ("rule", "verdict", "budget#", "found#", "95 % interval", "hits of n#"),
        tuple(
            (
                Cell(f"{rule.id} {one_line(rule.name, _NAME)}"),
                Cell(rule.verdict, verdict_tone(rule.verdict)),
                Cell(percent(rule.budget)),
                *interval_cells(
                    rule.share, rule.interval, limit=rule.budget, scale=_scale(rule), is_exact=rule.is_exact
                ),
                Cell(f"{rule.hits:,} of {count(rule.n, rule.judged)}"),
            )
            for rule in judged
        ),
        f"Not judged: {'; '.join(absent)}." if absent else "",
        "Drawn: the interval, on a scale of its own for each rule; the upright line is the budget.",
    )


def _scale(rule: RuleLine) -> float:
    """A scale of its own for each rule, on which the budget and the whole interval can be seen."""
    high = rule.interval.high if rule.interval is not None else 0.0
    return min(1.0, max(1.1 * high, 2 * rule.budget)) or 1.0


def groups_section(report: Report) -> Section:
    """The share by source, domain, language and month."""
    blocks: list[Block] = []
    for kind, word in _KINDS.items():
        if kind in report.groups:
            if kind == "source" and (unjudged := _unjudged(report)):
                blocks.append(Paragraph(f"Without a document that could be judged: {unjudged}.", Tone.NOTE))
            blocks += _grouping(kind, word, report.groups[kind], report.headline.budget)
        else:
            blocks.append(Paragraph(f"By {word}: {report.missing_groups[kind]}", Tone.ABSENT))
    lead = Paragraph(
        "Those with most documents come first. An interval from 0 to 100 % says that the scores leave every share "
        "possible."
    )
    return Section("groups", "Where it is", (lead, *blocks))


def _unjudged(report: Report) -> str:
    """The sources that are not in the table, by name where they are few; empty where all are in it."""
    known = {group.name for group in report.groups["source"]}
    machine = [rule for rule in report.rules if rule.id == "FX101"]
    names = sorted({line.source for rule in machine for line in rule.sources} - known)
    missing = max(0, report.data.sources - len(known))
    if not missing or len(names) != missing:
        return count(missing, "source") if missing else ""
    more = f" and {missing - _MOST_NAMES:,} more" if missing > _MOST_NAMES else ""
    return ", ".join(one_line(name, _NAME) for name in names[:_MOST_NAMES]) + more


def _grouping(kind: str, word: str, groups: Sequence[Group], budget: float) -> Iterator[Block]:
    if kind == "time" and (chart := _months(groups)) is not None:
        yield chart
    shown = groups[-_MOST_GROUPS:] if kind == "time" else groups[:_MOST_GROUPS]
    rest, what = len(groups) - len(shown), "earlier month" if kind == "time" else "smaller group"
    dated = any(len(group.trend) > 1 for group in shown) and kind != "time"
    head = (word, "documents#", "machine-written#", "95 % interval", "flagged#", "scores, human to machine")
    yield Table(
        f"Share of machine-written documents by {word}",
        (*head, "flagged by month") if dated else head,
        tuple(_group(group, dated, budget) for group in shown),
        f"{count(rest, what)} more in the JSON of this report." if rest else "",
        _KEY if kind == "source" else "",
    )


def _group(group: Group, dated: bool, budget: float) -> tuple[Cell, ...]:
    scored = sum(group.scores)
    high = sum(group.scores[len(group.scores) // 2 - 1 :])
    label = f"{count(scored, 'document')}, {percent(high / scored)} with a score of 0.5 or more" if scored else "none"
    cells = (
        Cell(one_line(group.name, _NAME)),
        Cell(f"{group.n:,}"),
        *interval_cells(group.share, group.interval, limit=budget),
        Cell(f"{group.flagged:,}"),
        Cell("", drawn=Spark(tuple(float(value) for value in group.scores), label)),
    )
    return (*cells, _trend(group.trend)) if dated else cells


def _trend(trend: Mapping[str, float]) -> Cell:
    if len(trend) < 2:
        return Cell("one month", Tone.NOTE)
    months = list(trend)
    label = f"from {percent(trend[months[0]])} in {months[0]} to {percent(trend[months[-1]])} in {months[-1]}"
    return Cell("", drawn=Spark(tuple(trend.values()), label, line=True))


def _months(groups: Sequence[Group]) -> Chart | None:
    known = [group for group in groups if group.interval is not None and group.name[:4].isdigit()]
    if len(known) < 2:
        return None
    places = tuple(float(at) for at in range(len(known)))
    step = max(1, math.ceil(len(known) / 8))
    ticks = tuple((at, group.name) for at, group in zip(places, known, strict=True) if at % step == 0)
    series = Series(
        "machine-written documents, with 95 % interval",
        places,
        tuple(group.share or 0.0 for group in known),
        tuple(group.interval.low for group in known if group.interval),
        tuple(group.interval.high for group in known if group.interval),
        dots=True,
    )
    most = max(series.high)
    return Chart(
        title="Share of machine-written documents by month",
        description=f"From {known[0].name} to {known[-1].name}, each month's estimate with its interval as a band.",
        plot=XYPlot(Axis("month", -0.2, places[-1] + 0.2, ticks), share_axis("share", most), (series,)),
        table=Table(
            "Share of machine-written documents by month",
            ("month", "share#", "95 % interval", "documents#"),
            tuple(
                (
                    Cell(one_line(group.name, _NAME)),
                    Cell(share_of(group.share)),
                    Cell(between(group.interval)),
                    Cell(f"{group.n:,}"),
                )
                for group in known
            ),
        ),
    )
