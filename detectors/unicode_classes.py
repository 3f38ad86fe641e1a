"""What each Unicode code point does to a word or a sentence, as lookup tables.

The tables were made from `unicodedata` and lie beside this file, so that a newer Python cannot change a number: a code
point that Unicode 14 does not know separates words. Emoji are the one property that `unicodedata` lacks; those ranges
follow emoji-data.txt of Unicode 16. `write_tables` makes the file anew.
"""

from __future__ import annotations

import unicodedata
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

__all__ = [
    "APOSTROPHE",
    "EMOJI",
    "EXCLAMATION",
    "FULL_STOP",
    "IGNORED",
    "LETTER",
    "LOWER",
    "MARK",
    "NEWLINE",
    "OTHER",
    "PERIOD",
    "REGIONAL",
    "SINGLE",
    "SPACE",
    "SYMBOL",
    "UPPER",
    "build_class_table",
    "build_fold_table",
    "class_table",
    "fold_table",
    "punctuation_table",
    "tables_version",
    "write_tables",
]

LETTER = 1
"""Letter without case, digit or other number: joins its neighbours into one word."""
LOWER = 2
"""Lower-case letter. Joins."""
UPPER = 3
"""Upper- or title-case letter. Joins."""
SINGLE = 4
"""A word of its own: Han, Kana, and the South-East Asian scripts that write no spaces."""
MARK = 5
"""Combining mark, emoji skin tone or tag: extends the word before it, and is part of its hash."""
IGNORED = 6
"""Variation selector, joiner, soft hyphen or other format character: extends, and is not part of the hash."""
EMOJI = 7
"""Shown as a picture by default: a word of its own."""
REGIONAL = 8
"""Regional indicator: two of them are one flag."""
SYMBOL = 9
"""Separates, unless U+FE0F after it asks for a picture."""
APOSTROPHE = 10
"""`'` and `’`: join when a letter or digit stands on both sides."""
SPACE = 11
NEWLINE = 12
PERIOD = 13
"""`.` and `…`: may end a sentence."""
EXCLAMATION = 14
"""`!` and `?`: may end a sentence."""
FULL_STOP = 15
"""Ends a sentence even without a space after it: `。`, `।`, `؟` and their kin."""
OTHER = 0
"""Separates: punctuation, control characters, unassigned code points, surrogates."""

_CODE_POINTS = 0x110000
_FOLDED = 0x20000

# Line-break class SA (complex context) of UAX #14, the scripts written without spaces, and Kana.
_SINGLE_SCRIPTS = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x3005, 0x3007),
    (0x3021, 0x3029),
    (0x3038, 0x303C),
    (0x3040, 0x30FF),  # Hiragana, Katakana
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),
    (0xAA60, 0xAADF),  # Myanmar extended, Tai Viet
    (0xF900, 0xFAFF),
    (0xFF66, 0xFF9D),
    (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFD),
)
# Emoji_Presentation=Yes below U+1F000.
_EMOJI = (
    (0x231A, 0x231B), (0x23E9, 0x23EC), (0x23F0, 0x23F0), (0x23F3, 0x23F3), (0x25FD, 0x25FE), (0x2614, 0x2615),
    (0x2648, 0x2653), (0x267F, 0x267F), (0x2693, 0x2693), (0x26A1, 0x26A1), (0x26AA, 0x26AB), (0x26BD, 0x26BE),
    (0x26C4, 0x26C5), (0x26CE, 0x26CE), (0x26D4, 0x26D4), (0x26EA, 0x26EA), (0x26F2, 0x26F3), (0x26F5, 0x26F5),
    (0x26FA, 0x26FA), (0x26FD, 0x26FD), (0x2705, 0x2705), (0x270A, 0x270B), (0x2728, 0x2728), (0x274C, 0x274C),
    (0x274E, 0x274E), (0x2753, 0x2755), (0x2757, 0x2757), (0x2795, 0x2797), (0x27B0, 0x27B0), (0x27BF, 0x27BF),
    (0x2B1B, 0x2B1C), (0x2B50, 0x2B50), (0x2B55, 0x2B55),
)  # fmt: skip
_PICTURES = (0x1F000, 0x1FAFF)
_REGIONAL = (0x1F1E6, 0x1F1FF)
_SKIN_TONES = (0x1F3FB, 0x1F3FF)
_TAGS = (0xE0020, 0xE007F)
_VARIATION_SELECTORS = ((0x180B, 0x180D), (0x180F, 0x180F), (0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
_ZERO_WIDTH_SPACE = 0x200B
_HALFWIDTH_VOICE_MARKS = (0xFF9E, 0xFF9F)
# Sentence_Terminal=Yes without the ASCII ones, of scripts in use.
_FULL_STOPS = (
    "\u0589\u061d\u061e\u061f\u06d4\u0700\u0701\u0702\u0964\u0965\u0f0d\u104a\u104b\u1362\u1367\u1368\u166e\u17d4\u17d5"
    "\u1803\u1809\u203c\u203d\u2047\u2048\u2049\u3002\ufe52\ufe56\ufe57\uff01\uff0e\uff1f\uff61"
)
_BY_CATEGORY = {
    "Lu": UPPER, "Lt": UPPER, "Ll": LOWER, "Lm": LETTER, "Lo": LETTER, "Nd": LETTER, "Nl": LETTER, "No": LETTER,
    "Mn": MARK, "Mc": MARK, "Me": MARK, "Cf": IGNORED, "So": SYMBOL, "Sm": SYMBOL, "Pd": SYMBOL,
    "Zs": SPACE, "Zl": NEWLINE, "Zp": NEWLINE,
}  # fmt: skip


TABLES = Path(__file__).with_name("unicode_classes.bin")
"""A line with the Unicode version, then zlib: one byte of class for each code point, then four bytes, lowest first, for
each that may fold: the bits in which its fold differs from it, then a byte for each of these: 1 for punctuation."""


@cache
def class_table() -> npt.NDArray[np.uint8]:
    """uint8[0x110000], read-only: the class of every code point."""
    return np.frombuffer(_stored(), np.uint8, count=_CODE_POINTS)


@cache
def fold_table() -> npt.NDArray[np.uint32]:
    """uint32[0x20000], read-only: each code point in simple lower case; no letter beyond has case.

    `str.lower` where it gives one code point, plus final sigma as sigma, so that capitals and small letters of a
    word agree, and `’` as `'`. Never locale-dependent; U+0130 stays itself, for its lower case takes two code points.
    """
    changed = np.frombuffer(_stored(), "<u4", count=_FOLDED, offset=_CODE_POINTS)
    table = np.arange(_FOLDED, dtype=np.uint32) ^ changed.astype(np.uint32)
    table.flags.writeable = False
    return table


@cache
def punctuation_table() -> npt.NDArray[np.uint8]:
    """uint8[0x20000], read-only: 1 where a code point is punctuation (general category P); none lies beyond."""
    return np.frombuffer(_stored(), np.uint8, count=_FOLDED, offset=_CODE_POINTS + 4 * _FOLDED)


@cache
def _stored() -> bytes:
    return zlib.decompress(TABLES.read_bytes().partition(b"\n")[2])


def tables_version() -> str:
    """The Unicode version that the stored tables follow."""
    return TABLES.read_bytes().partition(b"\n")[0].decode().rpartition(" ")[2]


def write_tables() -> None:
    """Store the tables as this Python's `unicodedata` has them."""
    head = f"classes and folds of code points, Unicode {unicodedata.unidata_version}\n".encode()
    changed = build_fold_table() ^ np.arange(_FOLDED, dtype=np.uint32)
    tables = build_class_table().tobytes(), changed.astype("<u4").tobytes(), build_punctuation_table().tobytes()
    TABLES.write_bytes(head + zlib.compress(b"".join(tables), 9))


def build_class_table() -> npt.NDArray[np.uint8]:
    """`class_table` from this Python's `unicodedata`."""
    table = np.zeros(_CODE_POINTS, np.uint8)
    for code in (*range(0x20000), *range(0xE0000, 0xE0200)):
        table[code] = _BY_CATEGORY.get(unicodedata.category(chr(code)), OTHER)
    table[:128][table[:128] == SYMBOL] = OTHER
    for first, last in _SINGLE_SCRIPTS:
        _replace(table, first, last, SINGLE, among=(LETTER,))
        for code in range(first, min(last, 0x1FFFF) + 1):
            if unicodedata.category(chr(code)) in ("Nd", "No"):
                table[code] = LETTER
    for code in range(0x20000, 0x34000):
        table[code] = SINGLE if unicodedata.category(chr(code)) == "Lo" else OTHER
    for first, last in _EMOJI:
        table[first : last + 1] = EMOJI
    _replace(table, *_PICTURES, EMOJI, among=(SYMBOL,))
    table[_REGIONAL[0] : _REGIONAL[1] + 1] = REGIONAL
    for first, last in (_SKIN_TONES, _TAGS, _HALFWIDTH_VOICE_MARKS):
        table[first : last + 1] = MARK
    for first, last in _VARIATION_SELECTORS:
        table[first : last + 1] = IGNORED
    table[_ZERO_WIDTH_SPACE] = SPACE
    table[[ord(c) for c in "\t\r\x1c\x1d\x1e\x1f"]] = SPACE
    table[[ord(c) for c in "\n\v\f\x85"]] = NEWLINE
    table[[ord(c) for c in "'\u2019"]] = APOSTROPHE
    table[[ord(c) for c in ".\u2026"]] = PERIOD
    table[[ord(c) for c in "!?"]] = EXCLAMATION
    table[[ord(c) for c in _FULL_STOPS]] = FULL_STOP
    return table


def build_fold_table() -> npt.NDArray[np.uint32]:
    """`fold_table` from this Python's `unicodedata`."""
    table = np.arange(_FOLDED, dtype=np.uint32)
    for code in range(_FOLDED):
        lower = chr(code).lower()
        if len(lower) == 1:
            table[code] = ord(lower)
    table[ord("ς")] = ord("σ")
    table[0x2019] = ord("'")
    return table


def build_punctuation_table() -> npt.NDArray[np.uint8]:
    """`punctuation_table` from this Python's `unicodedata`."""
    category = unicodedata.category
    return np.fromiter((category(chr(code))[0] == "P" for code in range(_FOLDED)), np.uint8, _FOLDED)


def _replace(table: npt.NDArray[np.uint8], first: int, last: int, new: int, *, among: tuple[int, ...]) -> None:
    part = table[first : last + 1]
    part[np.isin(part, among)] = new
