"""Which code points stand in for ASCII ones: wide and styled forms, letters of other scripts that look like Latin ones.

Wide and styled forms are those whose compatibility decomposition (Unicode Standard Annex 15) is ASCII letters and
digits, within fixed spans: Unicode's stability policy keeps these as they are in every later version. Look-alikes are a
closed list of letters that common fonts draw as the Latin one, a few of those of Unicode Technical Standard 39.
"""

from __future__ import annotations

import unicodedata
from functools import cache

import numpy as np
import numpy.typing as npt

from detectors.unicode_classes import LETTER, SINGLE, class_table

__all__ = [
    "FOREIGN",
    "INVISIBLE",
    "JOINER",
    "LATIN",
    "LIMIT",
    "LOOK_ALIKE",
    "STYLED",
    "WIDE_MARK",
    "ascii_forms",
    "roles",
]

LIMIT = 0x1D800
"""Code points from here on stand for nothing but themselves."""

LATIN = 1
"""A Latin letter, of ASCII or beyond."""
FOREIGN = 2
"""A letter of another script that looks like no Latin one."""
LOOK_ALIKE = 3
"""A letter of another script that looks like a Latin one."""
WIDE_MARK = 4
"""Full-width punctuation or the ideographic space: at home in Chinese and Japanese."""
JOINER = 5
"""Joins letters, keeps them apart or sets their direction: nothing in ASCII, and needed in some scripts."""
STYLED = 6
"""A wide, circled or mathematical letter or digit, a Roman numeral, a ligature, the long s: always its ASCII form."""
INVISIBLE = 7
"""Has no width, and is nothing to who reads the text."""

_CIRCLED = (0x24B6, 0x24E9)
_STYLED = (
    (0x017F, 0x017F),
    (0x2100, 0x214F),
    (0x2160, 0x217F),
    _CIRCLED,
    (0xFB00, 0xFB06),
    (0xFF10, 0xFF19),
    (0xFF21, 0xFF3A),
    (0xFF41, 0xFF5A),
    (0x1D400, 0x1D7FF),
)
_WIDE_MARKS = ((0xFF01, 0xFF0F), (0xFF1A, 0xFF20), (0xFF3B, 0xFF40), (0xFF5B, 0xFF5E), (0x3000, 0x3000))
_INVISIBLE = (0x00AD, 0x034F, 0x180E, 0x200B, 0x2060, 0x2061, 0x2062, 0x2063, 0x2064, 0xFEFF)
_JOINERS = ((0x200C, 0x200F), (0x202A, 0x202E), (0x2066, 0x2069))
_LATIN = ((0x00AA, 0x02AF), (0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF))
_LOOK_ALIKES = (
    # Cyrillic
    (
        "\u0430\u0441\u0501\u0435\u04bb\u0456\u0458\u04cf\u043e\u0440\u051b\u0455\u0443\u0445\u051d\u0475",
        "acdehijlopqsyxwv",
    ),
    ("\u0410\u0412\u0421\u0415\u050c\u041d\u0406\u0408\u041a\u041c\u041e\u0420\u051a\u0405\u0422", "ABCEGHIJKMOPQST"),
    ("\u0423\u04ae\u0425\u051c\u0474\u04c0", "YYXWVI"),
    # Greek
    ("\u03bf\u03bd\u03c1\u03b9\u03ba\u03c7\u03c5\u03f2\u03f3", "ovpikxucj"),
    ("\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7\u03f9", "ABEZHIKMNOPTYXC"),
    # Armenian
    ("\u0585\u057d\u0570\u0578\u0581\u0566\u0575", "ouhngqj"),
)


@cache
def ascii_forms() -> npt.NDArray[np.uint32]:
    """uint32[LIMIT], read-only: up to three ASCII bytes that each code point stands for, first lowest; 0 for none."""
    table = np.zeros(LIMIT, np.uint32)
    for point in _points(_STYLED):
        plain = unicodedata.normalize("NFKC", chr(point))
        letter = unicodedata.category(chr(point))[0] in "LN" or _CIRCLED[0] <= point <= _CIRCLED[1]
        # A longer one would make texts grow.
        if letter and plain.isascii() and plain.isalnum() and len(plain) <= len(chr(point).encode()):
            table[point] = int.from_bytes(plain.encode(), "little")
    for point in _points(_WIDE_MARKS):
        table[point] = ord(unicodedata.normalize("NFKC", chr(point)))
    for letters, plain in _LOOK_ALIKES:
        for one, other in zip(letters, plain, strict=True):
            table[ord(one)] = ord(other)
    table.flags.writeable = False
    return table


@cache
def roles() -> npt.NDArray[np.uint8]:
    """uint8[LIMIT], read-only: what each code point is, one of the numbers above; 0 for all that is no letter."""
    classes, forms = class_table()[:LIMIT], ascii_forms()
    table = np.zeros(LIMIT, np.uint8)
    # Numbers are words too, but no letters.
    for point in np.flatnonzero((classes >= LETTER) & (classes <= SINGLE)).tolist():
        table[point] = FOREIGN if chr(point).isalpha() else 0
    for point in (*range(0x80), *_points(_LATIN)):
        table[point] = LATIN if chr(point).isalpha() else 0
    styled, wide = np.array(list(_points(_STYLED))), np.array(list(_points(_WIDE_MARKS)))
    table[styled[forms[styled] > 0]] = STYLED
    table[wide] = WIDE_MARK
    table[_points(_JOINERS)] = JOINER
    table[list(_INVISIBLE)] = INVISIBLE
    for letters, _ in _LOOK_ALIKES:
        table[[ord(one) for one in letters]] = LOOK_ALIKE
    table.flags.writeable = False
    return table


def _points(spans: tuple[tuple[int, int], ...]) -> list[int]:
    return [point for low, high in spans for point in range(low, high + 1)]
