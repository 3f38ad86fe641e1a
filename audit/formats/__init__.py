"""Renders an assessment: for people, for programs, for a pull request."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detectors import registry
from detectors.errors import PluginError

if TYPE_CHECKING:
    from audit.assess import Assessment, Result
    from audit.prevalence import Interval

__all__ = [
    "FORMATS",
    "Render",
    "View",
    "aligned",
    "at_least",
    "certainty",
    "count",
    "interval",
    "level",
    "percent",
    "plain",
    "render",
    "row_values",
    "share_found",
    "short",
    "what",
]

FORMATS: Final = "foxing.formats"
_LONG = 60
_IN_REFERENCE, _KEEPER = "duplicates.in_reference", "duplicates.keeper_row="
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


@dataclass(frozen=True)
class View:
    """How to render, as far as it is a matter of taste.

    Attributes:
        color: terminal colours are wanted.
        statistics: tables by source, for all rules.
        verbose: every worst row kept, and what the rules over budget mean.
    """

    color: bool = False
    statistics: bool = False
    verbose: bool = False


Render = Callable[["Assessment", View], str]
"""A format: the whole output as text, without a final newline. Registered under `foxing.formats`."""


def render(name: str, assessment: Assessment, view: View | None = None) -> str:
    """Render in the format registered as `name`.

    Raises:
        PluginError: no such format, or one that is not callable.
    """
    found = registry.load(FORMATS, name)
    if not callable(found):
        raise PluginError(f"format {name!r} is {found!r}, not a function. Register the function itself.")
    return str(found(assessment, view or View()))


def plain(text: str) -> str:
    """Text from data on one line: control, bidirectional and surrogate characters become a replacement character.

    `##[` is broken up, because continuous integration takes it for a command anywhere on a line.
    """
    return _UNPRINTABLE.sub("\ufffd", text).replace("##[", "# #[")


def short(text: str) -> str:
    """A name from data in at most 60 characters, so that one long one does not widen a table for all."""
    line = plain(text)
    return line if len(line) <= _LONG else line[: _LONG - 1] + "…"


def percent(share: float) -> str:
    """A share as a percentage with two or three significant digits; never 0 or 100 unless it is."""
    value = 100 * share
    if value == 0 or value == 100:
        return f"{value:.0f} %"
    if value < 0.01:
        return "< 0.01 %"
    if value > 99.99:
        return "> 99.99 %"
    return f"{value:.2f} %" if value < 10 or value > 99 else f"{value:.1f} %"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of cells as lines, each column as wide as its widest cell."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def count(number: int, unit: str) -> str:
    """`1 shard`, `3 shards`."""
    return f"{number:,} {unit if number == 1 else unit + 's'}"


def interval(found: Interval | None) -> str:
    """An interval in percent, such as `1.20 % to 3.40 %`."""
    return "" if found is None else f"{percent(found.low)} to {percent(found.high)}"


def share_found(result: Result) -> str:
    """The share of a result, a dash where there is none.

    A detector that misses much may flag more than it finds in labelled machine text. Its corrected share is then cut
    to 100 %, which nobody has measured: what is known is the lower end, `≥ 23.9 %`.
    """
    if result.share is None:
        return "-"
    return at_least(result.share, result.interval) if result.corrected else percent(result.share)


def at_least(share: float, found: Interval | None) -> str:
    """A corrected share; its lower end where it was cut to 100 % and less is possible."""
    if found is not None and found.low < 1.0 <= share:
        return f"≥ {percent(found.low)}"
    return percent(share)


def certainty(result: Result) -> str:
    """The interval of a result, or `exact` where every one was looked at."""
    return "exact" if result.is_exact else interval(result.interval)


def row_values(values: object) -> str:
    """What a rule read on one row: `ai_text.p_human=0.0004`.

    Of a kept row that is one of the reference: `duplicates.keeper_row=7 (of the reference)`.
    """
    assert isinstance(values, dict)
    pieces = [
        f"{name}={value:.4g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
        if name != _IN_REFERENCE
    ]
    if values.get(_IN_REFERENCE):
        pieces = [f"{piece} (of the reference)" if piece.startswith(_KEEPER) else piece for piece in pieces]
    return plain(" ".join(pieces))


def level(assessment: Assessment) -> str:
    """Of the intervals of its rules, such as `95 %`; that of a sample is what all of them hold with together."""
    return "95 %" if assessment.sample is None else f"{100 * (1 - assessment.sample.error):.4g} %"


def what(result: Result, of: Assessment) -> str:
    """A result in one sentence, with n and interval."""
    sure = f"{level(of)} interval {interval(result.interval)}"
    counted = f"{result.hits:,} of {count(result.n, result.judged.value)}"
    if result.share is None:
        return plain(f"{result.reason} ({counted} hit)" if result.n else str(result.reason))
    if result.corrected:
        return f"an estimated {share_found(result)} ({sure}; {counted} flagged)"
    found = f"{percent(result.share)} ({'exact' if result.is_exact else sure}), {counted}"
    return f"{found}; {plain(result.reason)}" if result.reason else found
