"""Kernels that cut UTF-8 bytes into words and sentences; `detectors.words` says what a word is."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled, inlined, load8, trailing_zeros
from detectors.unicode_classes import (
    APOSTROPHE,
    EMOJI,
    EXCLAMATION,
    FULL_STOP,
    IGNORED,
    LETTER,
    LOWER,
    MARK,
    NEWLINE,
    PERIOD,
    REGIONAL,
    SINGLE,
    SPACE,
    SYMBOL,
    UPPER,
)

__all__ = ["CAPITAL", "INVALID", "SENTENCE_START", "count_characters", "decode", "segment_documents"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

SENTENCE_START = 1
CAPITAL = 2

INVALID = 0xD800
"""What a byte that is not part of valid UTF-8 decodes to: a surrogate, which separates words."""
_ZERO_WIDTH_JOINER = 0x200D
_VARIATION_16 = 0xFE0F

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_FINAL = np.uint64(0xFF51AFD7ED558CCD)

_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_HIGH_BITS = np.uint64(0x8080808080808080)

# What stands between two words, as far as sentences care.
_STOPPED = 1
_SPACED = 2
_BROKEN = 4
_ENDED = 8
_EXCLAIMED = 16


@inlined
def decode(data: U8, at: int, end: int) -> tuple[int, int]:
    """Code point and its width in bytes at `at` (< `end`); `(INVALID, 1)` for a byte outside valid UTF-8 (RFC 3629)."""
    b0 = int(data[at])
    if b0 < 0x80:
        return b0, 1
    if b0 < 0xC2 or b0 > 0xF4 or at + 1 >= end:
        return INVALID, 1
    b1 = int(data[at + 1])
    if b1 & 0xC0 != 0x80:
        return INVALID, 1
    if b0 < 0xE0:
        return (b0 & 0x1F) << 6 | b1 & 0x3F, 2
    if at + 2 >= end:
        return INVALID, 1
    b2 = int(data[at + 2])
    if b2 & 0xC0 != 0x80:
        return INVALID, 1
    if b0 < 0xF0:
        point = (b0 & 0x0F) << 12 | (b1 & 0x3F) << 6 | b2 & 0x3F
        if point < 0x800 or 0xD800 <= point <= 0xDFFF:
            return INVALID, 1
        return point, 3
    if at + 3 >= end:
        return INVALID, 1
    b3 = int(data[at + 3])
    if b3 & 0xC0 != 0x80:
        return INVALID, 1
    point = (b0 & 0x07) << 18 | (b1 & 0x3F) << 12 | (b2 & 0x3F) << 6 | b3 & 0x3F
    if point < 0x10000 or point > 0x10FFFF:
        return INVALID, 1
    return point, 4


@compiled
def count_characters(data: U8, offsets: I64, valid: npt.NDArray[np.bool_]) -> I64:
    """int64[n]: code points of each document; a byte outside valid UTF-8 counts as one."""
    counts = np.zeros(offsets.size - 1, np.int64)
    for document in range(counts.size):
        at, end = offsets[document], offsets[document + 1]
        count = 0
        if valid[document]:
            for i in range(at, end):
                count += data[i] & 0xC0 != 0x80
        else:
            while at < end:
                at += decode(data, at, end)[1]
                count += 1
        counts[document] = count
    return counts


@inlined
def _stir(state: np.uint64, chunk: np.uint64) -> np.uint64:
    state = (state ^ chunk) * _MULTIPLIER
    return state ^ (state >> np.uint64(32))


@inlined
def _push(state: np.uint64, chunk: np.uint64, shift: int, byte: int) -> tuple[np.uint64, np.uint64, int]:
    chunk |= np.uint64(byte) << np.uint64(shift)
    if shift == 56:
        return _stir(state, chunk), np.uint64(0), 0
    return state, chunk, shift + 8


@compiled
def _push_point(
    state: np.uint64, chunk: np.uint64, shift: int, point: int, folds: U32
) -> tuple[np.uint64, np.uint64, int]:
    if point < folds.size:
        point = int(folds[point])
    if point < 0x80:
        return _push(state, chunk, shift, point)
    if point < 0x800:
        state, chunk, shift = _push(state, chunk, shift, 0xC0 | point >> 6)
        return _push(state, chunk, shift, 0x80 | point & 0x3F)
    if point < 0x10000:
        state, chunk, shift = _push(state, chunk, shift, 0xE0 | point >> 12)
    else:
        state, chunk, shift = _push(state, chunk, shift, 0xF0 | point >> 18)
        state, chunk, shift = _push(state, chunk, shift, 0x80 | point >> 12 & 0x3F)
    state, chunk, shift = _push(state, chunk, shift, 0x80 | point >> 6 & 0x3F)
    return _push(state, chunk, shift, 0x80 | point & 0x3F)


@compiled
def _finish(state: np.uint64, chunk: np.uint64, shift: int) -> np.uint64:
    if shift:
        state = _stir(state, chunk)
    state *= _FINAL
    return state ^ (state >> np.uint64(32))


@compiled
def _is_picture(data: U8, classes: U8, at: int, end: int) -> bool:
    """Whether an emoji starts at `at`: one by default, or a symbol that U+FE0F follows."""
    if at >= end:
        return False
    point, width = decode(data, at, end)
    kind = classes[point]
    if kind == SYMBOL and at + width < end:
        return decode(data, at + width, end)[0] == _VARIATION_16
    return bool(kind == EMOJI)


@inlined
def _plain_run(block: np.uint64) -> tuple[int, np.uint64]:
    """How many of eight bytes, from the lowest on, are ASCII letters or digits; those in lower case, others zero."""
    low = block & _LOW_BITS
    lowered = low | np.uint64(0x2020202020202020)
    # The high bit of each byte, by additions that carry into it from `first` on and again after `last`.
    letters = (lowered + np.uint64(0x1F1F1F1F1F1F1F1F)) & ~(lowered + np.uint64(0x0505050505050505))
    digits = (low + np.uint64(0x5050505050505050)) & ~(low + np.uint64(0x4646464646464646))
    others = ~(letters | digits) | block
    others &= _HIGH_BITS
    capitals = letters & ~(low << np.uint64(2)) & _HIGH_BITS
    folded = block | capitals >> np.uint64(2)
    if others == 0:
        return 8, folded
    run = trailing_zeros(others) >> 3
    return run, folded & ((np.uint64(1) << np.uint64(8 * run)) - np.uint64(1))


@inlined
def _plain_word(data: U8, classes: U8, at: int, end: int) -> tuple[int, np.uint64]:
    """End and hash of the word of ASCII letters and digits at `at`; end 0 if it may go on otherwise or ends late."""
    state = _SEED
    while at + 8 <= end:
        run, chunk = _plain_run(load8(data, at))
        if run:
            state = _stir(state, chunk)
        at += run
        if run < 8:
            if data[at] >= 0x80 or classes[data[at]] == APOSTROPHE:
                return 0, state
            state *= _FINAL
            return at, state ^ (state >> np.uint64(32))
    return 0, state


@compiled
def _joined_word(data: U8, classes: U8, folds: U32, at: int, end: int) -> tuple[int, int, np.uint64]:
    """End, length in code points and hash of the word of letters, digits, marks and inner apostrophes at `at`."""
    state, chunk, shift, characters = _SEED, np.uint64(0), 0, 0
    while at < end:
        byte = data[at]
        point, width = int(byte), 1
        if byte >= 0x80:
            point, width = decode(data, at, end)
        kind = classes[point]
        if kind == APOSTROPHE:
            if at + width >= end or not LETTER <= classes[decode(data, at + width, end)[0]] <= UPPER:
                break
        elif kind == 0 or kind > IGNORED or kind == SINGLE:
            break
        if byte < 0x80:
            state, chunk, shift = _push(state, chunk, shift, byte | 0x20 if kind == UPPER else byte)
        elif kind != IGNORED:
            state, chunk, shift = _push_point(state, chunk, shift, point, folds)
        at += width
        characters += 1
    return at, characters, _finish(state, chunk, shift)


@compiled
def _lone_word(data: U8, classes: U8, folds: U32, at: int, end: int) -> tuple[int, int, np.uint64]:
    """End, length and hash of the ideograph, syllable sign, flag or emoji at `at` with all that extends it."""
    point, width = decode(data, at, end)
    kind = classes[point]
    state, chunk, shift = _push_point(_SEED, np.uint64(0), 0, point, folds)
    at += width
    characters = 1
    flag = kind == REGIONAL
    while at < end:
        before = point
        point, width = decode(data, at, end)
        follows = classes[point]
        joined = before == _ZERO_WIDTH_JOINER and kind != SINGLE and kind != REGIONAL
        if not (
            follows in (MARK, IGNORED)
            or (flag and follows == REGIONAL)
            or (joined and _is_picture(data, classes, at, end))
        ):
            break
        flag = False
        if follows != IGNORED:
            state, chunk, shift = _push_point(state, chunk, shift, point, folds)
        at += width
        characters += 1
    return at, characters, _finish(state, chunk, shift)


@inlined
def _between(gap: int, kind: int) -> int:
    """What the separators since the last word come to when one of class `kind` is added."""
    if kind == SPACE:
        return gap | _SPACED if gap & _STOPPED else gap
    if kind == NEWLINE:
        return gap | (_ENDED if gap & _BROKEN else _BROKEN)
    if kind == PERIOD:
        return gap | _STOPPED
    if kind == EXCLAMATION:
        return gap | _STOPPED | _EXCLAIMED
    if kind == FULL_STOP:
        return gap | _ENDED
    return gap


@inlined
def _starts_sentence(gap: int, kind: int, after_initial: bool) -> bool:
    if gap & _ENDED:
        return True
    if kind == LOWER:
        return False
    if gap & _BROKEN:
        return True
    return gap & _SPACED != 0 and not (after_initial and gap & _EXCLAIMED == 0)


@compiled
def segment_documents(
    data: U8,
    offsets: I64,
    classes: U8,
    folds: U32,
    document: int,
    doc_offsets: I64,
    word: int,
    outputs: tuple[I64, I64, U64, I32, U8],
) -> int:
    """Segment documents from `document` on while their words are sure to fit; return the first that was not done.

    `doc_offsets[d + 1]` is written for each document done. `outputs` are start, end, hash, characters, flags.
    """
    starts, ends, hashes, lengths, flags = outputs
    while document < offsets.size - 1:
        at, end = offsets[document], offsets[document + 1]
        # No two words are shorter together than two bytes and a separator, or a byte and a three-byte character.
        if word + (end - at + 1) // 2 > starts.size:
            break
        gap, after_initial = _ENDED, False
        while at < end:
            byte = data[at]
            point, width = int(byte), 1
            if byte >= 0x80:
                point, width = decode(data, at, end)
            kind = classes[point]
            if kind == SPACE and not gap & _STOPPED:
                at += width
                continue
            if LETTER <= kind <= UPPER:
                stop, code = _plain_word(data, classes, at, end)
                characters = stop - at
                if stop == 0:
                    stop, characters, code = _joined_word(data, classes, folds, at, end)
            elif kind in (SINGLE, REGIONAL) or (EMOJI <= kind <= SYMBOL and _is_picture(data, classes, at, end)):
                stop, characters, code = _lone_word(data, classes, folds, at, end)
            else:
                gap = _between(gap, kind)
                at += width
                continue
            starts[word], ends[word], hashes[word], lengths[word] = at, stop, code, characters
            flag = SENTENCE_START if _starts_sentence(gap, kind, after_initial) else 0
            flags[word] = flag | CAPITAL if kind == UPPER else flag
            gap, after_initial = 0, kind == UPPER and characters == 1
            word += 1
            at = stop
        document += 1
        doc_offsets[document] = word
    return document
