"""Draws quantiles of a corpus above those of a reference, a pair of strips a measure, each pair on its own scale."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from audit.report.blocks import StripPlot
from audit.report.markup import Element, el

__all__ = ["strips"]

_ROW = 58.0
_LABELS = 210.0


def strips(plot: StripPlot, width: float) -> tuple[float, list[Element]]:
    """Height, and what is drawn: a thin line from the 5 to the 95 % point, a thick one over the middle half, a dot at
    the median.
    """
    parts = list(_key(plot.names))
    for place, (label, corpus, reference, note) in enumerate(plot.rows):
        y = 44 + _ROW * place
        ends = [*corpus, *reference]
        low, high = min(ends, default=0.0), max(ends, default=0.0)
        margin = 0.06 * ((high - low) or 1.0)
        parts.append(el("text", label, x=6.0, y=y + 12, class_="tick"))
        parts.append(el("text", note, x=6.0, y=y + 28, class_="tick soft"))
        for row, (values, colour) in enumerate(((corpus, 0), (reference, 1))):
            if values:
                parts += _strip(values, (low - margin, high + margin), width, y + 8 + 18 * row, colour)
    return 44 + _ROW * len(plot.rows) + 4, parts


def _key(names: Sequence[str]) -> Iterator[Element]:
    x = 6.0
    for colour, name in enumerate(names):
        yield el("line", x1=x, y1=12.0, x2=x + 24, y2=12.0, class_=f"thick c{colour}")
        yield el("text", name, x=x + 30, y=16.0, class_="tick")
        x += 60 + 6.6 * len(name)


def _strip(
    values: Sequence[float], ends: tuple[float, float], width: float, y: float, colour: int
) -> Iterator[Element]:
    left, right = _LABELS + 10, width - 56
    at = [left + (right - left) * (value - ends[0]) / ((ends[1] - ends[0]) or 1.0) for value in values]
    yield el("line", x1=at[0], y1=y, x2=at[4], y2=y, class_=f"whisker c{colour} thin")
    yield el("line", x1=at[1], y1=y, x2=at[3], y2=y, class_=f"thick c{colour}")
    yield el("circle", cx=at[2], cy=y, r=4.5, class_=f"dot c{colour}")
    yield el("text", _short(values[2]), x=width - 50, y=y + 4, class_="tick")


def _short(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"
