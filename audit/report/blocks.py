"""What a page is made of before it is HTML or Markdown: sections of paragraphs, tables, charts and texts.

Every string here is plain text, from us or from data alike. A renderer escapes all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from audit.report.content_text import Excerpt, PairText

__all__ = [
    "Axis",
    "Bars",
    "Block",
    "Cell",
    "Chart",
    "Fold",
    "Interval",
    "IntervalPlot",
    "Listed",
    "Mark",
    "Paragraph",
    "Plot",
    "Section",
    "Series",
    "Spark",
    "StackPlot",
    "Strip",
    "StripPlot",
    "Table",
    "Tone",
    "XYPlot",
]

Numbers = tuple[float, ...]


class Tone(Enum):
    """How a paragraph or a cell is meant."""

    PLAIN = "plain"
    LEAD = "lead"
    NOTE = "note"
    ABSENT = "absent"
    GOOD = "good"
    BAD = "bad"
    UNSURE = "unsure"


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True)
class Listed:
    """A list of sentences, each with the section that says more; "" for none."""

    items: tuple[tuple[str, str, Tone], ...]


@dataclass(frozen=True)
class Spark:
    """A small chart in a cell.

    Attributes:
        values: heights, from 0.
        label: what it shows, in words.
        line: a line over time instead of bars.
    """

    values: Numbers
    label: str
    line: bool = False


@dataclass(frozen=True)
class Strip:
    """An interval in a cell; what it shows stands in words beside it.

    Attributes:
        share, low, high: of it.
        limit: the budget, marked on the scale.
        scale: largest value of the scale, which begins at 0.
    """

    share: float
    low: float
    high: float
    limit: float
    scale: float = 1.0


@dataclass(frozen=True)
class Cell:
    """A cell of a table."""

    text: str
    tone: Tone = Tone.PLAIN
    drawn: Spark | Strip | None = None


@dataclass(frozen=True)
class Table:
    """A table whose first column names its rows.

    Attributes:
        caption: what it shows.
        head: of each column; those that end in `#` are of numbers.
        rows: cells.
        note: what was left out; "" for nothing.
        key: what its drawings show, for renderers that draw; "" for none.
    """

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    key: str = ""


@dataclass(frozen=True)
class Axis:
    """An axis with its ends and its marked places."""

    label: str
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Series:
    """A line, with a band around it where `low` and `high` are given.

    Attributes:
        name: of it.
        x, y: points.
        low, high: of the band; empty for none.
        colour: 0 the corpus, 1 human text, 2 machine text, 3 and more others.
        dash: 0 a solid line.
        dots: whether points are marked.
    """

    name: str
    x: Numbers
    y: Numbers
    low: Numbers = ()
    high: Numbers = ()
    colour: int = 0
    dash: int = 0
    dots: bool = False


@dataclass(frozen=True)
class Bars:
    """Bars side by side, each as wide as the distance to its neighbour."""

    name: str
    x: Numbers
    y: Numbers


@dataclass(frozen=True)
class Mark:
    """A line across the chart at x, with a word beside it."""

    x: float
    text: str


@dataclass(frozen=True)
class XYPlot:
    """Lines, bars or both."""

    x: Axis
    y: Axis
    series: tuple[Series, ...]
    bars: Bars | None = None
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class Interval:
    """A row of an interval plot; without a share it is only named."""

    label: str
    share: float | None
    low: float | None
    high: float | None
    colour: int = 0


@dataclass(frozen=True)
class IntervalPlot:
    """Points with intervals below each other, on one axis."""

    x: Axis
    rows: tuple[Interval, ...]
    marks: tuple[Mark, ...] = ()


@dataclass(frozen=True)
class StripPlot:
    """Quantiles of two sets of documents below each other, each row on a scale of its own.

    Attributes:
        names: of both sets.
        rows: label, then the 5, 25, 50, 75 and 95 % points of each set.
        note: of each row, at its end.
    """

    names: tuple[str, str]
    rows: tuple[tuple[str, Numbers, Numbers, str], ...]


@dataclass(frozen=True)
class StackPlot:
    """Shares that add up to one, side by side in a bar a row."""

    names: tuple[str, ...]
    rows: tuple[tuple[str, Numbers], ...]


Plot = XYPlot | IntervalPlot | StripPlot | StackPlot


@dataclass(frozen=True)
class Chart:
    """A chart, what it shows in a sentence, and the same figures as a table."""

    title: str
    description: str
    plot: Plot
    table: Table


@dataclass(frozen=True)
class Fold:
    """Blocks behind a line that opens and closes them."""

    summary: str
    blocks: tuple[Block, ...]
    is_open: bool = False


Block = Paragraph | Listed | Table | Chart | Fold | PairText | Excerpt


@dataclass(frozen=True)
class Section:
    """A section of the page.

    Attributes:
        id: of its heading, for links.
        title: of it.
        blocks: what it says.
    """

    id: str
    title: str
    blocks: tuple[Block, ...]
