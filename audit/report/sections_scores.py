"""Sections about scores: beside those of labelled text, and what is left when a threshold moves."""

from __future__ import annotations

import math

from audit.formats import count, percent
from audit.report.blocks import Axis, Bars, Cell, Chart, Mark, Paragraph, Section, Series, Table, Tone, XYPlot
from audit.report.content import Absent, Report
from audit.report.content_scores import Scores, Yield
from audit.report.figures import axis_of, between, share_axis, share_of

__all__ = ["scores_section", "yield_section"]

_SCORES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98, 0.998)


def scores_section(report: Report) -> Section:
    """The distribution of scores beside labelled text, with thresholds at stated false-positive rates."""
    title = "Scores beside human text"
    if isinstance(report.scores, Absent):
        return Section("scores", title, (Paragraph(report.scores.absent, Tone.ABSENT),))
    found = report.scores
    lead = Paragraph(
        f"Where the bars rise above the band, the corpus has scores that people's text rarely has. The band is "
        f"the middle of {count(found.sources[0], 'labelled human source')}, the dashed line the mean of "
        f"{count(found.sources[1], 'labelled machine source')}. Dotted: thresholds at a false-positive rate (FPR)."
    )
    return Section("scores", title, (lead, _score_chart(found), _thresholds(found)))


def _score_chart(found: Scores) -> Chart:
    ticks = tuple((math.log(score / (1 - score)), f"{score:g}") for score in _SCORES)
    most = max((*found.corpus, *found.human_high, *found.machine))
    marks = tuple(
        Mark(math.log(one.score / (1 - one.score)), f"FPR {percent(one.rate)}")
        for one in found.thresholds
        if one.score is not None and 0 < one.score < 1
    )
    return Chart(
        title="Distribution of scores",
        description=(
            f"Scores of {count(found.n, 'document')} of the corpus as bars, of labelled human text as a line with a "
            "band, of labelled machine text as a dashed line; thresholds at stated false-positive rates stand upright."
        ),
        plot=XYPlot(
            x=Axis(
                "score (probability of machine text at even odds)",
                found.centres[0] - 0.5,
                found.centres[-1] + 0.5,
                ticks,
            ),
            y=share_axis("share of documents", most),
            series=(
                Series("human sources", found.centres, found.human, found.human_low, found.human_high, colour=1),
                Series("machine sources", found.centres, found.machine, colour=2, dash=1),
            ),
            bars=Bars("this corpus", found.centres, found.corpus),
            marks=marks,
        ),
        table=Table(
            "Share of documents by score",
            ("score", "corpus#", "human#", "human, 10 % to 90 % of sources", "machine#"),
            tuple(
                (
                    Cell(f"{1 / (1 + math.exp(-centre)):.3f}"),
                    Cell(percent(corpus)),
                    Cell(percent(human)),
                    Cell(f"{percent(low)} to {percent(high)}"),
                    Cell(percent(machine)),
                )
                for centre, corpus, human, low, high, machine in zip(
                    found.centres,
                    found.corpus,
                    found.human,
                    found.human_low,
                    found.human_high,
                    found.machine,
                    strict=True,
                )
            ),
        ),
    )


def _thresholds(found: Scores) -> Table:
    return Table(
        "Thresholds at stated false-positive rates",
        ("promised rate", "corpus flagged#", "labelled human text flagged#", "labelled machine text found#"),
        tuple(
            (
                Cell(f"p_human ≤ {one.rate:g}"),
                Cell(f"{percent(one.flagged / found.judged)} ({one.flagged:,})" if found.judged else "–"),
                Cell(f"{share_of(one.human)} of {one.human_n:,}"),
                Cell(f"{share_of(one.machine)} of {one.machine_n:,}"),
            )
            for one in found.thresholds
        ),
        "Labelled text was judged by models and tables that never saw its source.",
    )


def yield_section(report: Report) -> Section:
    """Words kept against contamination left, as the threshold moves."""
    title = "What a filter would keep"
    if isinstance(report.yield_curve, Absent):
        return Section("yield", title, (Paragraph(report.yield_curve.absent, Tone.ABSENT),))
    found = report.yield_curve
    lead = Paragraph(
        "Each point is a threshold: documents at or below that rate go. To the left more words go; lower is cleaner. "
        "What is left follows from the share, what is flagged and the false-positive rate, with their uncertainty."
    )
    return Section("yield", title, (lead, _yield_chart(found)))


def _yield_chart(found: Yield) -> Chart:
    points = found.points
    least = min(point.kept for point in points)
    series = Series(
        "machine-written among words kept, with 95 % interval",
        tuple(point.kept for point in points),
        tuple(point.left for point in points),
        tuple(point.interval.low for point in points),
        tuple(point.interval.high for point in points),
        dots=True,
    )
    last = points[-1]
    marked = {found.rate, 0.1}
    return Chart(
        title="Words kept against contamination left",
        description=(
            f"Without a filter {percent(points[0].left)} of words are machine-written; dropping all documents with "
            f"p_human up to {last.rate:g} keeps {percent(last.kept)} of words and leaves {percent(last.left)}."
        ),
        plot=XYPlot(
            x=axis_of("words kept", min(least, 0.99), 1.0, shares=True),
            y=share_axis("machine-written, of words kept", max(point.interval.high for point in points)),
            series=(series,),
            marks=tuple(
                Mark(point.kept, f"p_human ≤ {point.rate:g}" + (" (FX101)" if point.rate == found.rate else ""))
                for point in points
                if point.rate in marked
            ),
        ),
        table=Table(
            f"What is left of {found.words:,} words when documents at or below a rate go",
            ("drop p_human ≤", "words kept#", "machine-written left#", "95 % interval", "human words lost#"),
            tuple(
                (
                    Cell("nothing" if not point.rate else f"{point.rate:g}"),
                    Cell(percent(point.kept)),
                    Cell(percent(point.left)),
                    Cell(between(point.interval)),
                    Cell(percent(point.human_lost)),
                )
                for point in points
            ),
            "Human words lost: the measured false-positive rate of labelled human documents.",
        ),
    )
