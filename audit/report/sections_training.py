"""Sections about training: what a model knows, what curricula would keep, what a trial found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit.formats import count, percent
from audit.report.blocks import (
    Block,
    Cell,
    Chart,
    Fold,
    Paragraph,
    Section,
    Series,
    StackPlot,
    Table,
    Tone,
    XYPlot,
)
from audit.report.content import Absent, Report
from audit.report.figures import amount, axis_of, between, dash, named, share_of
from audit.report.visible import one_line

if TYPE_CHECKING:
    from audit.report.content_training import Knowledge, Outcome, Outcomes, TrialChange, Trials

__all__ = ["curricula_section", "knowledge_section", "trial_section"]

_NAME = 60
_CHARTED = 12
_ALPHA = 0.05


def knowledge_section(report: Report) -> Section:
    """SliCK categories as bars, and the unknown share of plain text."""
    title = "What a model knows of it (SliCK)"
    if isinstance(report.knowledge, Absent):
        return Section("knowledge", title, (Paragraph(report.knowledge.absent, Tone.ABSENT),))
    found = report.knowledge
    blocks: list[Block] = []
    if found.sources:
        blocks += [
            Paragraph(
                "Facts that a model does not know are learned slowly, and once they are, it makes up more than before "
                "(Gekhman et al. 2024, arXiv:2405.05904). Categories are for the model that was probed."
            ),
            _categories(found),
        ]
    if found.unknown is not None:
        asked = found.unknown
        blocks.append(
            Paragraph(
                f"Of {asked.items:,} facts asked in plain text, the model does not know {percent(asked.share)} "
                f"(95 % interval {between(asked.interval)})."
            )
        )
    return Section("knowledge", title, tuple(blocks))


def _categories(found: Knowledge) -> Chart:
    rows = [(named(source), counts, sum(counts)) for source, counts in found.sources.items() if sum(counts)]
    if total := sum(found.corrected):
        rows.insert(1, ("corrected for chance", found.corrected, total))
    return Chart(
        title="SliCK categories",
        description=f"Share of rows in each of {', '.join(found.categories)}: the whole corpus first, then sources.",
        plot=StackPlot(
            found.categories, tuple((name, tuple(n / total for n in counts)) for name, counts, total in rows[:_CHARTED])
        ),
        table=Table(
            "Rows by SliCK category",
            ("source", *(f"{category}#" for category in found.categories)),
            tuple(
                (Cell(one_line(name, _NAME)), *(Cell(f"{n:,} ({percent(n / total)})") for n in counts))
                for name, counts, total in rows
            ),
        ),
    )


def curricula_section(report: Report) -> Section:
    """What each curriculum would keep."""
    title = "What each curriculum would keep"
    if isinstance(report.outcomes, Absent):
        return Section("curricula", title, (Paragraph(report.outcomes.absent, Tone.ABSENT),))
    found = report.outcomes
    known = [one for one in found.outcomes if one.absent is None]
    absent = [one for one in found.outcomes if one.absent is not None]
    blocks: list[Block] = []
    if known:
        blocks += [
            Paragraph(
                "Each by itself, with its own settings, before and after; nothing was written. "
                f"Words: {_counted(found)}. Flagged: rows that FX101 hits, of those with a score. "
                "MTLD: words before they repeat, of a document; fewer is less varied. A curriculum that only orders "
                "keeps everything."
            ),
            _outcomes(known),
        ]
    if absent:
        summary = f"Cannot be carried out on these findings: {len(absent)}, and why"
        blocks.append(Fold(summary, (_refused(absent),)))
    return Section("curricula", title, tuple(blocks))


def _counted(found: Outcomes) -> str:
    return "as foxing segments text" if found.count == "document.words" else f"the column {found.count}"


def _outcomes(known: list[Outcome]) -> Table:
    return Table(
        "What curricula would make of the corpus",
        ("curriculum", "rows kept#", "rows out#", "words out#", "flagged#", "MTLD#", "order", "dropped by"),
        tuple(_outcome(one) for one in known),
    )


def _outcome(one: Outcome) -> tuple[Cell, ...]:
    words = "–" if one.words is None or one.words_out is None else amount(one.words_out)
    if one.words and one.words_out is not None:
        ratio = one.words_out / one.words
        words += f" ({percent(ratio) if ratio <= 1 else f'{100 * ratio:.0f} %'})"
    dropped = ", ".join(f"{reason} {rows:,}" for reason, rows in (one.dropped or {}).items())
    kept = percent(one.kept / one.rows) if one.rows else "–"
    return (
        Cell(one_line(one.name, _NAME)),
        Cell(f"{one.kept:,} ({kept})"),
        Cell(f"{one.out:,}"),
        Cell(words),
        Cell(f"{share_of(one.flagged)} → {share_of(one.flagged_out)}"),
        Cell(f"{dash(one.mtld, '.0f')} → {dash(one.mtld_out, '.0f')}"),
        Cell("as it was" if one.in_order else "new"),
        Cell(one.refusal or dropped or "nothing", Tone.BAD if one.refusal else Tone.PLAIN),
    )


def _refused(absent: list[Outcome]) -> Table:
    return Table(
        "What cannot be carried out on these findings, and what it would need",
        ("curriculum", "why"),
        tuple((Cell(one_line(one.name, _NAME)), Cell(one_line(one.absent or ""))) for one in absent),
    )


def trial_section(report: Report) -> Section:
    """Learning curves, and differences between arms."""
    title = "What a trial found"
    if isinstance(report.trial, Absent):
        return Section("trial", title, (Paragraph(report.trial.absent, Tone.ABSENT),))
    found = report.trial
    lead = Paragraph(
        f"Every arm was trained on {found.tokens:,} tokens with {count(found.seeds, 'seed')} (trial {found.digest}). "
        "Differences are against the first arm; p values are after Holm."
    )
    return Section("trial", title, (lead, *_curves(found), _changes(found), Fold("Every arm", (_arms(found),))))


def _curves(found: Trials) -> Iterator[Block]:
    if not found.curves:
        yield Paragraph("The folder holds no training losses, so there are no curves.", Tone.ABSENT)
        return
    highest = max(max(curve.high) for curve in found.curves)
    lowest = min(min(curve.low) for curve in found.curves)
    end = max(curve.tokens[-1] for curve in found.curves)
    yield Chart(
        title="Learning curves",
        description="Training loss by tokens, one line an arm; the band is the range over seeds. "
        + "; ".join(f"{curve.arm} ends at {curve.loss[-1]:.3f}" for curve in found.curves)
        + ".",
        plot=XYPlot(
            x=axis_of("tokens", 0.0, end),
            y=axis_of("training loss (nats a token)", lowest, highest),
            series=tuple(
                Series(
                    curve.arm, curve.tokens, curve.loss, curve.low, curve.high, colour=(0, 2, 1, 3)[at % 4], dash=at % 4
                )
                for at, curve in enumerate(found.curves)
            ),
        ),
        table=Table(
            "Training loss at the end",
            ("arm", "loss#", "over seeds"),
            tuple(
                (
                    Cell(one_line(curve.arm, _NAME)),
                    Cell(f"{curve.loss[-1]:.4f}"),
                    Cell(f"{curve.low[-1]:.4f} to {curve.high[-1]:.4f}"),
                )
                for curve in found.curves
            ),
        ),
    )


def _changes(found: Trials) -> Table:
    return Table(
        "Differences to the first arm",
        ("arm and test", "metric", "difference#", "95 % interval", "p, corrected#", "verdict"),
        tuple(
            (
                Cell(one_line(one.name, _NAME)),
                Cell(one_line(one.metric, _NAME)),
                Cell(dash(one.difference, "+.4g")),
                Cell("–" if one.low is None or one.high is None else f"{one.low:+.3g} to {one.high:+.3g}"),
                Cell(dash(one.p_corrected, ".3g")),
                _verdict(one),
            )
            for one in found.changes
        ),
    )


def _verdict(one: TrialChange) -> Cell:
    if one.p_corrected is None or one.difference is None:
        return Cell("not told apart", Tone.NOTE)
    if one.p_corrected >= _ALPHA:
        return Cell("not told apart", Tone.NOTE)
    better = (one.difference < 0) == (one.metric == "loss")
    return Cell("better" if better else "worse", Tone.GOOD if better else Tone.BAD)


def _arms(found: Trials) -> Table:
    return Table(
        "Means over seeds, with 95 % intervals",
        ("arm", "test", "metric", "mean#", "95 % interval"),
        tuple(
            (
                Cell(one_line(one.arm, _NAME)),
                Cell(one_line(one.test, _NAME)),
                Cell(one_line(one.metric, _NAME)),
                Cell(dash(one.mean, ".4g")),
                Cell("–" if one.low is None or one.high is None else f"{one.low:.4g} to {one.high:.4g}"),
            )
            for one in found.arms
        ),
    )
