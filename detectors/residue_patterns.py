"""The phrase table as regular expressions over UTF-8 bytes, and what they find around the anchors of one document."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from detectors.residue_phrases import STRONG, WEAK

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["IDS", "PHRASES", "STRONG_PHRASES", "Hits", "bound", "expanded", "find_phrases"]

IDS = tuple(name for table in (STRONG, WEAK) for name, phrases in table.items() for _ in phrases)
"""For each of `PHRASES`, the id that the table has it under."""
PHRASES = tuple(phrase for table in (STRONG, WEAK) for phrases in table.values() for phrase in phrases)
"""Every phrase of the table, the strong ones first."""
STRONG_PHRASES = sum(map(len, STRONG.values()))
"""How many of `PHRASES` are strong."""

# ASCII white space and the bytes of a no-break and an ideographic space.
_SPACES = b"[\\t\\n\\f\\r\\x20\xa0\xc2\xe3\x80]"
_SPACE = b"(?:" + _SPACES + b"+)"
_NO_SPACE = b"[^\\t\\n\\f\\r\\x20]"
_APOSTROPHE = "(?:'|\u2019)".encode()
_SHORT_RUN = 8
_LONGEST_BOUND = 1 << 15


class Hits(NamedTuple):
    """How many phrases were found, and which of `PHRASES` the first one is and where; null when there is none."""

    found: int
    phrase: int | None
    start: int | None


def find_phrases(
    text: memoryview, places: Iterable[tuple[frozenset[int], int]], bounds: Sequence[int]
) -> tuple[Hits, Hits]:
    """Strong and weak phrases in one document.

    Each is looked for as if the text began where the last one ended; where several start, the first of the table is it.

    Args:
        text: the document, of bytes.
        places: phrases that may be in it, and a byte within such a match if there is one (-1 where none is known). No
            match is without.
        bounds: of `PHRASES`, from `bound`.
    """
    regions: dict[int, tuple[int, int]] = {}
    absent: set[int] = set()
    for phrases, place in places:
        for phrase in phrases - absent:
            region = _around(text, place, bounds[phrase])
            if phrase in regions or _loose(phrase).search(text, *region):
                first, last = regions.get(phrase, region)
                regions[phrase] = min(first, region[0]), max(last, region[1])
            elif region == (0, len(text)):
                # Searching all of a text at each of its anchors would take time that grows with its square.
                absent.add(phrase)
    strong = {phrase: region for phrase, region in regions.items() if phrase < STRONG_PHRASES}
    return _count(text, strong), _count(text, {phrase: regions[phrase] for phrase in regions.keys() - strong.keys()})


def _around(text: memoryview, place: int, most_bytes: int) -> tuple[int, int]:
    """Where any match lies that has the place inside, and at least one byte on each side of it where there is one."""
    # Bounds hold as long as white space does not run on.
    first, last = max(0, place - most_bytes - 1), min(len(text), place + most_bytes + 1)
    if place < 0 or most_bytes == 0 or _LONG_RUN.search(text, first, last):
        return 0, len(text)
    return first, last


_LONG_RUN = re.compile(_SPACES + b"{%d}" % (_SHORT_RUN + 1))


def _count(text: memoryview, regions: dict[int, tuple[int, int]]) -> Hits:
    """Matches of the phrases, none of which reaches out of its region."""
    if not regions:
        return Hits(0, None, None)
    at, last = min(first for first, _ in regions.values()), max(last for _, last in regions.values())
    text = text[at:last]
    count, named, start, cut = 0, None, None, 0
    spans = {phrase: _first(phrase, text, cut) for phrase in regions}
    while found := [(span[0], phrase, span[1]) for phrase, span in spans.items() if span is not None]:
        first, phrase, cut = min(found)
        if count == 0:
            named, start = phrase, at + first
        count += 1
        spans = {phrase: _after(phrase, text, cut, span) for phrase, span in spans.items()}
    return Hits(count, named, start)


def _first(phrase: int, text: memoryview, cut: int) -> tuple[int, int] | None:
    """Start and end of the first match in the text as it is from `cut` on."""
    match = _strict(phrase).search(text[cut:])
    return (cut + match.start(), cut + match.end()) if match else None


def _after(phrase: int, text: memoryview, cut: int, known: tuple[int, int] | None) -> tuple[int, int] | None:
    """What `_first` gives, from what it gave for an earlier cut: a later match stays, but one may begin at this cut."""
    if known is not None and known[0] <= cut:
        return _first(phrase, text, cut)
    match = _strict(phrase).match(text[cut:])
    return (cut, cut + match.end()) if match else known


def bound(phrase: str) -> int:
    """How many bytes a match has at most if no white space in it is longer than eight; 0 when nothing bounds it."""
    from re import _parser  # type: ignore[attr-defined]

    short = _SPACES + b"{1,%d}" % _SHORT_RUN
    widest = int(_parser.parse(expanded(phrase).replace(_SPACE, b"(?:" + short + b")")).getwidth()[1])
    return widest if widest < _LONGEST_BOUND else 0


@cache
def _strict(phrase: int) -> re.Pattern[bytes]:
    return re.compile(expanded(PHRASES[phrase]), re.IGNORECASE)


@cache
def _loose(phrase: int) -> re.Pattern[bytes]:
    """The phrase wherever it stands: it may start where the text is cut after another phrase."""
    return re.compile(expanded(PHRASES[phrase]).replace(b"\\b", b"").replace(b"(?:^|", b"(?:|"), re.IGNORECASE)


@cache
def expanded(phrase: str) -> bytes:
    """One phrase of the table as a regular expression over UTF-8 bytes, for `re.IGNORECASE`."""
    spelled = b"".join(map(_either_case, phrase)).replace(b"\\S", _NO_SPACE)
    return spelled.replace(b" ", _SPACE).replace(b"'", _APOSTROPHE)


def _either_case(letter: str) -> bytes:
    # The engines fold case for ASCII alone when they look at bytes; a class keeps their programs small.
    lower, upper = letter.encode(), letter.upper().encode()
    if letter.isascii() or len(letter.upper()) != 1 or lower == upper:
        return lower
    if lower[:-1] == upper[:-1]:
        return lower[:-1] + b"[" + lower[-1:] + upper[-1:] + b"]"
    return b"(?:" + lower + b"|" + upper + b")"
