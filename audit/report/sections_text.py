"""Sections about text: diversity beside a reference, the worst cases to be read, and form."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from audit.formats import count, percent
from audit.report.blocks import Block, Cell, Chart, Fold, Paragraph, Section, StripPlot, Table, Tone
from audit.report.content import Absent, Report, RuleLine
from audit.report.figures import dash, interval_cells, named, share_of
from audit.report.visible import one_line

if TYPE_CHECKING:
    from audit.report.content_text import Fit, Measure, Shown, Uniformity, Variety

__all__ = ["cases_section", "diversity_section", "form_section"]

_NAME = 60
_SHOWN_SOURCES = 15
_EXAMPLE = 160
_OPEN = ("FX302", "FX303")
_COPIES = ("FX301", "FX302", "FX303")


def diversity_section(report: Report) -> Section:
    """Quantiles of documents beside those of a reference, and the corpus as a whole."""
    title = "Diversity beside human text"
    if isinstance(report.variety, Absent):
        return Section("diversity", title, (Paragraph(report.variety.absent, Tone.ABSENT),))
    found = report.variety
    blocks: list[Block] = [
        Paragraph(
            "Each measure on a scale of its own: the line runs from the 5 % to the 95 % point of documents, the thick "
            f"part holds the middle half, the dot is the median. Reference: {found.reference}, mixed by language as "
            f"the corpus is ({count(found.reference_n, 'document')})."
        ),
        _variety_chart(found),
    ]
    if found.left_out:
        blocks.append(
            Paragraph(
                f"In languages that the reference has not got, and so beside nothing: "
                f"{count(found.left_out, 'document')}.",
                Tone.NOTE,
            )
        )
    if any(len(measure.sources) > 1 for measure in found.measures):
        blocks.append(Fold("Medians by source", (_medians(found),)))
    blocks += _whole(found)
    return Section("diversity", title, tuple(blocks))


def _variety_chart(found: Variety) -> Chart:
    rows = tuple(
        (measure.title, measure.corpus or (), measure.reference or (), _beyond(measure)) for measure in found.measures
    )
    return Chart(
        title="Lexical diversity of documents",
        description=(
            "Six measures of diversity: the 5, 25, 50, 75 and 95 % points of the corpus above those of the reference."
        ),
        plot=StripPlot(("this corpus", "human reference"), rows),
        table=Table(
            "Lexical diversity: median, and 5 % to 95 % of documents",
            ("measure", "corpus#", "5 % to 95 %", "reference#", "5 % to 95 %", "documents beyond the reference's 5 %#"),
            tuple(
                (
                    Cell(measure.title),
                    Cell(dash(measure.corpus[2] if measure.corpus else None)),
                    Cell(_ends(measure.corpus)),
                    Cell(dash(measure.reference[2] if measure.reference else None)),
                    Cell(_ends(measure.reference)),
                    Cell(share_of(measure.below)),
                )
                for measure in found.measures
            ),
            "Of the reference itself 5 % are beyond. Yule's K and the most frequent two words are bad when high, all "
            "others when low; low spread of sentence lengths is a mark of some models.",
        ),
    )


def _beyond(measure: Measure) -> str:
    return "" if measure.below is None else f"{percent(measure.below)} beyond (5 % expected)"


def _ends(values: tuple[float, ...] | None) -> str:
    return "–" if values is None else f"{values[0]:.3g} to {values[-1]:.3g}"


def _medians(found: Variety) -> Table:
    sources = list(dict.fromkeys(source for measure in found.measures for source in measure.sources))
    return Table(
        "Median of documents by source",
        ("source", *(f"{measure.name}#" for measure in found.measures)),
        tuple(
            (
                Cell(one_line(source, _NAME)),
                *(Cell(dash(measure.sources.get(source))) for measure in found.measures),
            )
            for source in sources
        ),
    )


def _whole(found: Variety) -> Iterator[Block]:
    if found.heaps is not None:
        yield Paragraph(
            f"Over the whole corpus new words appear as words^{found.heaps:.2f} (Heaps' law): 1 is all new, 0 none."
        )
    if found.distinct and found.equal_words is not None:
        yield Table(
            f"Share of different pairs of words among {found.equal_words:,} words of each source",
            ("source", "share#"),
            tuple((Cell(one_line(source, _NAME)), Cell(percent(share))) for source, share in found.distinct.items()),
        )
    if found.phrases:
        yield Fold(
            "Phrases that most documents share",
            (
                Table(
                    "Five words in a row that most documents share",
                    ("phrase", "documents#"),
                    tuple(
                        (Cell(one_line(text, _EXAMPLE)), Cell(percent(share))) for text, share in found.phrases.items()
                    ),
                ),
            ),
        )


def cases_section(report: Report) -> Section:
    """Duplicates and leakage by source, and the worst cases with their texts."""
    lead = Paragraph(
        "Read these before acting on a number: tables, quotations and forms that are wanted look like faults to a rule."
    )
    blocks: list[Block] = [lead, *_copies(report)]
    for shown in report.examples:
        blocks += _cases(shown)
    return Section("cases", "Duplicates, leakage and cases to read", tuple(blocks))


def _copies(report: Report) -> Iterator[Block]:
    rules = [rule for rule in report.rules if rule.id in _COPIES and rule.n]
    if not rules:
        yield Paragraph(
            "Neither duplicates nor leakage were looked for. Scan with near_dup, or --benchmarks.", Tone.ABSENT
        )
        return
    sources = list(dict.fromkeys(line.source for rule in rules for line in rule.sources if line.hits))
    lines = {rule.id: {line.source: line for line in rule.sources} for rule in rules}
    shown = sources[:_SHOWN_SOURCES]

    def cell(rule: RuleLine, source: str) -> Cell:
        line = lines[rule.id].get(source)
        return Cell("–" if line is None else f"{share_of(line.share)} ({line.hits:,})")

    yield Table(
        "Duplicates and leaked passages by source: share of rows, and rows",
        ("source", *(f"{rule.id} {one_line(rule.name, _NAME)}#" for rule in rules)),
        (
            (Cell("all sources"), *(Cell(f"{share_of(rule.share)} ({rule.hits:,})") for rule in rules)),
            *((Cell(one_line(source, _NAME)), *(cell(rule, source) for rule in rules)) for source in shown),
        ),
        f"{count(len(sources) - len(shown), 'source')} more in the JSON of this report."
        if len(sources) > len(shown)
        else "",
    )


def _cases(shown: Shown) -> Iterator[Block]:
    name = f"{shown.rule} {one_line(shown.name, _NAME)}"
    if shown.reason:
        yield Paragraph(f"{name}: {shown.reason}", Tone.ABSENT)
        return
    blocks: tuple[Block, ...] = (*shown.pairs, *shown.excerpts)
    yield Fold(f"{name}: {count(len(blocks), 'case')}, worst first", blocks, shown.rule in _OPEN)


def form_section(report: Report) -> Section:
    """How uniform sources are, and the skeletons that recur."""
    title = "Templates and form"
    if isinstance(report.uniformity, Absent):
        return Section("form", title, (Paragraph(report.uniformity.absent, Tone.ABSENT),))
    found = report.uniformity
    lead = Paragraph(
        "A skeleton is what is left of a text's beginning when what it is about is masked. The more rows share a few "
        "skeletons, the more a model learns the form instead of the matter."
    )
    blocks: list[Block] = [lead, _fits(found)]
    if found.skeletons:
        blocks.append(_skeletons(found))
    if found.unread:
        blocks.append(Paragraph(f"Skeletons are not shown: {found.unread}", Tone.ABSENT))
    elif not found.skeletons:
        blocks.append(Paragraph("No two rows share a skeleton.", Tone.ABSENT))
    return Section("form", title, tuple(blocks))


def _fits(found: Uniformity) -> Table:
    head = (
        "source",
        "rows#",
        "in top 100#",
        "95 % interval",
        "entropy#",
        "effective skeletons#",
        "most common structure",
    )
    is_compared = any(fit.structure_distance is not None for fit in found.fits)
    return Table(
        "Rows of 50 words or more in the 100 most frequent skeletons of their source",
        (*head, "token distance#", "structure distance#") if is_compared else head,
        tuple(
            (
                Cell(named(one_line(fit.source, _NAME))),
                Cell(f"{fit.rows:,}"),
                *interval_cells(fit.share, fit.interval),
                Cell("–" if fit.bits is None else f"{fit.bits:.1f} bits"),
                Cell("–" if fit.effective is None else f"{fit.effective:.0f} of {fit.compared}"),
                Cell(_structure(dict(fit.structures))),
                *(_distances(fit) if is_compared else ()),
            )
            for fit in found.fits
        ),
    )


def _distances(fit: Fit) -> tuple[Cell, Cell]:
    return Cell(dash(fit.token_distance, ".2f")), Cell(dash(fit.structure_distance, ".2f"))


def _structure(structures: dict[str, float]) -> str:
    if not structures or not max(structures.values()):
        return "none"
    name = max(structures, key=lambda one: structures[one])
    return f"{name}, {percent(structures[name])}"


def _skeletons(found: Uniformity) -> Table:
    return Table(
        "Skeletons that recur most (_ stands for content)",
        ("source", "rows#", "share#", "skeleton", "for example"),
        tuple(
            (
                Cell(named(one_line(each.source, _NAME))),
                Cell(f"{each.rows:,}"),
                Cell(percent(each.share)),
                Cell(one_line(each.text, _EXAMPLE)),
                Cell(one_line(each.example, _EXAMPLE)),
            )
            for each in sorted(found.skeletons, key=lambda one: -one.rows)
        ),
    )
