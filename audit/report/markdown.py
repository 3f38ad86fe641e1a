"""A report as Markdown: sections as on the page, charts as tables, texts of the corpus in fences they cannot close."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from audit.report.blocks import Block, Cell, Chart, Fold, Listed, Paragraph, Spark, Strip, Table, Tone
from audit.report.content import Report
from audit.report.content_text import Document, Excerpt, PairText
from audit.report.figures import between, share_of
from audit.report.sections import sections_of
from audit.report.visible import one_line, visible
from audit.report.wording import headline_words, verdict

__all__ = ["escaped", "render_markdown", "table_lines"]

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!&$^@]|:(?=//))")
_LEADING = re.compile(r"^(\d*)([-+=.)])(?=\s|$)")
_BARS = " ▁▂▃▄▅▆▇█"


def escaped(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return _LEADING.sub(r"\1\\\2", _MARKUP.sub(r"\\\1", one_line(text)))


def render_markdown(report: Report) -> str:
    """The report as CommonMark with tables, without a final newline."""
    head = report.headline
    share = "no estimate" if head.share is None else share_of(head.share)
    interval = f"; 95 % interval {between(head.interval)}" if head.interval is not None else ""
    lines = [
        f"# {escaped(report.title)}",
        "",
        f"**{share}** {headline_words(head)}{interval}. Of {head.n:,} documents judged. "
        f"Verdict: **{verdict(head)[0]}**.",
    ]
    for section in sections_of(report):
        lines += ["", f"## {escaped(section.title)}"]
        for block in section.blocks:
            lines += _block(block)
    return "\n".join(lines)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield from ("", f"*{escaped(block.text)}*" if block.tone is Tone.ABSENT else escaped(block.text))
    elif isinstance(block, Listed):
        yield ""
        yield from (f"- {escaped(text)}" for text, _, _ in block.items)
    elif isinstance(block, Table):
        yield from table_lines(block)
    elif isinstance(block, Chart):
        yield from ("", escaped(block.description))
        yield from table_lines(block.table)
    elif isinstance(block, Fold):
        if not any(isinstance(one, Table) for one in block.blocks):
            yield from ("", f"**{escaped(block.summary)}**")
        for one in block.blocks:
            yield from _block(one)
    elif isinstance(block, PairText):
        yield from _pair(block)
    else:
        yield from _excerpt(block)


def table_lines(table: Table) -> Iterator[str]:
    """A table with its caption above and its note below."""
    yield from ("", f"**{escaped(table.caption)}**", "")
    yield _row([escaped(head.removesuffix("#")) for head in table.head])
    yield _row(["--:" if head.endswith("#") else ":--" for head in table.head])
    for row in table.rows:
        yield _row([_cell(cell) for cell in row])
    if table.note:
        yield from ("", escaped(table.note))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(cell: Cell) -> str:
    if isinstance(cell.drawn, Spark):
        return _bars(cell.drawn)
    assert cell.drawn is None or isinstance(cell.drawn, Strip)
    return escaped(cell.text)


def _bars(spark: Spark) -> str:
    most = max(spark.values, default=0.0) or 1.0
    return "".join(_BARS[min(8, -int(-8 * value // most))] for value in spark.values).replace(" ", "·")


def _pair(pair: PairText) -> Iterator[str]:
    yield from ("", escaped(pair.facts))
    for document in filter(None, (pair.left, pair.right)):
        yield from ("", f"{escaped(document.shard)} row {document.row}: {escaped(document.role)}")
        yield from _fenced(_marked(document))


def _marked(document: Document) -> str:
    """What a pair is about between arrows, since nothing can be bold in a fence."""
    return " ".join(f"»{text}«" if marked else text for text, marked in document.pieces)


def _excerpt(excerpt: Excerpt) -> Iterator[str]:
    yield from ("", f"{escaped(excerpt.shard)} row {excerpt.row}: {escaped(excerpt.facts)}")
    yield from _fenced(excerpt.text)


def _fenced(text: str) -> Iterator[str]:
    shown = visible(text)
    longest = max((len(run) for run in re.findall(r"`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    yield from ("", f"{fence}text", *shown.split("\n"), fence)
