"""What `foxing curate --dry-run` shows: one line a source, before and after, as a table or as JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audit.cli.options import printable

if TYPE_CHECKING:
    from curricula.cost import Cost
    from curricula.foresee import Preview
    from curricula.tally import Counts, Measures

__all__ = ["preview_json", "preview_table", "report_text", "unanswered_text"]

FORMAT, VERSION = "foxing-preview", 1
_ARROW = "->"
_UNSAID = ("name", "excused")


@dataclass(frozen=True)
class _Column:
    """A column with a value before and one after: its title, where the value is found and how it is written."""

    title: str
    value: Callable[[Measures], float | None]
    shown: Callable[[float], str]

    def pair(self, counts: Counts) -> tuple[str, str]:
        before, after = self.value(counts.before), self.value(counts.after)
        return tuple("-" if value is None else self.shown(value) for value in (before, after))  # type: ignore[return-value]


def _whole(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"


_COLUMNS = (
    _Column("rows", lambda m: m.rows, _whole),
    _Column("tokens", lambda m: m.tokens, _whole),
    _Column("MB of text", lambda m: None if m.bytes is None else m.bytes / 1e6, lambda v: f"{v:,.1f}"),
    _Column("distinct-2", lambda m: m.distinct_2, lambda v: f"{v:.3f}"),
    _Column("MTLD", lambda m: m.mtld, lambda v: f"{v:.1f}"),
    _Column("AI score", lambda m: m.score, lambda v: f"{v:.3f}"),
    _Column("AI flagged", lambda m: m.flagged_share, _percent),
)


def preview_table(foreseen: Preview, cost: Cost | None) -> str:
    """What would happen, a line a source and the total, in aligned columns, and what the columns mean."""
    total = foreseen.tally.total
    every = (*foreseen.tally.sources, total)
    columns = [column for column in _COLUMNS if column.value(total.before) is not None]
    cells = [[printable(counts.name) for counts in every]]
    heads = ["source"]
    for column in columns:
        pairs = [column.pair(counts) for counts in every]
        widths = [max(len(pair[side]) for pair in pairs) for side in (0, 1)]
        heads.append(column.title)
        cells.append([f"{before:>{widths[0]}} {_ARROW} {after:>{widths[1]}}" for before, after in pairs])
    heads.append("lost")
    cells.append([f"{counts.lost_share:.1%}" for counts in every])
    if total.exempt:
        heads += ["exempt", "spared"]
        cells += [[f"{counts.exempt:,}" for counts in every], [f"{counts.spared:,}" for counts in every]]
    reasons = [reason for reason, rows in total.dropped.items() if rows]
    heads += reasons
    cells += [[f"{counts.dropped[reason]:,}" for counts in every] for reason in reasons]
    lines = _aligned(heads, cells)
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1], *_notes(foreseen, columns, reasons, cost)])


def _aligned(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Rows of text: the first column to the left, all others to the right."""
    widths = [max(len(head), *(len(cell) for cell in column)) for head, column in zip(heads, cells, strict=True)]
    rows = [heads, *zip(*cells, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _notes(foreseen: Preview, columns: Iterable[_Column], reasons: Sequence[str], cost: Cost | None) -> list[str]:
    titles = [column.title for column in columns]
    names = ",".join(curriculum.name for curriculum in foreseen.curricula)
    lines = [f"curriculum: {names}{'; the order of the corpus' if foreseen.in_order else ''}"]
    meanings = {
        "tokens": f"tokens: {foreseen.count}",
        "distinct-2": "distinct-2, MTLD: means over rows",
        "AI score": "AI score: mean, 0 to 1",
        "AI flagged": "AI flagged: rows that FX101 hits, of those with a score",
    }
    lines.append("; ".join(["before -> after, copies counted", *(meanings[t] for t in titles if t in meanings)]))
    if reasons:
        lines.append(f"{', '.join(reasons)}: rows dropped, each counted once, at the first that drops it")
    else:
        lines.append("no row would be dropped (--drop names rules)")
    if foreseen.tally.total.exempt:
        lines.append("exempt: rows on the allow-list; spared: those that an FX1 rule would have dropped")
    lines += [f"{name}: {report_text(report)}" for name, report in foreseen.reports.items() if report]
    lines += unanswered_text(foreseen)
    if foreseen.parts:
        together = "; held out: near duplicates together" if foreseen.held_out is not None else ""
        lines.append(", ".join(f"{name}: {rows:,} rows" for name, rows in foreseen.parts.items()) + together)
    lines.append("cost: not predicted, for inputs are not where they were" if cost is None else _cost_text(cost))
    return [*(printable(line) for line in lines), "nothing was written"]


def _cost_text(cost: Cost) -> str:
    read, data, dropped = (size / 1e6 for size in (cost.read_bytes, cost.data_bytes, cost.dropped_bytes))
    return (
        f"cost: {read:,.1f} MB stored, about {data:,.1f} MB written to data/ and {dropped:,.1f} MB to dropped/; "
        f"about {max(1.0, cost.seconds):,.0f} s on this machine, by {cost.tried_rows:,} rows that were tried"
    )


def report_text(report: Mapping[str, float]) -> str:
    """What a curriculum says that it came to, in words."""
    shown = (f"{value:,.0f}" if value == round(value) else f"{value:,.4g}" for value in report.values())
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in zip(report, shown, strict=True))


def unanswered_text(foreseen: Preview) -> list[str]:
    """A line about rows that a curriculum of answers leaves as they are because they have none; else no line."""
    if not foreseen.without_answers:
        return []
    editing = next(curriculum.name for curriculum in foreseen.curricula if getattr(curriculum, "edits", False))
    rows = f"{foreseen.without_answers:,} kept row{'s' * (foreseen.without_answers > 1)}"
    return [f"{editing}: {rows} of plain text left as they were read, for they have no answer to replace"]


def preview_json(foreseen: Preview, cost: Cost | None) -> str:
    """What would happen as one JSON object, see docs/json.md."""
    body = {
        "format": FORMAT,
        "version": VERSION,
        "curricula": [curriculum.name for curriculum in foreseen.curricula],
        "drop": list(foreseen.drop),
        "count": foreseen.count,
        "in_order": foreseen.in_order,
        "reports": foreseen.reports,
        "held_out": foreseen.held_out,
        "parts": dict(foreseen.parts),
        "without_answers": foreseen.without_answers,
        "refusal": foreseen.refusal,
        "cost": None if cost is None else dataclasses.asdict(cost),
        "total": _counts(foreseen.tally.total),
        "sources": {counts.name: _counts(counts) for counts in foreseen.tally.sources},
    }
    return json.dumps(body, indent=2)


def _counts(counts: Counts) -> dict[str, object]:
    fields = {name: value for name, value in dataclasses.asdict(counts).items() if name not in _UNSAID}
    for when in ("before", "after"):
        fields[when]["flagged_share"] = getattr(counts, when).flagged_share
    return {**fields, "lost_share": counts.lost_share}
