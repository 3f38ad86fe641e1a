"""Figures as a report writes them, and the axes of its charts."""

from __future__ import annotations

import math

from audit.formats import percent
from audit.intervals import Interval
from audit.report.blocks import Axis, Cell, Strip, Tone

__all__ = [
    "amount",
    "axis_of",
    "between",
    "dash",
    "interval_cells",
    "named",
    "share_axis",
    "share_of",
    "signed",
    "verdict_tone",
]

_ABSENT = "–"
_STEPS = (1, 2, 2.5, 5, 10)
_TONES = {"over": Tone.BAD, "within": Tone.GOOD, "no estimate": Tone.UNSURE, "not applicable": Tone.NOTE}


def share_of(value: float | None) -> str:
    """A share in percent; a dash where there is none."""
    return _ABSENT if value is None else percent(value)


def between(found: Interval | None) -> str:
    """An interval in percent; a dash where there is none."""
    return _ABSENT if found is None else f"{percent(found.low)} to {percent(found.high)}"


def dash(value: float | None, form: str = ".3g") -> str:
    """A number; a dash where there is none."""
    return _ABSENT if value is None else format(value, form)


def signed(value: float | None) -> str:
    """A change of a share, in points."""
    return _ABSENT if value is None else f"{100 * value:+.2f}"


def amount(value: float) -> str:
    """A large number in few digits: 1.2 M."""
    for size, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def named(source: str) -> str:
    """A source's name; the empty one is that of the whole corpus."""
    return source or "whole corpus"


def interval_cells(
    share: float | None, interval: Interval | None, *, limit: float = 0.0, scale: float = 1.0, is_exact: bool = False
) -> tuple[Cell, Cell]:
    """A share, and its interval in words and as a drawing with a mark at `limit`."""
    if share is None or interval is None:
        return Cell(_ABSENT), Cell("no estimate", Tone.NOTE)
    words = "exact" if is_exact else between(interval)
    return Cell(percent(share)), Cell(words, drawn=Strip(share, interval.low, interval.high, limit, scale))


def verdict_tone(verdict: str) -> Tone:
    """How a verdict is coloured; its word stands beside the colour."""
    return _TONES.get(verdict, Tone.PLAIN)


def share_axis(label: str, most: float = 1.0) -> Axis:
    """From 0 to the first round share above the largest."""
    return axis_of(label, 0.0, min(1.0, max(most, 0.01)), shares=True)


def axis_of(label: str, low: float, high: float, *, shares: bool = False) -> Axis:
    """An axis with four to eight round places.

    Args:
        label: what it measures.
        low, high: the smallest and the largest value.
        shares: write places in percent.
    """
    span = (high - low) or 1.0
    unit = 10.0 ** math.floor(math.log10(span / 4))
    step = next(unit * factor for factor in _STEPS if span / (unit * factor) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    places = [round(step * at, 12) for at in range(first, last + 1)]
    digits = max(0, -math.floor(math.log10(step * (100 if shares else 1)) + 1e-9))
    texts = [f"{100 * at:.{digits}f} %" if shares else _plain(at, digits) for at in places]
    return Axis(label, places[0], places[-1], tuple(zip(places, texts, strict=True)))


def _plain(value: float, digits: int) -> str:
    return amount(value) if abs(value) >= 10_000 else f"{value:,.{digits}f}"
