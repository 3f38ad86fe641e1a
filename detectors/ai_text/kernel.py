"""The compiled loop over a batch: folds the bytes of each window, hashes n-grams, and sums weights or emits buckets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.ai_text.folding import COLLAPSING, LANE_BITS, LANES, SPACE
from detectors.jit import compiled, inlined, load8

__all__ = ["BUCKET_BITS", "GRAM", "STATS", "WINDOW_BYTES", "run_documents"]

U8 = npt.NDArray[np.uint8]
I8 = npt.NDArray[np.int8]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

Whole = int | np.int64

BUCKET_BITS = 18
WINDOW_BYTES = 8192
STATS = ("characters", *LANES)
"""Counters of a document, in column order."""

GRAM = 5
"""Length of character n-grams in codes; windows of fewer have none."""

_STATS = len(STATS)
_SHIFT = np.uint64(64 - BUCKET_BITS)
_GRAM_MASK, _GRAM = np.uint64((1 << 40) - 1), np.uint64(0xD6E8FEB86659FD93)
_WORD, _PAIR = np.uint64(0x8EBC6AF09C88C6E3), np.uint64(0x589965CC75374CC3)
_MARK, _BEFORE = np.uint64(0x94D049BB133111EB), np.uint64(0xBF58476D1CE4E5B9)
_ONE, _EIGHT, _MIX, _NONE = np.uint64(1), np.uint64(8), np.uint64(29), np.uint64(0)
_CODE, _CLASS, _SECOND = np.uint64(255), np.uint64(31), np.uint64(16)
_LANE, _LANE_MASK = np.uint64(LANE_BITS), np.uint64((1 << LANE_BITS) - 1)
_SEVEN, _LAST, _LOW7 = np.uint64(7), np.uint64(56), np.uint64(127)
_EACH_ONE, _EACH_HIGH = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
_EACH_02, _EACH_05, _EACH_1F = (
    np.uint64(0x0202020202020202),
    np.uint64(0x0505050505050505),
    np.uint64(0x1F1F1F1F1F1F1F1F),
)
_EACH_20, _EACH_2E = np.uint64(0x2020202020202020), np.uint64(0x2E2E2E2E2E2E2E2E)
_EACH_LOW7 = np.uint64(0x7F7F7F7F7F7F7F7F)
_FOLDED_SPACE, _LETTERS, _VANISHED = np.uint64(SPACE), np.uint64(COLLAPSING), np.uint64(0)
_ASTRAL = 0x25A1  # one symbol stands for everything outside the Basic Multilingual Plane
_MARK_BYTES = 24


@inlined
def _decode(data: U8, at: Whole, end: Whole) -> tuple[Whole, Whole]:
    """(code point of the Basic Multilingual Plane, next byte) of the character whose lead byte, 0xC0 or more, is `at`.

    Continuation bytes that are missing are left out, so nothing beyond `end` is read whatever the bytes are.
    """
    lead = np.int64(data[at])
    if 0xE0 <= lead < 0xF0 and at + 2 < end:
        one, two = np.int64(data[at + 1]) ^ 0x80, np.int64(data[at + 2]) ^ 0x80
        if (one | two) < 0x40:
            return ((lead & 0x0F) << 12) | (one << 6) | two, at + 3
    length = 2 if lead < 0xE0 else (3 if lead < 0xF0 else 4)
    point: Whole = lead & (0x7F >> length)
    at += 1
    for _ in range(length - 1):
        if at < end and (data[at] & 0xC0) == 0x80:
            point = (point << 6) | (np.int64(data[at]) & 0x3F)
            at += 1
    if point > 0xFFFF:
        point = _ASTRAL
    return point, at


@inlined
def _zero_bytes(block: np.uint64) -> np.uint64:
    """The high bit of each byte that is 0; no byte may be over 127."""
    return ~(block + _EACH_LOW7) & _EACH_HIGH


@compiled
def _fold(
    data: U8, low: Whole, high: Whole, ascii_: U64, fold: U32, lanes: U64, text: U8
) -> tuple[Whole, np.uint64, Whole]:
    """Fold bytes `low` to `high` into `text`, framed by spaces; returns (its length, lane sums, characters)."""
    text[0] = SPACE
    k = np.uint64(1)
    sums = _NONE
    previous = _FOLDED_SPACE
    characters = high - low
    at: Whole = low
    slow: Whole = low
    while at < high:
        if slow <= at <= high - 8:
            block = load8(data, int(at))
            if block & _EACH_HIGH == _NONE:
                lower = block | _EACH_20
                letters = (lower + _EACH_1F) & ~(lower + _EACH_05) & _EACH_HIGH
                full_stops = _zero_bytes((block | _EACH_02) ^ _EACH_2E)
                plain = letters | full_stops | _zero_bytes(block ^ _EACH_20)
                repeated = _zero_bytes(lower ^ ((lower << _EIGHT) | (previous & _LOW7)))
                if plain == _EACH_HIGH and repeated & ~letters == _NONE:
                    for byte_of in range(8):
                        text[k + np.uint64(byte_of)] = np.uint8(lower >> np.uint64(8 * byte_of))
                    k += _EIGHT
                    previous = lower >> _LAST
                    sums += ((letters >> _SEVEN) * _EACH_ONE) >> _LAST
                    sums += (((letters | full_stops) >> _SEVEN) * _EACH_ONE) >> _LAST << _LANE
                    at += 8
                    continue
            slow = at + 8
        byte = data[np.uint64(at)]
        if byte < 0x80:
            entry = ascii_[byte]
            code = entry & _CODE
            sums += entry >> _EIGHT
            at += 1
        elif byte < 0xC0:
            at += 1  # a stray continuation byte
            characters -= 1
            continue
        else:
            point, after = _decode(data, at, high)
            folded = np.uint64(fold[point])
            code = folded & _CODE
            sums += lanes[(folded >> _EIGHT) & _CLASS]
            second = folded >> _SECOND
            text[k] = np.uint8(second)
            k += np.uint64(second != _VANISHED)
            characters -= after - at - 1
            at = after
        # No branch: whether a character is kept cannot be guessed, and a wrong guess costs more than the arithmetic.
        text[k] = np.uint8(code)
        k += np.uint64((code != _VANISHED) & ((code != previous) | (code >= _LETTERS)))
        previous = code if code != _VANISHED else previous
    if previous != _FOLDED_SPACE:
        text[k] = SPACE
        k += _ONE
    return np.int64(k), sums, characters


@inlined
def _marks(data: U8, low: Whole, high: Whole, ascii_: U64, fold: U32) -> np.uint64:
    """Hash of the marks between two words, runs once, white space left out; 0 where there are none."""
    if high == low + 2 and data[low + 1] == SPACE and data[low] < 0x80:  # one mark and a space, the usual case
        code = ascii_[data[low]] & _CODE
        return code * _BEFORE if code != _FOLDED_SPACE else _NONE
    high = min(high, low + _MARK_BYTES)
    found = _NONE
    previous = _FOLDED_SPACE
    at: Whole = low
    while at < high:
        byte = data[at]
        if byte < 0x80:
            code = ascii_[byte] & _CODE
            at += 1
        elif byte < 0xC0:
            at += 1
            continue
        else:
            point, at = _decode(data, at, high)
            code = np.uint64(fold[point]) & _CODE
        if code != _VANISHED and code != previous and code != _FOLDED_SPACE:
            found = (found ^ code) * _BEFORE
            previous = code
    return found


@inlined
def _visit(hashed: np.uint64, weights: I8, out: I32 | None, total: Whole, count: Whole) -> tuple[Whole, Whole]:
    """Add the weight of a hash's bucket, or emit the bucket: numba compiles one or the other, never the question."""
    bucket = hashed >> _SHIFT
    if out is None:
        total += np.int64(weights[bucket])
    else:
        out[count] = np.int32(bucket)
    return total, count + 1


@compiled
def _characters(text: U8, size: Whole, weights: I8, out: I32 | None) -> tuple[Whole, Whole]:
    """Sum or emit the 5-grams of folded characters."""
    total: Whole = 0
    count: Whole = 0
    for at in range(int(size) - GRAM + 1):
        total, count = _visit((load8(text, at) & _GRAM_MASK) * _GRAM, weights, out, total, count)
    return total, count


@compiled
def _words(
    data: U8,
    edge: int,
    stop: int,
    first: int,
    word: int,
    end_word: int,
    spans: tuple[I64, I64, U64],
    ascii_: U64,
    fold: U32,
    weights: I8,
    places: I64,
    out: I32 | None,
) -> tuple[Whole, Whole, int]:
    """Sum or emit the features of words from `word` on that start before byte `edge`; returns where they end too.

    Each word, each pair of neighbours (`first` is the first word of the document), and where marks follow a word, word
    and marks, marks, and marks and next word.
    """
    start, end, hashes = spans
    total: Whole = 0
    count: Whole = 0
    last = word
    if edge == stop:
        last = end_word
    while last < end_word and start[np.uint64(last)] < edge:
        last += 1
    if word == first and word < last:
        total, count = _visit(hashes[word] * _WORD, weights, out, total, count)
    for k in range(max(word, first + 1), last):
        at = np.uint64(k)  # numba asks of a signed index whether it is negative
        before, hashed = hashes[at - _ONE], hashes[at]
        total, count = _visit(hashed * _WORD, weights, out, total, count)
        total, count = _visit(((before ^ (before >> _MIX)) * _PAIR + hashed) * _WORD, weights, out, total, count)
    # Which words marks follow cannot be guessed: they are listed first, without asking, and then looked at.
    marked = 0
    for k in range(word, last):
        at = np.uint64(k)
        low = end[at]
        high = start[at + _ONE] if k + 1 < end_word else stop
        places[np.uint64(marked)] = k
        # Where a document ends with its last word, `high` is `low`, and what is read there is not used.
        marked += int(high > low + 1) | (int(high > low) & int(data[np.uint64(min(low, data.size - 1))] != SPACE))
    for i in range(marked):
        k = places[i]
        at = np.uint64(k)
        high = start[at + _ONE] if k + 1 < end_word else stop
        marks = _marks(data, end[at], high, ascii_, fold)
        if marks != _NONE:
            total, count = _visit((hashes[at] + marks) * _MARK, weights, out, total, count)
            total, count = _visit(marks * _MARK, weights, out, total, count)
            if k + 1 < end_word:
                total, count = _visit((hashes[at + _ONE] ^ marks) * _BEFORE, weights, out, total, count)
    return total, count, last


@compiled
def run_documents(
    data: U8,
    offsets: I64,
    doc_offsets: I64,
    spans: tuple[I64, I64, U64],
    fold: U32,
    lanes: U64,
    weights: I8,
    out: I32 | None,
) -> tuple[F64, I64, I64]:
    """Run every document: with `out` emit its first window's buckets there, else sum weights over all windows.

    Returns sums float64[n] (0 when emitting), buckets int64[n], counters int64[n, len(STATS)].
    """
    n = offsets.size - 1
    sums, counts, stats = np.zeros(n), np.zeros(n, np.int64), np.zeros((n, _STATS), np.int64)
    text = np.zeros(WINDOW_BYTES + 64, np.uint8)
    # No window has more words than bytes, but one goes on to the end of its last character.
    places = np.empty(WINDOW_BYTES + 64, np.int64)
    ascii_ = np.empty(128, np.uint64)
    for point in range(128):
        folded = np.uint64(fold[point])
        ascii_[point] = (folded & _CODE) | (lanes[(folded >> _EIGHT) & _CLASS] << _EIGHT)
    written: Whole = 0
    for row in range(n):
        low, stop = offsets[row], offsets[row + 1]
        first, end_word = doc_offsets[row], doc_offsets[row + 1]
        windows = max(1, -(-(stop - low) // WINDOW_BYTES))
        edge, word = low, first
        for window in range(windows):
            begin = edge
            edge = low + (stop - low) * (window + 1) // windows
            for _ in range(3):
                if edge < stop and (data[edge] & 0xC0) == 0x80:
                    edge += 1
            size, tallies, characters = _fold(data, begin, edge, ascii_, fold, lanes, text)
            stats[row, 0] += characters
            for lane in range(1, _STATS):
                stats[row, lane] += np.int64(tallies & _LANE_MASK)
                tallies >>= _LANE
            total, count = _characters(text, size, weights, None if out is None else out[written:])
            written += count
            more, others, word = _words(
                data, edge, stop, first, word, end_word, spans, ascii_, fold, weights, places,
                None if out is None else out[written:],
            )  # fmt: skip
            written += others
            count += others
            counts[row] += count
            sums[row] += (total + more) / np.sqrt(max(count, 1))
            if out is not None:
                break
        sums[row] /= windows
    return sums, counts, stats
