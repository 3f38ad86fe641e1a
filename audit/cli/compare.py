"""`foxing compare`: two audits against each other."""

from __future__ import annotations

import dataclasses
import json
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING

import click

from audit.cli.completing import RULES
from audit.cli.options import CONTEXT, Session, common, printable

if TYPE_CHECKING:
    from audit.compare import Comparison, Difference
    from audit.prevalence import Interval

EXAMPLES = """\b
Examples:
  foxing compare audit-last-week audit-today
  foxing compare raw curated --select FX3 --format json
"""
FORMAT_VERSION = 1
_TOP_SOURCES = 20


@click.command("compare", context_settings=CONTEXT, epilog=EXAMPLES)
@click.argument("before", metavar="DIR_A", type=click.Path(path_type=Path))
@click.argument("after", metavar="DIR_B", type=click.Path(path_type=Path))
@click.option("--select", type=RULES, help="Compare only rules that begin so, comma-separated: FX101,FX3.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@common
def command(session: Session, /, before: Path, after: Path, select: str | None, form: str) -> None:
    """Compare the scan in DIR_A with that in DIR_B: every rule's share, what changed, and whether that is chance.

    Both are judged by the rules and the calibration in force now. A change counts where its 95 % interval leaves 0
    out. This command always exits 0.
    """
    from audit.assess import assess
    from audit.calibrate import tables_of
    from audit.compare import compare
    from audit.evidence import Evidence
    from audit.rules import rules_from

    rules = rules_from(session.config.rules)
    chosen = [name.strip() for name in (select or "").split(",") if name.strip()]
    scans = [session.findings(folder) for folder in (before, after)]
    judged = [assess(one, rules, select=chosen, top=0, evidence=Evidence(tables_of(one))) for one in scans]
    found = compare(*judged)
    if form == "json":
        record = {"format": "foxing-comparison", "version": FORMAT_VERSION, **dataclasses.asdict(found)}
        session.result(json.dumps(record, indent=1, ensure_ascii=False, default=_value))
        return
    session.result(_described(found))


def _value(value: object) -> object:
    assert isinstance(value, Enum)
    return value.value


def _described(found: Comparison) -> str:
    known = tuple(one for one in found.rules if one.before is not None or one.after is not None)
    lines = [*_table(known)]
    if unknown := [one.rule for one in found.rules if one not in known]:
        lines += ["", f"judged in neither: {', '.join(unknown)}"]
    if found.sources:
        lines += ["", "sources that changed, most first:", *_table(found.sources[:_TOP_SOURCES])]
        if len(found.sources) > _TOP_SOURCES:
            lines.append(f"  and {len(found.sources) - _TOP_SOURCES:,} more (--format json lists all)")
    for what, names in (("new", found.appeared), ("gone", found.vanished)):
        if names:
            more = f" and {len(names) - 5:,} more" if len(names) > 5 else ""
            lines += ["", f"sources that are {what}: {', '.join(names[:5])}{more}"]
    if found.warnings:
        lines += ["", "not measured or judged alike, so part of a change may come from that:"]
        lines += [f"  {warning}" for warning in found.warnings]
    lines += ["", f"rows: {found.rows[0]:,} and {found.rows[1]:,}", *(f"signature {one}" for one in found.signatures)]
    return "\n".join(printable(line) for line in lines)


def _table(differences: tuple[Difference, ...]) -> list[str]:
    rows: list[tuple[str, ...]] = [("rule", "", "before", "after", "change", "95 % interval", "")]
    for one in differences:
        shares = [_percent(None if pair is None else pair[0]) for pair in (one.before, one.after)]
        change = "-" if one.change is None else f"{100 * one.change:+.2f}"
        rows.append(
            (
                one.rule,
                one.source or one.name,
                *shares,
                change,
                "exact" if one.exact else _interval(one.interval),
                one.verdict.value,
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    aligned = [
        "  ".join(
            cell.ljust(width) if at in (0, 1, 6) else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    ]
    return [line.rstrip() for line in aligned]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"


def _interval(interval: Interval | None) -> str:
    return "-" if interval is None else f"{100 * interval.low:+.2f} to {100 * interval.high:+.2f}"
