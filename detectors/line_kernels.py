"""What kind of line a line is: a list item, a heading, a question; from its bytes alone, in any language."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import inlined, trailing_zeros
from detectors.simd import equal_mask

__all__ = [
    "BULLET",
    "FENCE",
    "HEADING",
    "NUMBER",
    "QUOTE",
    "TABLE",
    "TEXT",
    "is_bold",
    "is_label",
    "is_question",
    "line_kind",
    "newline",
    "stop_at",
    "stripped",
]

U8 = npt.NDArray[np.uint8]

TEXT, HEADING, QUOTE, BULLET, NUMBER, TABLE, FENCE = 0, 1, 2, 3, 4, 5, 6
_MOST_DIGITS, _MOST_HASHES, _LABEL_BYTES = 3, 6, 32
_LABEL_MASK = np.uint64((1 << _LABEL_BYTES) - 1)
_COLON, _QUESTION = 0x3A, 0x3F


@inlined
def newline(data: U8, at: int, end: int) -> int:
    """Position of the first newline in `[at, end)`; `end` without one."""
    while at < end and at + 64 <= data.size:
        mask = equal_mask(data, at, 10)
        if mask:
            return min(end, at + trailing_zeros(mask))
        at += 64
    while at < end and data[np.uint64(at)] != 10:
        at += 1
    return min(at, end)


@inlined
def stripped(data: U8, first: int, last: int) -> tuple[int, int]:
    """The span without ASCII white space at either end."""
    while first < last and _is_space(data[np.uint64(first)]):
        first += 1
    while first < last and _is_space(data[np.uint64(last - 1)]):
        last -= 1
    return first, last


@inlined
def _is_space(byte: int) -> bool:
    return byte == 32 or 9 <= byte <= 13


@inlined
def _is_blank_at(data: U8, at: int, end: int) -> bool:
    return at >= end or _is_space(data[np.uint64(at)])


@inlined
def line_kind(data: U8, at: int, end: int) -> tuple[int, int]:
    """Kind of the stripped, non-empty line `[at, end)`, and where what follows its marker begins."""
    first = int(data[np.uint64(at)])
    if 0x30 <= first <= 0x39:
        place = at
        while place < end and place - at <= _MOST_DIGITS and 0x30 <= data[np.uint64(place)] <= 0x39:
            place += 1
        marked = place - at <= _MOST_DIGITS and place < end and data[np.uint64(place)] in (0x29, 0x2E)
        if marked and _is_blank_at(data, place + 1, end):
            return NUMBER, place + 1
        return TEXT, at
    if first == 0x2D or first == 0x2A or first == 0x2B:  # - * +
        return (BULLET, at + 1) if at + 1 < end and _is_space(data[np.uint64(at + 1)]) else (TEXT, at)
    if first == 0xE2:  # the bullets U+2022 and U+25CF
        if at + 2 < end:
            second, third = data[np.uint64(at + 1)], data[np.uint64(at + 2)]
            if (second == 0x80 and third == 0xA2) or (second == 0x97 and third == 0x8F):
                return BULLET, at + 3
        return TEXT, at
    if first == 0x23:  # #
        place = at
        while place < end and data[np.uint64(place)] == 0x23:
            place += 1
        return (HEADING, place) if place - at <= _MOST_HASHES and _is_blank_at(data, place, end) else (TEXT, at)
    if first == 0x3E:  # >
        return QUOTE, at + 1
    if first == 0x7C:  # |
        return TABLE, at + 1
    fence = (first == 0x60 or first == 0x7E) and at + 2 < end  # three ` or ~
    if fence and data[np.uint64(at + 1)] == first and data[np.uint64(at + 2)] == first:
        return FENCE, end
    return TEXT, at


@inlined
def is_bold(data: U8, at: int, end: int) -> bool:
    """Whether the line's text begins in bold face, `**` or `__`."""
    while at < end and _is_space(data[np.uint64(at)]):
        at += 1
    if at + 2 >= end:
        return False
    first, second = data[np.uint64(at)], data[np.uint64(at + 1)]
    return (first == 0x2A or first == 0x5F) and second == first and not _is_space(data[np.uint64(at + 2)])


@inlined
def is_label(data: U8, at: int, end: int) -> bool:
    """Whether the line begins with one or two words and a colon, such as `Q:`, `Final answer:`, `**Title:**`."""
    while at < end and _is_mark(data[np.uint64(at)]):
        at += 1
    if at + 64 <= data.size and not (equal_mask(data, at, _COLON) | equal_mask(data, at, 0xEF)) & _LABEL_MASK:
        return False  # most lines: no colon where it would have to stand
    first, spaces = at, 0
    while at < end and at - first < _LABEL_BYTES:
        byte = data[np.uint64(at)]
        if byte == 0xEF and at + 2 < end and data[np.uint64(at + 1)] == 0xBC and data[np.uint64(at + 2)] == 0x9A:
            return at > first  # U+FF1A, after which no space stands
        if byte == _COLON:
            named = at > first
            at += 1
            while at < end and (data[np.uint64(at)] == 0x2A or data[np.uint64(at)] == 0x5F):
                at += 1
            return named and _is_blank_at(data, at, end)
        if byte == 0x20:
            spaces += 1
        elif not (byte >= 0x80 or 0x61 <= byte | 0x20 <= 0x7A or 0x30 <= byte <= 0x39 or _is_mark(byte)):
            return False
        if spaces > 1:
            return False
        at += 1
    return False


@inlined
def _is_mark(byte: int) -> bool:
    return byte == 0x20 or byte == 0x2A or byte == 0x5F


@inlined
def is_question(data: U8, first: int, last: int) -> bool:
    """Whether the stripped line ends in a question mark; quotes, brackets and bold face may follow it."""
    while first < last:
        byte = data[np.uint64(last - 1)]
        if byte == 0x22 or byte == 0x27 or byte == 0x29 or byte == 0x2A or byte == 0x5F:
            last -= 1
        else:
            break
    return first < last and stop_at(data, _character(data, first, last - 1), last)[0] == _QUESTION


@inlined
def _character(data: U8, first: int, at: int) -> int:
    """Where the character begins that the byte at `at` belongs to."""
    while at > first and data[np.uint64(at)] & 0xC0 == 0x80:
        at -= 1
    return at


@inlined
def stop_at(data: U8, at: int, end: int) -> tuple[int, int]:
    """The punctuation at `at` that a skeleton keeps, as the ASCII byte it is like (0: none), and its width in bytes.

    That is `.` `!` `?` `:` `;` and `…`, and what stands for them in Chinese, Japanese, Arabic and Indian scripts.
    """
    byte = int(data[np.uint64(at)])
    if byte < 0x80:
        return (byte if byte in (0x2E, 0x21, _QUESTION, _COLON, 0x3B) else 0), 1
    if byte == 0xD8 and at + 1 < end:
        second = data[np.uint64(at + 1)]
        return (_QUESTION if second == 0x9F else (0x3B if second == 0x9B else 0)), 2
    if byte < 0xE0 or at + 2 >= end:
        return 0, 1
    code = byte << 16 | int(data[np.uint64(at + 1)]) << 8 | int(data[np.uint64(at + 2)])
    if code == 0xE38082 or code == 0xE280A6 or code == 0xE0A5A4 or code == 0xEFBC8E:
        return 0x2E, 3
    if code == 0xEFBC9F:
        return _QUESTION, 3
    if code == 0xEFBC81:
        return 0x21, 3
    if code == 0xEFBC9A:
        return _COLON, 3
    return (0x3B if code == 0xEFBC9B else 0), 3
