"""All sections of a report in the order in which they are read: what follows for the reader first, how it came last."""

from __future__ import annotations

from collections.abc import Iterator

from audit.compare import Comparison, Difference
from audit.formats import count
from audit.report.blocks import Block, Cell, Fold, Paragraph, Section, Table, Tone
from audit.report.content import Absent, Report
from audit.report.figures import share_of, signed
from audit.report.sections_scores import scores_section, yield_section
from audit.report.sections_shares import glance_section, groups_section
from audit.report.sections_text import cases_section, diversity_section, form_section
from audit.report.sections_training import curricula_section, knowledge_section, trial_section
from audit.report.visible import one_line

__all__ = ["sections_of"]

_NAME = 60
_MOST_SOURCES = 30
_MOST_FILES = 30
_TONES = {"higher": Tone.BAD, "lower": Tone.GOOD}


def sections_of(report: Report) -> tuple[Section, ...]:
    """Every section; one without data says why."""
    change = change_section(report)
    is_compared = not isinstance(report.change, Absent)
    return (
        glance_section(report),
        *([change] if is_compared else []),
        groups_section(report),
        scores_section(report),
        yield_section(report),
        diversity_section(report),
        cases_section(report),
        form_section(report),
        knowledge_section(report),
        curricula_section(report),
        trial_section(report),
        *([] if is_compared else [change]),
        method_section(report),
    )


def change_section(report: Report) -> Section:
    """What changed since an earlier audit, with intervals."""
    title = "What changed"
    if isinstance(report.change, Absent):
        return Section("change", title, (Paragraph(report.change.absent, Tone.ABSENT),))
    found = report.change
    blocks: list[Block] = [
        Paragraph(
            f"Against an audit of {found.rows[0]:,} rows (now {found.rows[1]:,}). A change counts where its 95 % "
            "interval leaves 0 out."
        )
    ]
    known = [one for one in found.rules if one.before is not None or one.after is not None]
    blocks.append(_differences("Change of each rule's share, in points", "rule", known))
    if found.sources:
        shown = found.sources[:_MOST_SOURCES]
        blocks.append(_differences("Sources that changed, most first", "rule and source", shown))
    blocks += _moved(found)
    return Section("change", title, tuple(blocks))


def _differences(caption: str, what: str, found: list[Difference] | tuple[Difference, ...]) -> Table:
    return Table(
        caption,
        (what, "before#", "now#", "change#", "95 % interval", "verdict"),
        tuple(
            (
                Cell(f"{one.rule} {one_line(one.source or one.name, _NAME)}"),
                Cell(share_of(one.before[0] if one.before else None)),
                Cell(share_of(one.after[0] if one.after else None)),
                Cell(signed(one.change)),
                Cell("exact" if one.exact else _ends(one)),
                Cell(one.verdict.value, _TONES.get(one.verdict.value, Tone.NOTE)),
            )
            for one in found
        ),
    )


def _ends(found: Difference) -> str:
    return f"{signed(found.interval.low)} to {signed(found.interval.high)}" if found.interval else "–"


def _moved(found: Comparison) -> Iterator[Block]:
    for what, names in (("New sources", found.appeared), ("Sources that are gone", found.vanished)):
        if names:
            more = f", and {len(names) - 10:,} more" if len(names) > 10 else ""
            yield Paragraph(f"{what}: {', '.join(one_line(name, _NAME) for name in names[:10])}{more}.")
    if found.warnings:
        yield Paragraph(
            f"Not measured or judged alike, so part of a change may come from that: {'; '.join(found.warnings)}.",
            Tone.NOTE,
        )
    yield Paragraph(f"Signature of the earlier audit: {found.signatures[0]}", Tone.NOTE)


def method_section(report: Report) -> Section:
    """Signature, data, versions, caveats."""
    data = report.data
    facts = [
        ("signature", report.signature),
        ("written by", f"foxing {report.foxing}"),
        ("measured by", ", ".join(data.signals)),
        ("rows", f"{data.rows:,} in {count(data.shards, 'file')} and {count(data.sources, 'source')}"),
        ("words", f"{data.words:,} in {data.bytes / 1e6:,.1f} MB of text" if data.bytes else "not counted"),
        ("without a text", f"{data.nulls:,}"),
        ("a signal failed", f"{data.errors:,}"),
        ("not valid UTF-8", f"{data.invalid_utf8:,}, measured all the same"),
        ("too short or foreign for the detector", f"{data.abstained:,}"),
        ("unlike its training texts", f"{data.out_of_support:,}"),
    ]
    blocks: list[Block] = [
        *(Paragraph(text) for text in report.caveats),
        Table("How these figures came about", ("what", "value"), tuple((Cell(a), Cell(b)) for a, b in facts)),
    ]
    if data.failed:
        unread = tuple((Cell(str(at)), Cell(one_line(text), Tone.BAD)) for at, text in enumerate(data.failed, 1))
        blocks.append(Table("Files that could not be read", ("number", "why"), unread))
    shown = data.files[:_MOST_FILES]
    rest = len(data.files) - len(shown) + data.more_files
    files = Table(
        "Files, largest first",
        ("file", "rows#", "MB#", "digest"),
        tuple(
            (Cell(one_line(file.uri)), Cell(f"{file.rows:,}"), Cell(f"{file.size_bytes / 1e6:,.1f}"), Cell(file.digest))
            for file in shown
        ),
        f"{count(rest, 'file')} more." if rest > 0 else "",
    )
    return Section("method", "Signature, data and caveats", (*blocks, Fold("Files", (files,))))
