"""Folds characters: what a code point becomes before n-grams are taken, its kind, its script.

Folded text is 16 bits wide; kind, script and flags sit above it in one uint32 a code point.
"""

from __future__ import annotations

import unicodedata

import numpy as np
import numpy.typing as npt

__all__ = ["DIGIT", "DROP", "LETTER", "PUNCT", "SCRIPTS", "SINGLE", "SPACE", "fold_table"]

SCRIPTS = (
    "none",
    "latin",
    "cyrillic",
    "arabic",
    "han",
    "kana",
    "hangul",
    "devanagari",
    "greek",
    "hebrew",
    "thai",
    "other",
)

DROP, SPACE, LETTER, DIGIT, PUNCT, SINGLE = 0, 1, 2, 3, 4, 5
"""Kinds: a mark that vanishes, white space, a letter of a word, a digit, a mark, a letter that is a word."""

_UPPER_BIT, _CODE_BIT = 1 << 24, 1 << 25

_QUOTES = '"“”„‟«»「」『』〝〞'
_APOSTROPHES = "'‘’‚‛ʼ＇`´"
_MARKUP_DROPPED = "*#~•·‣◦▪●`"
_MARKUP_SPACE = "_|<>-‐‑‒–—―−－\\/"


def _script(point: int) -> int:
    spans = (
        (0x0041, 0x024F, 1),
        (0x1E00, 0x1EFF, 1),
        (0x0400, 0x052F, 2),
        (0x0600, 0x06FF, 3),
        (0x0750, 0x077F, 3),
        (0xFB50, 0xFDFF, 3),
        (0xFE70, 0xFEFC, 3),
        (0x3400, 0x4DBF, 4),
        (0x4E00, 0x9FFF, 4),
        (0xF900, 0xFAFF, 4),
        (0x3040, 0x30FF, 5),
        (0x1100, 0x11FF, 6),
        (0xAC00, 0xD7A3, 6),
        (0x0900, 0x097F, 7),
        (0x0370, 0x03FF, 8),
        (0x1F00, 0x1FFF, 8),
        (0x0590, 0x05FF, 9),
        (0x0E00, 0x0E7F, 10),
    )
    return next((script for low, high, script in spans if low <= point <= high), 11)


def _fold_character(point: int) -> tuple[int, int]:
    """Return (kind, folded code point) of one Basic Multilingual Plane code point."""
    raw = chr(point)
    if raw in _APOSTROPHES and raw != "`":
        return PUNCT, ord("'")
    if raw in _MARKUP_DROPPED:
        return DROP, 0
    if raw in _MARKUP_SPACE:
        return SPACE, 32
    if raw in _QUOTES:
        return PUNCT, ord('"')
    if 0x0300 <= point <= 0x036F or 0x0591 <= point <= 0x05C7 or 0x064B <= point <= 0x065F or point in (0x640, 0x670):
        return DROP, 0
    if raw.isspace() or unicodedata.category(raw) == "Zs":
        return SPACE, 32
    if unicodedata.category(raw) in ("Cc", "Cf", "Cs", "Co", "Cn"):
        return DROP, 0
    folded = unicodedata.normalize("NFKD", raw)[0] if _script(point) != 6 else raw
    folded = folded.lower()[0]
    category = unicodedata.category(folded)
    value = ord(folded) if ord(folded) < 0x10000 else 0xFFFD
    if category[0] in "LM":
        return (SINGLE if _script(value) in (4, 5, 10) else LETTER), value
    if category[0] == "N":
        return DIGIT, ord("0")
    if category[0] == "S":
        return PUNCT, 0xA4
    return PUNCT, value


def fold_table() -> npt.NDArray[np.uint32]:
    """uint32[65536]: for each code point its folded form (bits 0-15), kind (16-19), script (20-23) and flags.

    Curly and straight quotes, every dash and a space, NBSP, newlines and runs of white space, upper and lower case,
    accents and their absence, full and half width, one number and another fold together; Markdown marks, zero-width
    characters and Arabic vowel signs vanish. It is stored with the model, so that a newer Unicode version of Python
    cannot change a score.
    """
    table = np.zeros(1 << 16, np.uint32)
    for point in range(1 << 16):
        kind, folded = _fold_character(point)
        raw = chr(point)
        script = _script(point) if kind in (LETTER, SINGLE) else 0
        upper = _UPPER_BIT if kind == LETTER and raw != raw.lower() else 0
        code = _CODE_BIT if raw in "{}[]=<>\\|$@^~&+_" else 0
        table[point] = folded | kind << 16 | script << 20 | upper | code
    return table
