"""A report as a section of a Hugging Face dataset card, with YAML metadata; it can be put into a card that is there.

Format: the metadata block of a dataset card (huggingface/hub-docs, datasetcard.md). Of a card that is there, only the
section between two comments and the key `foxing` are replaced; every other line stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from audit.formats import percent
from audit.report.blocks import Cell, Table
from audit.report.content import Report
from audit.report.figures import between, share_of
from audit.report.markdown import escaped, table_lines
from detectors.errors import InputError

__all__ = ["BEGIN", "END", "render_card"]

BEGIN, END = "<!-- foxing report: begin -->", "<!-- foxing report: end -->"
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_LEAST_LANGUAGE = 0.01
_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
_LARGE = ((10**7, "1M<n<10M"), (10**8, "10M<n<100M"), (10**9, "100M<n<1B"), (10**10, "1B<n<10B"))
_KEY = re.compile(r"^foxing:.*\n(?:(?:[ \t-].*)?\n)*", re.MULTILINE)
_METADATA = re.compile(r"\A---\n(.*?\n)?---[ \t]*(?:\n|\Z)", re.DOTALL)
_SECTION = re.compile(re.escape(BEGIN) + r".*?" + re.escape(END), re.DOTALL)
_SHOWN = ("FX101", "FX102", "FX201", "FX202", "FX203", "FX301", "FX302", "FX303")


def render_card(report: Report, card: str | None = None) -> str:
    """The card with this report in it.

    Args:
        report: what to say.
        card: text of the card that is there; None makes a new one.

    Raises:
        InputError: the card has one of the two comments without the other, or in another order.
    """
    if card is not None and "\r\n" in card:
        return render_card(report, card.replace("\r\n", "\n")).replace("\n", "\r\n")
    section = "\n".join((BEGIN, *_section(report), END))
    if card is None:
        head = "\n".join(("---", *_metadata(report), *_ours(report), "---"))
        return f"{head}\n\n# {escaped(report.title)}\n\n{section}"
    found = _METADATA.match(card)
    kept, body = (found[1] or "", card[found.end() :]) if found else ("", card)
    metadata = _KEY.sub("", kept if kept.endswith("\n") or not kept else f"{kept}\n")
    body, replaced = _SECTION.subn(lambda _: section, body, count=1)
    if not replaced:
        if BEGIN in body or END in body:
            raise InputError(f"the card has no {BEGIN!r} with {END!r} after it. Put both right, or take them out.")
        body = f"{body.rstrip()}\n\n{section}\n"
    return f"---\n{metadata}{chr(10).join(_ours(report))}\n---\n{body.rstrip()}"


def _metadata(report: Report) -> Iterator[str]:
    """Keys of a new card that the audit knows."""
    groups = report.groups.get("language", ())
    total = sum(group.n for group in groups)
    languages = [
        group.name for group in groups if group.n >= _LEAST_LANGUAGE * total and _LANGUAGE.fullmatch(group.name)
    ]
    if languages := [name for name in languages if name != "und"]:
        yield f"language: {_yaml(languages)}"
    size = next((name for least, name in (*_SIZES, *_LARGE) if report.data.rows < least), "n>1T")
    yield f"size_categories: {_yaml([size])}"
    yield f"tags: {_yaml(['foxing'])}"


def _ours(report: Report) -> Iterator[str]:
    """The key `foxing`: figures that other tools can read."""
    head = report.headline
    ends = None if head.interval is None else [round(head.interval.low, 6), round(head.interval.high, 6)]
    values: Mapping[str, object] = {
        "version": report.foxing,
        "signature": report.signature,
        "rows": report.data.rows,
        "judged": head.n,
        "machine_written_share": None if head.share is None else round(head.share, 6),
        "machine_written_interval": ends,
        "over_budget": [rule.id for rule in report.rules if rule.verdict == "over"],
    }
    yield "foxing:"
    yield from (f"  {name}: {_yaml(value)}" for name, value in values.items())


def _yaml(value: object) -> str:
    """A value in flow style: JSON, which YAML 1.2 reads, and 1.1 as well when it is ASCII."""
    return json.dumps(value, ensure_ascii=True)


def _section(report: Report) -> Sequence[str]:
    head = report.headline
    judged = [rule for rule in report.rules if rule.id in _SHOWN and rule.n]
    table = Table(
        "Share of rows",
        ("what", "share#", "95 % interval", "hits of n#", "budget#", "verdict"),
        tuple(
            (
                Cell(f"{rule.id} {rule.name}"),
                Cell(share_of(rule.share)),
                Cell(between(rule.interval)),
                Cell(f"{rule.hits:,} of {rule.n:,}"),
                Cell(percent(rule.budget)),
                Cell(rule.verdict),
            )
            for rule in judged
        ),
    )
    return [
        "## Audit of machine-written, repeated and leaked text",
        "",
        escaped(head.meaning),
        *table_lines(table),
        "",
        *(f"- {escaped(text)}" for text in report.caveats),
        "",
        f"Measured with foxing {escaped(report.foxing)} on {report.data.rows:,} rows. Signature: `{report.signature}`",
    ]
