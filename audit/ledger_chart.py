"""A ledger as a chart: one SVG file, a panel a rule, shares over time with their intervals and the looks that drifted.

Plain SVG without scripts or outside files, light or dark as the reader's system is, with a title and a description for
readers that speak.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from audit.formats import count, percent, plain
from audit.ledger import Audit
from audit.ledger_drift import Series

__all__ = ["chart"]

_WIDTH, _PANEL, _LEFT, _RIGHT, _TOP = 760, 150, 70, 20, 52
_PLOT, _APART = 86, 22
_STYLE = """
svg { font: 12px system-ui, sans-serif; background: #fff; color: #1b1b1b; }
text { fill: currentColor; } .muted { opacity: .7; } .axis { stroke: currentColor; opacity: .25; }
.line { fill: none; stroke: #0b6bcb; stroke-width: 2; } .band { fill: #0b6bcb; opacity: .15; }
.dot { fill: #0b6bcb; } .drift { fill: #c2410c; } .budget { stroke: #c2410c; stroke-dasharray: 4 3; }
@media (prefers-color-scheme: dark) {
  svg { background: #16181c; color: #e8e8e8; }
  .line { stroke: #6cb2ff; } .band, .dot { fill: #6cb2ff; } .drift { fill: #ff9a5c; } .budget { stroke: #ff9a5c; }
}
@media print { svg { background: #fff; color: #000; } }
"""


def chart(series: Series, rules: Sequence[str] = ()) -> str:
    """The chart of one corpus as the text of an SVG file.

    Args:
        series: audits that can be compared.
        rules: beginnings of the ids to show; empty shows all that the newest audit judged.
    """
    newest = series.audits[-1]
    shown = [rule for rule in newest.rates if rule.startswith(tuple(rules) or "")]
    drifted = {(look.audit.number, change.rule) for look in series.looks for change in look.drifted}
    height = _TOP + _PANEL * max(1, len(shown))
    audits = count(len(series.audits), "audit")
    title = f"{plain(newest.corpus)}: {audits} from {_day(series.audits[0])} to {_day(newest)}"
    panels = [_panel(series, rule, top=_TOP + _PANEL * place, drifted=drifted) for place, rule in enumerate(shown)] or [
        _text(_LEFT, _TOP + 20, "no rule was judged")
    ]
    said = "; ".join(
        f"{rule} {percent(newest.rates[rule].hits / newest.rates[rule].n)}"
        + (" (drifted)" if (newest.number, rule) in drifted else "")
        for rule in shown
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            'aria-labelledby="title description">',
            f'<title id="title">{_escaped(title)}</title>',
            f'<desc id="description">Counted shares in the newest audit: {_escaped(said or "none")}.</desc>',
            f"<style>{_STYLE}</style>",
            _text(_LEFT, 18, title),
            _text(
                _LEFT,
                34,
                "counted shares; 95 % intervals and budget (dashed) where nothing is corrected; large dots: drifted",
                muted=True,
            ),
            *panels,
            "</svg>",
        ]
    )


def _panel(series: Series, rule: str, *, top: int, drifted: set[tuple[int, str]]) -> str:
    newest = series.audits[-1]
    # A clock may have been set back between two audits; what is drawn follows the time that each was given.
    audits = sorted((audit for audit in series.audits if rule in audit.rates), key=lambda audit: audit.at)
    rates = [audit.rates[rule] for audit in audits]
    values = [rate.hits / rate.n for rate in rates]
    # The interval and the budget of a corrected share are not about what was flagged, which is what the line shows.
    bands = [None if rate.is_corrected else rate.interval for rate in rates]
    last_rate = newest.rates[rule]
    limit = None if last_rate.is_corrected else last_rate.budget
    highest = max([*values, *(band[1] for band in bands if band), limit or 0.0, 1e-6]) * 1.1
    first, last = audits[0].at.timestamp(), audits[-1].at.timestamp()

    def x(audit: Audit) -> float:
        part = (audit.at.timestamp() - first) / (last - first) if last > first else 0.5
        return _LEFT + part * (_WIDTH - _LEFT - _RIGHT)

    def y(share: float) -> float:
        return top + 24 + _PLOT * (1 - min(share / highest, 1.0))

    points = [(x(audit), y(value)) for audit, value in zip(audits, values, strict=True)]
    marks = [
        _mark(at, audit, value, is_drift=(audit.number, rule) in drifted)
        for at, audit, value in zip(points, audits, values, strict=True)
    ]
    edge = [(x(audit), y(band[1])) for audit, band in zip(audits, bands, strict=True) if band]
    edge += [(x(audit), y(band[0])) for audit, band in reversed(list(zip(audits, bands, strict=True))) if band]
    now = percent(last_rate.hits / last_rate.n) + (" flagged" if last_rate.is_corrected else "")
    now += ", drifted" if (newest.number, rule) in drifted else ""
    top_share = max(values)
    is_free = top_share > 0 and all(abs(y(top_share) - y(other)) >= _APART for other in (0.0, limit or 0.0))
    return "\n".join(
        [
            _text(_LEFT, top + 14, f"{rule} {plain(last_rate.name)}: {now}"),
            f'<line class="axis" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(0):.1f}" y2="{y(0):.1f}"/>',
            *([] if limit is None else _budget(y(limit), percent(limit), lowest=y(0))),
            f'<polygon class="band" points="{_points(edge)}"/>' if edge else "",
            f'<polyline class="line" points="{_points(points)}"/>',
            *marks,
            _text(_LEFT - 6, y(0), "0 %", end=True),
            *([_text(_LEFT - 6, y(top_share) + 4, percent(top_share), end=True)] if is_free else []),
            _text(_LEFT, y(0) + 16, _day(audits[0]), muted=True),
            _text(_WIDTH - _RIGHT, y(0) + 16, _day(audits[-1]), end=True, muted=True),
        ]
    )


def _budget(at: float, text: str, *, lowest: float) -> list[str]:
    """The line of a budget, and its figure where that does not cover the one of 0."""
    return [
        f'<line class="budget" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>',
        _text(_LEFT - 6, min(at, lowest - 12), text, end=True),
    ]


def _mark(at: tuple[float, float], audit: Audit, value: float, *, is_drift: bool) -> str:
    said = f"audit {audit.number}, {_day(audit)}: {percent(value)}{', drifted' if is_drift else ''}"
    kind, radius = ("drift", 5) if is_drift else ("dot", 3)
    place = f'cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="{radius}"'
    return f'<circle class="{kind}" {place}><title>{_escaped(said)}</title></circle>'


def _text(x: float, y: float, text: str, *, end: bool = False, muted: bool = False) -> str:
    anchor = ' text-anchor="end"' if end else ""
    look = ' class="muted"' if muted else ""
    return f'<text x="{x:.1f}" y="{y:.1f}"{anchor}{look}>{_escaped(text)}</text>'


def _points(found: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in found)


def _escaped(text: str) -> str:
    return escape(plain(text), {'"': "&quot;"})


def _day(audit: Audit) -> str:
    return audit.at.date().isoformat()
