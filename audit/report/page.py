"""A report as one page of HTML: no script, nothing fetched, everything escaped, light and dark, on screen and paper.

The page says to the browser what it may do: a content security policy allows its own style sheet, by its hash, and
nothing else. So even text that slipped through as markup could neither run nor call home.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from importlib import resources
from itertools import count

from audit.formats import count as counted
from audit.report.blocks import Block, Cell, Chart, Fold, Listed, Paragraph, Section, Spark, Table, Tone
from audit.report.charts import draw, draw_spark, draw_strip
from audit.report.content import Headline, Report
from audit.report.content_text import Document, Excerpt, PairText
from audit.report.figures import between, share_of
from audit.report.markup import Element, Node, el, written
from audit.report.sections import sections_of
from audit.report.visible import one_line
from audit.report.wording import headline_words, verdict

__all__ = ["render_page"]

_CLASSES = {Tone.GOOD: "good", Tone.BAD: "bad", Tone.UNSURE: "unsure", Tone.NOTE: "quiet", Tone.ABSENT: "quiet"}
_WORDY = 32


def render_page(report: Report) -> str:
    """The page, whole: UTF-8 text that works from a file."""
    style = resources.files("audit.report").joinpath("page.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    sections = sections_of(report)
    title = one_line(report.title)
    head = [
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="generator", content=f"foxing {report.foxing}"),
        el("title", f"{title}: foxing report"),
    ]
    pages = _Page()
    body = el(
        "body",
        el("a", "Skip to the report", href="#report", class_="skip"),
        _header(report, title),
        _contents(sections),
        el("main", *(pages.section(section) for section in sections), id="report", tabindex="-1"),
        _footer(report),
    )
    # The style sheet is ours, and would be escaped as an element.
    opening = "".join(written(one) for one in head)
    return f'<!doctype html>\n<html lang="en"><head>{opening}<style>{style}</style></head>\n{written(body)}</html>\n'


def _header(report: Report, title: str) -> Element:
    head, data = report.headline, report.data
    size = f"{data.rows:,} rows, {data.words:,} words" if data.words else f"{data.rows:,} rows"
    big = "no estimate" if head.share is None else share_of(head.share)
    interval = f"95 % interval {between(head.interval)}" if head.interval is not None else "nothing could be estimated"
    return el(
        "header",
        el("h1", title),
        el("p", f"Audit of {size} in {counted(data.shards, 'file')} by foxing {report.foxing}", class_="kicker"),
        el(
            "div",
            el("span", _spoken(big), class_="big"),
            el(
                "div",
                el("p", el("strong", headline_words(head)), _spoken(f"; {interval}.")),
                el("p", f"Of {counted(head.n, 'document')} judged. Verdict: ", _verdict(head), "."),
                class_="words",
            ),
            class_="headline",
        ),
    )


def _verdict(head: Headline) -> Element:
    text, tone = verdict(head)
    return el("strong", text, class_=_CLASSES[tone])


def _contents(sections: tuple[Section, ...]) -> Element:
    items = [el("li", el("a", section.title, href=f"#{section.id}")) for section in sections]
    return el("nav", el("ul", *items), aria_label="Sections")


def _footer(report: Report) -> Element:
    return el(
        "footer",
        el("p", "Rates are about corpora, at stated error rates. A score is never a verdict about one author."),
        el("p", "Signature ", el("code", report.signature)),
    )


class _Page:
    """Numbers the charts of one page."""

    def __init__(self) -> None:
        self._number = count(1)

    def section(self, section: Section) -> Element:
        blocks = [node for block in section.blocks for node in self._block(block)]
        heading = el("h2", section.title, id=f"{section.id}-title")
        return el("section", heading, *blocks, id=section.id, aria_labelledby=f"{section.id}-title")

    def _block(self, block: Block) -> Iterator[Element]:
        if isinstance(block, Paragraph):
            classes = {Tone.LEAD: "lead", Tone.NOTE: "note", Tone.ABSENT: "absent"}
            yield el("p", _spoken(block.text), class_=classes.get(block.tone))
        elif isinstance(block, Listed):
            yield el("ul", *(_item(*item) for item in block.items), class_="glance")
        elif isinstance(block, Table):
            yield from _table(block)
        elif isinstance(block, Chart):
            yield self._chart(block)
        elif isinstance(block, Fold):
            inner = [node for one in block.blocks for node in self._block(one)]
            yield el("details", el("summary", _spoken(block.summary)), *inner, open=block.is_open)
        elif isinstance(block, PairText):
            yield _pair(block)
        else:
            yield _excerpt(block)

    def _chart(self, chart: Chart) -> Element:
        drawn = draw(chart, f"chart-{next(self._number)}")
        return el(
            "figure",
            el("figcaption", chart.title),
            el("div", drawn, class_="scroll", tabindex="0", role="group", aria_label=f"Chart: {chart.title}"),
            el("details", el("summary", f"The figures: {chart.title}"), *_table(chart.table)),
        )


def _spoken(text: str) -> str:
    """A sentence of ours in which a number stays with its sign."""
    return text.replace(" %", "\u00a0%")


def _item(text: str, target: str, tone: Tone) -> Element:
    link = el("a", "more", href=f"#{target}", aria_label=f"more: {text[:60]}") if target != "glance" else None
    return el("li", _spoken(text), " " if link is not None else None, link, class_=_CLASSES.get(tone))


def _table(table: Table) -> Iterator[Element]:
    numeric = [head.endswith("#") for head in table.head]
    head = el(
        "tr",
        *(
            el("th", _spoken(name.removesuffix("#")), scope="col", class_="number" if is_number else None)
            for name, is_number in zip(table.head, numeric, strict=True)
        ),
    )
    rows = [el("tr", *(_cell(cell, at == 0, numeric[at]) for at, cell in enumerate(row))) for row in table.rows] or [
        el("tr", el("td", "nothing", colspan=len(table.head)))
    ]
    made = el("table", el("caption", _spoken(table.caption)), el("thead", head), el("tbody", *rows))
    region = el("div", made, class_="scroll", tabindex="0", role="group", aria_label=f"Table: {table.caption}")
    yield el("div", region, *_notes(table), class_="tabled")


def _notes(table: Table) -> Iterator[Element]:
    yield from (el("p", _spoken(text), class_="note") for text in (table.key, table.note) if text)


def _cell(cell: Cell, first: bool, is_number: bool) -> Element:
    children: list[Node] = []
    if cell.drawn is not None:
        children.append(draw_spark(cell.drawn) if isinstance(cell.drawn, Spark) else draw_strip(cell.drawn))
    if cell.text:
        text = _spoken(cell.text)
        children.append(el("span", text) if children else text)
    if first:
        return el("th", *children, scope="row")
    classes = [_CLASSES.get(cell.tone), "number" if is_number else None, "words" if len(cell.text) > _WORDY else None]
    return el("td", *children, class_=" ".join(name for name in classes if name) or None)


def _pair(pair: PairText) -> Element:
    sides = [_side(pair.left), None if pair.right is None else _side(pair.right)]
    return el("div", el("p", pair.facts, class_="facts"), el("div", *sides, class_="sides"), class_="pair")


def _side(document: Document) -> Element:
    pieces: list[Node] = []
    for at, (text, marked) in enumerate(document.pieces):
        pieces += [" " if at else None, el("mark", text) if marked else text]
    heading = f"{one_line(document.shard)} row {document.row}: {document.role}"
    return el("div", el("h3", heading), el("blockquote", *pieces, dir="auto"), class_="side")


def _excerpt(excerpt: Excerpt) -> Element:
    heading = f"{one_line(excerpt.shard)} row {excerpt.row}"
    side = el("div", el("h3", heading), el("blockquote", excerpt.text, dir="auto"), class_="side")
    return el("div", el("p", excerpt.facts, class_="facts"), side, class_="pair")
