"""Folds characters to one or two bytes each, so that case, accents, typography, markup and numbers look alike.

A code below 64 collapses when it is repeated (white space, digits, marks); letters are kept as often as they stand.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

__all__ = ["COLLAPSING", "LANES", "LANE_BITS", "SPACE", "fold_character", "fold_table", "lane_table"]

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

COLLAPSING = 64
SPACE, _DIGIT, _SYMBOL, _OTHER_MARK = 32, 48, 6, 15

LANES = ("letters", "visible", "code", "extra")
"""What `lane_table` counts: letters, characters that are neither white space nor vanish, characters usual in code, and
what a character says beyond a Latin one: Han and kana count threefold, Hangul twofold."""
LANE_BITS = 14

_LETTER, _VISIBLE, _CODE, _EXTRA = 1, 2, 4, 8

_QUOTES = '"“”„‟«»「」『』〝〞'
_APOSTROPHES = "'‘’‚‛ʼ＇´"
_VANISHING = "*#~•·‣◦▪●`"
_SPACE_LIKE = "_|<>-‐‑‒–—―−－\\/"
_CODE_MARKS = "{}[]=<>\\|$@^~&+_"
_ASCII_MARKS = "[]{}@&%"
_MARKS_THAT_VANISH = ((0x0300, 0x036F), (0x0591, 0x05C7), (0x0640, 0x0640), (0x064B, 0x065F), (0x0670, 0x0670))
_HAN_AND_KANA = ((0x3040, 0x30FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF))
_HANGUL = ((0x1100, 0x11FF), (0xAC00, 0xD7A3))


def _within(point: int, spans: tuple[tuple[int, int], ...]) -> bool:
    return any(low <= point <= high for low, high in spans)


def _mixed(point: int) -> int:
    return (point * 0x9E3779B97F4A7C15 & (1 << 64) - 1) >> 50


def fold_character(point: int) -> tuple[int, int]:
    """(code, class bits) of one code point of the Basic Multilingual Plane; code 0 vanishes.

    Codes are 32 for white space and dashes, 48 for any number, 97-122 for letters that have an ASCII base, 128-255 for
    other letters, hashed, and others below 64 for marks.
    """
    raw = chr(point)
    code_bit = _CODE if raw in _CODE_MARKS else 0
    if raw in _APOSTROPHES:
        return ord("'"), _VISIBLE | code_bit
    if raw in _VANISHING or _within(point, _MARKS_THAT_VANISH):
        return 0, code_bit
    category = unicodedata.category(raw)
    if raw in _SPACE_LIKE or raw.isspace() or category == "Zs":
        return SPACE, code_bit
    if raw in _QUOTES:
        return ord('"'), _VISIBLE
    if category in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return 0, 0
    folded = raw if _within(point, _HANGUL) else unicodedata.normalize("NFKD", raw)[0].lower()[0]
    value, category = ord(folded), unicodedata.category(folded)
    if category[0] in "LM":
        extra = 2 * _EXTRA if _within(value, _HAN_AND_KANA) else _EXTRA if _within(value, _HANGUL) else 0
        return value if value < 128 else 128 + _mixed(value) // 128, _LETTER | _VISIBLE | extra
    if category[0] == "N":
        return _DIGIT, _VISIBLE
    return _mark(folded, category), _VISIBLE | code_bit


def _mark(folded: str, category: str) -> int:
    if category[0] == "S":
        return _SYMBOL
    if folded == "。":
        return ord(".")
    if folded in _ASCII_MARKS:
        return 8 + _ASCII_MARKS.index(folded)
    if ord(folded) < COLLAPSING:
        return ord(folded)
    return _OTHER_MARK if ord(folded) < 128 else 16 + _mixed(ord(folded)) % 16


def fold_table() -> U32:
    """uint32[65536]: for each code point its code (bits 0-7), class bits (8-15) and second code (16-23).

    Han, kana and Hangul have a second code, which stands before the first: they say more each. 0 is none.

    Curly and straight quotes, every dash and a space, NBSP, newlines and runs of white space, upper and lower case,
    accents and their absence, full and half width, one number and another fold together; Markdown marks, zero-width
    characters and Arabic vowel signs vanish. It is stored with the model, so that a newer Unicode version of Python
    cannot change a score.
    """
    table = np.zeros(1 << 16, np.uint32)
    for point in range(1 << 16):
        code, bits = fold_character(point)
        second = 128 + _mixed(point) % 128 if bits >= _EXTRA else 0
        table[point] = code | bits << 8 | second << 16
    return table


@cache
def lane_table() -> U64:
    """uint64[32]: class bits to one count in each lane of `LANE_BITS`; sums of over 8,000 characters still fit."""
    table = np.zeros(32, np.uint64)
    for bits in range(32):
        lanes = (bits & 1, bits >> 1 & 1, bits >> 2 & 1, bits >> 3)
        table[bits] = sum(count << LANE_BITS * lane for lane, count in enumerate(lanes))
    table.flags.writeable = False
    return table
