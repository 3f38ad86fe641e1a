"""Draws charts as SVG: classes instead of colours, so that one drawing serves light, dark and print."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from audit.report.blocks import Axis, Chart, Interval, IntervalPlot, Mark, Series, Spark, StackPlot, Strip, XYPlot
from audit.report.markup import Element, el
from audit.report.strips import strips
from audit.report.visible import one_line

__all__ = ["draw", "draw_spark", "draw_strip"]

WIDTH = 640.0
_LABELS = 150.0
_ROW = 26.0
_CHARACTER = 6.6
_STACKED = 6


def draw(chart: Chart, name: str) -> Element:
    """A chart with its title and its description for those who do not see it.

    Args:
        chart: what to draw.
        name: unique on the page.
    """
    plot = chart.plot
    if isinstance(plot, XYPlot):
        height, parts = _xy(plot)
    elif isinstance(plot, IntervalPlot):
        height, parts = _intervals(plot)
    elif isinstance(plot, StackPlot):
        height, parts = _stacks(plot)
    else:
        height, parts = strips(plot, WIDTH)
    return el(
        "svg",
        el("title", one_line(chart.title), id=f"{name}-title"),
        el("desc", one_line(chart.description), id=f"{name}-desc"),
        *parts,
        class_="chart",
        viewBox=f"0 0 {WIDTH:.0f} {height:.0f}",
        role="img",
        aria_labelledby=f"{name}-title {name}-desc",
    )


@dataclass(frozen=True)
class _Frame:
    """Where values of both axes lie on the drawing."""

    x: Axis
    y: Axis
    left: float
    right: float
    top: float
    bottom: float

    def at_x(self, value: float) -> float:
        share = (value - self.x.low) / ((self.x.high - self.x.low) or 1.0)
        return self.left + min(max(share, 0.0), 1.0) * (self.right - self.left)

    def at_y(self, value: float) -> float:
        share = (value - self.y.low) / ((self.y.high - self.y.low) or 1.0)
        return self.bottom - min(max(share, 0.0), 1.0) * (self.bottom - self.top)

    def axes(self) -> Iterator[Element]:
        for value, text in self.y.ticks:
            at = self.at_y(value)
            yield _line(self.left, at, self.right, at, "grid")
            yield el("text", text, x=self.left - 8, y=at + 4, text_anchor="end", class_="tick")
        for value, text in self.x.ticks:
            at = self.at_x(value)
            yield _line(at, self.bottom, at, self.bottom + 5, "axis")
            yield el("text", text, x=at, y=self.bottom + 18, text_anchor="middle", class_="tick")
        yield _line(self.left, self.bottom, self.right, self.bottom, "axis")
        middle = (self.left + self.right) / 2
        yield el("text", self.x.label, x=middle, y=self.bottom + 38, text_anchor="middle", class_="label")

    def marks(self, marks: Sequence[Mark]) -> Iterator[Element]:
        for mark in marks:
            yield _line(self.at_x(mark.x), self.top - 6, self.at_x(mark.x), self.bottom, "mark")
        for place, mark in enumerate(sorted(marks, key=lambda one: one.x)):
            at, y = self.at_x(mark.x), self.top + 2 + 15 * (place % 4)
            ends = at + 5 + len(mark.text) * _CHARACTER > self.right
            yield el(
                "text",
                mark.text,
                x=at - 5 if ends else at + 5,
                y=y + 4,
                text_anchor="end" if ends else "start",
                class_="tick halo",
            )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Element:
    return el("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=kind)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)


def _xy(plot: XYPlot) -> tuple[float, list[Element]]:
    legend = [(plot.bars.name, 0, "bar")] if plot.bars is not None else []
    legend += [(one.name, one.colour, f"dash{one.dash}") for one in plot.series]
    lines, key = _legend(legend)
    top = 30.0 + 18 * lines
    frame = _Frame(plot.x, plot.y, 58.0, WIDTH - 26, top, top + 240)
    parts = [
        *key,
        el("text", plot.y.label, x=6.0, y=top - 12, class_="label"),
        *frame.axes(),
    ]
    if plot.bars is not None:
        parts += _bars(frame, plot.bars.x, plot.bars.y)
    for one in plot.series:
        parts += _series(frame, one)
    parts += frame.marks(plot.marks)
    return frame.bottom + 48, parts


def _legend(entries: Sequence[tuple[str, int, str]]) -> tuple[int, list[Element]]:
    """Names beside a piece of their line; how many lines they take."""
    if not entries:
        return 0, []
    parts, x, line = [], 6.0, 0
    for name, colour, kind in entries:
        shown = one_line(name, 60)
        width = 40 + len(shown) * _CHARACTER
        if x + width > WIDTH and x > 6:
            x, line = 6.0, line + 1
        y = 10.0 + 18 * line
        drawn = (
            el("rect", x=x, y=y - 6, width=24.0, height=11.0, class_=f"bar c{colour}")
            if kind == "bar"
            else _line(x, y, x + 24, y, f"line c{colour} {kind}")
        )
        parts += [drawn, el("text", shown, x=x + 30, y=y + 4, class_="tick")]
        x += width + 12
    return line + 1, parts


def _bars(frame: _Frame, xs: Sequence[float], ys: Sequence[float]) -> Iterator[Element]:
    gaps = [abs(frame.at_x(one) - frame.at_x(other)) for one, other in itertools.pairwise(xs)]
    width = max(1.0, 0.8 * min(gaps, default=20.0))
    for x, y in zip(xs, ys, strict=True):
        top = frame.at_y(y)
        yield el(
            "rect",
            x=frame.at_x(x) - width / 2,
            y=top,
            width=width,
            height=max(0.0, frame.bottom - top),
            class_="bar c0",
        )


def _series(frame: _Frame, one: Series) -> Iterator[Element]:
    if one.low and one.high:
        upper = [(frame.at_x(x), frame.at_y(y)) for x, y in zip(one.x, one.high, strict=True)]
        lower = [(frame.at_x(x), frame.at_y(y)) for x, y in zip(one.x, one.low, strict=True)]
        yield el("path", d=_path([*upper, *reversed(lower)]) + "Z", class_=f"band c{one.colour}")
    points = [(frame.at_x(x), frame.at_y(y)) for x, y in zip(one.x, one.y, strict=True)]
    if len(points) > 1:
        yield el("path", d=_path(points), class_=f"line c{one.colour} dash{one.dash}")
    if one.dots or len(points) == 1:
        for x, y in points:
            yield el("circle", cx=x, cy=y, r=3.2, class_=f"dot c{one.colour}")


def _intervals(plot: IntervalPlot) -> tuple[float, list[Element]]:
    top = 26.0 if plot.marks else 12.0
    bottom = top + _ROW * len(plot.rows) + 4
    frame = _Frame(plot.x, Axis("", 0, 1, ()), _LABELS + 60, WIDTH - 26, top, bottom)
    parts = [_line(frame.at_x(value), top, frame.at_x(value), bottom, "grid") for value, _ in plot.x.ticks]
    parts += [*frame.axes(), *_above(frame, plot.marks)]
    for place, row in enumerate(plot.rows):
        parts += _interval(frame, row, top + _ROW * (place + 0.5) + 2)
    return bottom + 48, parts


def _above(frame: _Frame, marks: Sequence[Mark]) -> Iterator[Element]:
    """Marks whose words stand above the chart, where no row is."""
    for mark in marks:
        at = frame.at_x(mark.x)
        ends = at + len(mark.text) * _CHARACTER > frame.right
        yield _line(at, frame.top - 8, at, frame.bottom, "mark")
        yield el("text", mark.text, x=at, y=frame.top - 12, text_anchor="end" if ends else "start", class_="tick")


def _interval(frame: _Frame, row: Interval, y: float) -> Iterator[Element]:
    yield el("text", one_line(row.label, 32), x=6.0, y=y + 4, class_="tick")
    if row.low is not None and row.high is not None:
        low, high = frame.at_x(row.low), frame.at_x(row.high)
        yield _line(low, y, high, y, f"whisker c{row.colour}")
        for end in (low, high):
            yield _line(end, y - 5, end, y + 5, f"line c{row.colour}")
    if row.share is not None:
        yield el("circle", cx=frame.at_x(row.share), cy=y, r=5.5, class_=f"dot c{row.colour}")
    else:
        yield el("text", "no estimate", x=frame.left + 6, y=y + 4, class_="tick")


def _stacks(plot: StackPlot) -> tuple[float, list[Element]]:
    lines, parts = _legend([(name, 10 + place % _STACKED, "bar") for place, name in enumerate(plot.names)])
    top = 20.0 + 18 * lines
    left, right = _LABELS, WIDTH - 12
    for at, (label, shares) in enumerate(plot.rows):
        y, x = top + _ROW * at, left
        parts.append(el("text", one_line(label, 22), x=6.0, y=y + 14, class_="tick"))
        for place, share in enumerate(shares):
            width = share * (right - left)
            shade = place % _STACKED
            parts.append(el("rect", x=x, y=y, width=max(0.0, width - 1), height=_ROW - 6, class_=f"bar c{10 + shade}"))
            text = f"{100 * share:.0f} %"
            if width > len(text) * _CHARACTER + 8:
                parts.append(el("text", text, x=x + 5, y=y + 14, class_=f"on{shade}"))
            x += width
    return top + _ROW * len(plot.rows) + 8, parts


def draw_spark(spark: Spark) -> Element:
    """A chart of the size of a word, which says in words what it shows."""
    width, height, n = 96.0, 22.0, max(len(spark.values), 1)
    most = max(spark.values, default=0.0) or 1.0
    if spark.line:
        step = (width - 6) / max(n - 1, 1)
        points = [(3 + step * at, height - 3 - (height - 6) * value / most) for at, value in enumerate(spark.values)]
        parts = [el("path", d=_path(points), class_="line c0 dash0 thin")] if n > 1 else []
        parts.append(el("circle", cx=points[-1][0], cy=points[-1][1], r=2.5, class_="dot c0"))
    else:
        step = width / n
        parts = [
            el(
                "rect",
                x=step * at,
                y=height - max(0.6 if value else 0.0, height * value / most),
                width=max(0.8, step - 0.8),
                height=max(0.6 if value else 0.0, height * value / most),
                class_="bar c0",
            )
            for at, value in enumerate(spark.values)
        ]
    return el(
        "svg", *parts, class_="spark", viewBox="0 0 96 22", width=96, height=22, role="img", aria_label=spark.label
    )


def draw_strip(strip: Strip) -> Element:
    """An interval and the budget on a scale from 0. Hidden from screen readers: its figures stand beside it."""
    values = (strip.low, strip.high, strip.share, strip.limit)
    low, high, at, limit = (4 + 112 * min(max(value / strip.scale, 0.0), 1.0) for value in values)
    return el(
        "svg",
        _line(4, 11, 116, 11, "grid"),
        _line(limit, 2, limit, 20, "limit") if strip.limit else None,
        _line(low, 11, high, 11, "whisker c0"),
        el("circle", cx=at, cy=11.0, r=4.0, class_="dot c0"),
        class_="spark",
        viewBox="0 0 120 22",
        width=120,
        height=22,
        aria_hidden="true",
    )
