"""Kernels that cut UTF-8 bytes into words and sentences; `detectors.words` says what a word is."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, compiled, inlined, load8, trailing_zeros
from detectors.ngrams import BASE
from detectors.sentences import ENDED, flags_of, gap_after, gap_with
from detectors.simd import count_ones, lead_mask, text_masks
from detectors.unicode_classes import (
    APOSTROPHE,
    EMOJI,
    IGNORED,
    LETTER,
    MARK,
    REGIONAL,
    SINGLE,
    SYMBOL,
    UPPER,
    fold_table,
)

__all__ = ["INVALID", "count_characters", "decode", "encoded_folds", "segment_documents"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

INVALID = 0xD800
"""What a byte that is not part of valid UTF-8 decodes to: a surrogate, which separates words."""
_ZERO_WIDTH_JOINER = 0x200D
_VARIATION_16 = 0xFE0F

_SEED = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIER = np.uint64(0xD6E8FEB86659FD93)
_FINAL = np.uint64(0xFF51AFD7ED558CCD)

_ALL, _ONE = np.uint64(0xFFFFFFFFFFFFFFFF), np.uint64(1)
_BLOCK = 64


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
            while at + _BLOCK <= end:
                count += count_ones(lead_mask(data, at))
                at += _BLOCK
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


@cache
def encoded_folds() -> U32:
    """uint32[0x20000], read-only: UTF-8 of every code point in simple lower case, first byte lowest."""
    folds = fold_table().astype(np.uint32)
    tail = np.uint32(0x80) | folds & np.uint32(0x3F)
    second = np.uint32(0x80) | folds >> 6 & np.uint32(0x3F)
    third = np.uint32(0x80) | folds >> 12 & np.uint32(0x3F)
    two = np.uint32(0xC0) | folds >> 6 | tail << 8
    three = np.uint32(0xE0) | folds >> 12 | second << 8 | tail << 16
    four = np.uint32(0xF0) | folds >> 18 | third << 8 | second << 16 | tail << 24
    table = np.select([folds < 0x80, folds < 0x800, folds < 0x10000], [folds, two, three], four).astype(np.uint32)
    table.flags.writeable = False
    return table


@inlined
def _push(
    state: np.uint64, chunk: np.uint64, shift: int, code: np.uint64, bits: int
) -> tuple[np.uint64, np.uint64, int]:
    """Append `bits` bits of UTF-8, first byte lowest."""
    chunk |= code << np.uint64(shift)
    shift += bits
    if shift < 64:
        return state, chunk, shift
    state, shift = _stir(state, chunk), shift - 64
    # A shift by 64 is no shift at all on some machines.
    return (
        state,
        (code >> np.uint64(bits - shift - 1)) >> np.uint64(1) if shift == 0 else code >> np.uint64(bits - shift),
        shift,
    )


@inlined
def _push_point(
    state: np.uint64, chunk: np.uint64, shift: int, point: int, folds: U32
) -> tuple[np.uint64, np.uint64, int]:
    if point < folds.size:
        code = np.uint64(folds[point])
    else:
        code = np.uint64(0xF0 | point >> 18 | (0x80 | point >> 12 & 0x3F) << 8)
        code |= np.uint64((0x80 | point >> 6 & 0x3F) << 16 | (0x80 | point & 0x3F) << 24)
    bits = 8
    if code >= np.uint64(0x100):
        bits = 16 if code < np.uint64(0x10000) else (24 if code < np.uint64(0x1000000) else 32)
    return _push(state, chunk, shift, code, bits)


@inlined
def _finish(state: np.uint64, chunk: np.uint64, shift: int) -> np.uint64:
    if shift:
        state = _stir(state, chunk)
    state *= _FINAL
    return state ^ (state >> np.uint64(32))


@bare
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
def _chunk(data: U8, at: int) -> np.uint64:
    """Eight bytes from `at` on, zeros where the buffer has ended."""
    if at + 8 <= data.size:
        return load8(data, at)
    chunk = np.uint64(0)
    for i in range(at, data.size):
        chunk |= np.uint64(data[i]) << np.uint64(8 * (i - at))
    return chunk


@inlined
def _lowered(chunk: np.uint64) -> np.uint64:
    """Eight ASCII letters, digits, apostrophes or zeros, the letters in lower case."""
    return chunk | (chunk & np.uint64(0x4040404040404040)) >> np.uint64(1)


@inlined
def _plain_hash(data: U8, start: int, stop: int) -> np.uint64:
    """Hash of a word of ASCII letters, digits and inner apostrophes."""
    state, rest = _SEED, stop - start
    while rest > 8:
        state = _stir(state, _lowered(_chunk(data, start)))
        start += 8
        rest -= 8
    kept = _chunk(data, start) & (_ALL >> np.uint64(64 - 8 * rest))
    state = _stir(state, _lowered(kept)) * _FINAL
    return state ^ (state >> np.uint64(32))


@bare
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
            state, chunk, shift = _push(state, chunk, shift, np.uint64(byte | 0x20 if kind == UPPER else byte), 8)
        elif kind != IGNORED:
            state, chunk, shift = _push_point(state, chunk, shift, point, folds)
        at += width
        characters += 1
    return at, characters, _finish(state, chunk, shift)


@bare
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
def _is_extended(data: U8, classes: U8, at: int, end: int) -> bool:
    """Whether the character at `at` belongs to the ideograph or syllable sign before it."""
    # Nothing in ASCII does, nor from U+4000 to U+9FFF.
    if at >= end or data[at] < 0x80 or 0xE4 <= data[at] <= 0xE9:
        return False
    kind = classes[decode(data, at, end)[0]]
    return kind in (MARK, IGNORED)


@inlined
def _single_hash(data: U8, at: int, width: int) -> np.uint64:
    """Hash of one character that has no case, from its bytes as they are."""
    chunk = _chunk(data, at) & (_ALL >> np.uint64(64 - 8 * width))
    state = _stir(_SEED, chunk) * _FINAL
    return state ^ (state >> np.uint64(32))


@bare
def segment_documents(
    data: U8,
    offsets: I64,
    classes: U8,
    folds: U32,
    document: int,
    doc_offsets: I64,
    word: int,
    outputs: tuple[I64, I64, U64, I32, U8, U64],
    padded: U8,
) -> int:
    """Segment documents from `document` on while their words are sure to fit; return the first that was not done.

    `doc_offsets[d + 1]` is written for each document done. `outputs` are start, end, hash, characters, flags
    and, one longer, the prefix polynomial of `detectors.ngrams`; `padded` is room for 64 bytes.
    """
    starts, ends, hashes, lengths, flags, prefix = outputs
    running = prefix[word]
    while document < offsets.size - 1:
        at, end = offsets[document], offsets[document + 1]
        # No two words are shorter together than two bytes and a separator, or a byte and a three-byte character.
        if word + (end - at + 1) // 2 > starts.size:
            break
        # `after`: the byte after the last word or separator; `start`: of the plain word that is open, or -1.
        gap, after_initial, after, start = ENDED, False, at, -1
        while at < end:
            if at + _BLOCK <= data.size:
                plain, high, apostrophes = text_masks(data, at)
            else:
                for i in range(_BLOCK):
                    padded[i] = data[at + i] if at + i < end else 0
                plain, high, apostrophes = text_masks(padded, 0)
            if end - at < _BLOCK:
                valid = _ALL >> np.uint64(_BLOCK - (end - at))
                plain, high, apostrophes = plain & valid, high & valid, apostrophes & valid
            odd = high
            open_word = np.uint64(start >= 0)
            if apostrophes:
                # With a plain letter on both sides it is part of the word; before a byte beyond ASCII it may be.
                following = int(data[at + _BLOCK]) if at + _BLOCK < end else 0
                last, one = np.uint64(63), np.uint64(1)
                next_plain = np.uint64(0 < classes[following] <= UPPER and following < 0x80) << last
                next_high = np.uint64(following >= 0x80) << last
                odd |= apostrophes & (high >> one | next_high)
                plain |= apostrophes & (plain << one | open_word) & (plain >> one | next_plain)
            events = plain ^ (plain << np.uint64(1) | open_word) | high
            block, at = at, at + _BLOCK
            while events:
                bit = trailing_zeros(events)
                events &= events - np.uint64(1)
                place, shift = block + bit, np.uint64(bit)
                if start < 0 and (high >> shift) & np.uint64(1) == 0:
                    start = place
                    continue
                if start >= 0 and (odd >> shift) & np.uint64(1) == 0:
                    kind = int(classes[np.uint64(data[np.uint64(start)])])
                    gap = gap_after(data, classes, gap, after, start)
                    slot = np.uint64(word)
                    starts[slot], ends[slot], hashes[slot] = start, place, _plain_hash(data, start, place)
                    lengths[slot] = place - start
                    flags[slot] = flags_of(gap, kind, after_initial)
                    running = running * BASE + hashes[slot]
                    prefix[slot + _ONE] = running
                    gap, after_initial = 0, kind == UPPER and place == start + 1
                    word += 1
                    start, after = -1, place
                    continue
                # Beyond ASCII: one character after the other, then a block from where ASCII begins again.
                at = start if start >= 0 else place
                gap = gap_after(data, classes, gap, after, at)
                start = -1
                while True:
                    point, width = decode(data, at, end)
                    kind = int(classes[point])
                    characters = 1
                    if kind == SINGLE and not _is_extended(data, classes, at + width, end):
                        stop, code = at + width, _single_hash(data, at, width)
                    elif LETTER <= kind <= UPPER:
                        stop, characters, code = _joined_word(data, classes, folds, at, end)
                    elif kind in (SINGLE, REGIONAL) or (
                        EMOJI <= kind <= SYMBOL and _is_picture(data, classes, at, end)
                    ):
                        stop, characters, code = _lone_word(data, classes, folds, at, end)
                    else:
                        stop, characters, code = at + width, 0, np.uint64(0)
                        gap = gap_with(gap, kind)
                    if characters:
                        starts[word], ends[word], hashes[word], lengths[word] = at, stop, code, characters
                        flags[word] = flags_of(gap, kind, after_initial)
                        running = running * BASE + code
                        prefix[np.uint64(word + 1)] = running
                        gap, after_initial = 0, kind == UPPER and characters == 1
                        word += 1
                    at = after = stop
                    if at >= end or data[np.uint64(at)] < 0x80:
                        break
                break
        if start >= 0:
            kind = int(classes[data[start]])
            gap = gap_after(data, classes, gap, after, start)
            starts[word], ends[word], hashes[word] = start, end, _plain_hash(data, start, end)
            lengths[word], flags[word] = end - start, flags_of(gap, kind, after_initial)
            running = running * BASE + hashes[word]
            prefix[word + 1] = running
            word += 1
        document += 1
        doc_offsets[document] = word
    return document
