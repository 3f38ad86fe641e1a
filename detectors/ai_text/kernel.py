"""The compiled loop over a batch: hashes what stands in each window, looks it up, and sums weights or emits keys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.ai_text.folding import LANE_BITS, LANES, SPACE
from detectors.jit import bare, compiled, inlined, load8, trailing_zeros
from detectors.simd import count_ones, equal_mask, lead_mask, text_masks

__all__ = [
    "CHECK_BITS",
    "COMMON_BITS",
    "KEY_BITS",
    "MAX_PER_BYTE",
    "SLOT_BITS",
    "STATS",
    "WINDOW_BYTES",
    "Views",
    "run_documents",
]

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

Whole = int | np.int64
Views = tuple[I64, I64, U64, I32, U8]
"""Start, end, hash, characters and flags of every word, see `detectors.words.Words`."""

SLOT_BITS = 18
"""Slots of the table of weights, as a power of two."""
CHECK_BITS = 8
KEY_BITS = SLOT_BITS + CHECK_BITS
"""A feature is its key: the slot, and a check that tells it from most others that share the slot."""
COMMON_BITS = 16
"""Size of the bitmap of common words, as a power of two."""
WINDOW_BYTES = 4096
STATS = ("characters", *LANES)
"""Counters of a document, in column order."""
MAX_PER_BYTE = 4
"""A word takes two bytes with what follows, and has seven features at most: itself, its pair, three of the marks that
follow, and two triples."""

_STATS, _ROOM = len(STATS), WINDOW_BYTES + 64
_KEY_SHIFT, _CHECK_SHIFT, _CHECK = np.uint64(64 - KEY_BITS), np.uint64(CHECK_BITS), np.uint64((1 << CHECK_BITS) - 1)
_WEIGHT, _SLOT, _SLOT_SHIFT = np.uint64(255), np.uint64((1 << SLOT_BITS) - 1), np.uint64(SLOT_BITS)
_COMMON_SHIFT = np.uint64(64 - COMMON_BITS)
# Odd constants that keep families of features apart; each is multiplied once more by `_LAST` for its top bits.
_LAST = np.uint64(0x8EBC6AF09C88C6E3)
_PAIR, _TRIPLE = np.uint64(0x589965CC75374CC3), np.uint64(0xE7037ED1A0B428DB)
_GAP, _STARTS = np.uint64(0xA0761D6478BD642F), np.uint64(0x94D049BB133111EB)
_AFTER, _ALONE = np.uint64(0xD6E8FEB86659FD93), np.uint64(0x9E3779B97F4A7C15)
_BEFORE, _MARK = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0xBF58476D1CE4E5B9)
_KIND, _SECOND_KIND, _FIRST_KIND = (
    np.uint64(0xFF51AFD7ED558CCD),
    np.uint64(0xC4CEB9FE1A85EC53),
    np.uint64(0x2545F4914F6CDD1D),
)
_SUFFIX, _LENGTH = np.uint64(0x9FB21C651E98DF25), np.uint64(0xC2B2AE3D27D4EB4F)
_NUMBER, _IDEOGRAPH = np.uint64(0x165667B19E3779F9), np.uint64(0x27D4EB2F165667C5)
_ZERO, _ONE, _SIX, _BIT, _MIX = np.uint64(0), np.uint64(1), np.uint64(6), np.uint64(63), np.uint64(29)
_CODE, _EIGHT = np.uint64(255), np.uint64(8)
_CLASS, _CLASS_SHIFT = np.uint8(31), np.uint32(8)
_LANE, _LANE_MASK = np.uint64(LANE_BITS), np.uint64((1 << LANE_BITS) - 1)
_EACH_40 = np.uint64(0x4040404040404040)
_FOLDED_SPACE, _VANISHED = np.uint64(SPACE), np.uint64(0)
_ASTRAL = 0x25A1  # one symbol stands for everything outside the Basic Multilingual Plane
_MARK_BYTES = 24
_STOP, _COMMA, _BREAK, _HYPHEN = ord("."), ord(","), ord("\n"), ord("-")


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
def _tally_block(data: U8, at: Whole, high: Whole, ascii_: U64, classes: U8, lanes: U64) -> tuple[np.uint64, Whole]:
    """(lane sums, characters) of the 64 bytes from `at` on; a character belongs to the block of its lead byte."""
    # The usual marks, and what counts for nothing, by masks; what is left is rare, and looked up.
    words, beyond, apostrophes = text_masks(data, int(at))
    stops = apostrophes | equal_mask(data, int(at), _STOP) | equal_mask(data, int(at), _COMMA)
    nothing = equal_mask(data, int(at), SPACE) | equal_mask(data, int(at), _BREAK) | equal_mask(data, int(at), _HYPHEN)
    others = ~(words | stops | nothing)
    characters = 64
    if beyond != _ZERO:
        leads = lead_mask(data, int(at))
        characters = count_ones(leads)
        others &= leads
    letters = 0  # and whatever else has the bit that tells them from digits, which are words too
    for k in range(8):
        letters += count_ones(load8(data, int(at + 8 * k)) & _EACH_40)
    sums = _ZERO
    while others != _ZERO:
        place = at + trailing_zeros(others)
        byte = data[np.uint64(place)]
        if byte < 0x80:
            sums += ascii_[byte] >> _EIGHT
        else:
            point, _ = _decode(data, place, high)
            sums += lanes[classes[np.uint64(point)]]
        letters -= int(byte >> 6) & 1
        others &= others - _ONE
    return sums + np.uint64(letters) + (np.uint64(count_ones(words) + count_ones(stops)) << _LANE), characters


@bare
def _tally(data: U8, low: Whole, high: Whole, ascii_: U64, classes: U8, lanes: U64) -> tuple[np.uint64, Whole]:
    """(lane sums, characters) of the bytes `low` to `high`."""
    sums = _ZERO
    characters: Whole = 0
    at: Whole = low
    while at <= high - 64:
        found, more = _tally_block(data, at, high, ascii_, classes, lanes)
        sums += found
        characters += more
        at += 64
    while at < high:
        byte = data[np.uint64(at)]
        characters += int((byte & 0xC0) != 0x80)
        if byte < 0x80:
            sums += ascii_[byte] >> _EIGHT
        elif byte >= 0xC0:
            point, _ = _decode(data, at, high)
            sums += lanes[classes[np.uint64(point)]]
        at += 1
    return sums, characters


@inlined
def _marks(data: U8, low: Whole, high: Whole, ascii_: U64, fold: U32) -> np.uint64:
    """Hash of the marks between two words, runs once, white space left out; 0 where there are none."""
    if high == low + 2 and data[low + 1] == SPACE and data[low] < 0x80:  # one mark and a space, the usual case
        code = ascii_[data[low]] & _CODE
        return code * _MARK if code != _FOLDED_SPACE else _ZERO
    high = min(high, low + _MARK_BYTES)
    found = _ZERO
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
            found = (found ^ code) * _MARK
            previous = code
    return found


@bare
def _ending(data: U8, low: Whole, high: Whole, fold: U32) -> np.uint64:
    """The folded codes of the last two characters of a word that is not all ASCII there."""
    at: Whole = max(low, high - 8)
    while at > low and (data[at] & 0xC0) == 0x80:
        at -= 1
    one, two = _ZERO, _ZERO
    while at < high:
        if (data[at] & 0xC0) == 0x80:
            at += 1
            continue
        point: Whole = np.int64(data[at])
        if point < 0x80:
            at += 1
        else:
            point, at = _decode(data, at, high)
        code = np.uint64(fold[point]) & _CODE
        if code != _VANISHED:
            one, two = two, code
    return one << _EIGHT | two


@inlined
def _kind(
    data: U8, low: Whole, high: Whole, hashed: np.uint64, characters: Whole, common: U64, ascii_: U64, fold: U32
) -> np.uint64:
    """A kind: the word itself if it is common, else its last two characters, or an ideograph, and about its length."""
    bit = hashed >> _COMMON_SHIFT
    itself = _ZERO - ((common[bit >> _SIX] >> (bit & _BIT)) & _ONE)  # all ones: no branch, as it cannot be guessed
    last, place = data[np.uint64(high - 1)], np.uint64(max(low, high - 2))
    if last < 0x80 and data[place] < 0x80:
        kind = (ascii_[data[place]] & _CODE) << _EIGHT | ascii_[last] & _CODE
    elif characters == 1:
        kind = _IDEOGRAPH
    else:
        kind = _ending(data, low, high, fold)
    kind = (kind * _SUFFIX) ^ (np.uint64(min(characters >> 2, 3)) * _LENGTH)
    chosen: np.uint64 = (hashed & itself) | (kind & ~itself)
    return chosen


@inlined
def _visit(hashed: np.uint64, table: U16 | None, found: I32, count: Whole) -> Whole:
    """Note a feature: without `table` its key, else slot and weight, which stay if the slot holds this very feature."""
    key = (hashed * _LAST) >> _KEY_SHIFT
    if table is None:
        found[np.uint64(count)] = np.int32(key)
        return count + 1
    slot = key >> _CHECK_SHIFT
    entry = np.uint64(table[slot])
    found[np.uint64(count)] = np.int32((entry & _WEIGHT) << _SLOT_SHIFT | slot)
    return count + np.int64(entry >> _CHECK_SHIFT == key & _CHECK)


@bare
def _words(
    data: U8,
    span: tuple[int, int, int, int, int],
    views: Views,
    tables: tuple[U64, U32, U64],
    table: U16 | None,
    kinds: U64,
    marked: U64,
    tokens: U64,
    found: I32,
) -> tuple[Whole, int]:
    """Note the features of the words of a window; returns their number and the first word of the next window.

    `span`: the byte after the window, the byte after the document, the first word of the document, the first of the
    window, and the one after the last of the document. `tokens` begins with the two kinds before the window, 0 where
    there are none, and is left so for the next; `kinds` and `marked` have room for the kind of each word and the marks
    that follow it, and `marked` is all zero and left so.
    """
    edge, stop, first, word, end_word = span
    start, end, hashes, characters, _ = views
    ascii_, fold, common = tables
    count: Whole = 0
    last = end_word
    if edge < stop:
        last = word
        while last < end_word and start[np.uint64(last)] < edge:
            last += 1
    # Loops of their own without guesses: which words marks follow cannot be guessed, and a wrong guess costs dearly.
    places = 0
    for k in range(word, last):
        at = np.uint64(k)  # numba asks of a signed index whether it is negative
        hashed = hashes[at]
        count = _visit(hashed, table, found, count)
        if k > first:
            count = _visit(hashes[at - _ONE] * _PAIR + hashed, table, found, count)
        low, high = end[at], start[at + _ONE] if k + 1 < end_word else stop
        kinds[np.uint64(k - word)] = _kind(data, start[at], low, hashed, characters[at], common, ascii_, fold)
        tokens[np.uint64(2 + places)] = at
        # Where a document ends with its last word, `high` is `low`, and what is read there is not used.
        places += int(high > low + 1) | (int(high > low) & int(data[np.uint64(min(low, data.size - 1))] != SPACE))
    for i in range(places):
        at = tokens[np.uint64(2 + i)]
        follower = np.int64(at) + 1
        high = start[at + _ONE] if follower < end_word else stop
        marks = _marks(data, end[at], high, ascii_, fold)
        marked[np.uint64(follower - 1 - word)] = marks
        if marks != _ZERO:
            count = _visit(hashes[at] * _AFTER + marks, table, found, count)
            count = _visit(marks * _ALONE, table, found, count)
            if follower < end_word:
                count = _visit(hashes[at + _ONE] * _BEFORE ^ marks, table, found, count)
    size = 2
    for k in range(last - word):
        at = np.uint64(k)
        tokens[np.uint64(size)], tokens[np.uint64(size + 1)] = kinds[at], marked[at]
        size += 1 + int(marked[at] != _ZERO)
        marked[at] = _ZERO
    for k in range(2, size):
        at = np.uint64(k)
        if tokens[at - _ONE - _ONE] != _ZERO:
            hashed = tokens[at - _ONE - _ONE] * _FIRST_KIND + tokens[at - _ONE] * _SECOND_KIND + tokens[at] * _KIND
            count = _visit(hashed, table, found, count)
    tokens[np.uint64(0)], tokens[np.uint64(1)] = tokens[np.uint64(size - 2)], tokens[np.uint64(size - 1)]
    return count, last


@bare
def _summed(found: I32, count: Whole, seen: U64) -> tuple[Whole, Whole]:
    """(sum of weights, features) of the slots found, each once; `seen` is left as it was found, all zero."""
    total: Whole = 0
    known: Whole = 0
    for i in range(count):
        entry = np.uint64(found[np.uint64(i)])
        slot, weight = entry & _SLOT, np.int64(np.int8(entry >> _SLOT_SHIFT))
        before = seen[slot >> _SIX]
        fresh = np.int64(~(before >> (slot & _BIT)) & _ONE) & np.int64(weight != 0)
        seen[slot >> _SIX] = before | _ONE << (slot & _BIT)
        total += weight * fresh
        known += fresh
    if count > seen.size // 8:
        seen[:] = _ZERO
    else:
        for i in range(count):
            seen[(np.uint64(found[np.uint64(i)]) & _SLOT) >> _SIX] = _ZERO
    return total, known


@compiled
def run_documents(
    data: U8,
    offsets: I64,
    doc_offsets: I64,
    views: Views,
    fold: U32,
    lanes: U64,
    common: U64,
    table: U16 | None,
    firsts: I64,
    out: I32,
) -> tuple[F64, I64, I64]:
    """Run every document: sum weights over each window, or without `table` put the keys of the first one into `out`.

    `firsts`, int64[n + 1], says where the windows of each document stand in what is returned: sums float64[w] of each
    window (0 without `table`); keys int64[n] of each document (0 with it), and counters int64[n, len(STATS)].
    """
    n = offsets.size - 1
    sums, counts, stats = np.zeros(firsts[n]), np.zeros(n, np.int64), np.zeros((n, _STATS), np.int64)
    found = np.empty(MAX_PER_BYTE * _ROOM, np.int32)
    seen = np.zeros((1 << SLOT_BITS) // 64, np.uint64)
    # No window has more words than bytes, but one goes on to the end of its last character.
    kinds, marked, tokens = np.empty(_ROOM, np.uint64), np.zeros(_ROOM, np.uint64), np.zeros(2 * _ROOM + 4, np.uint64)
    # A table of its own for classes: it is a quarter of the size, and text of many characters stays in the cache.
    ascii_, classes = np.empty(128, np.uint64), np.empty(fold.size, np.uint8)
    for point in range(fold.size):
        classes[point] = np.uint8(fold[point] >> _CLASS_SHIFT) & _CLASS
    for point in range(128):
        ascii_[point] = (np.uint64(fold[point]) & _CODE) | lanes[classes[point]] << _EIGHT
    written: Whole = 0
    for row in range(n):
        low, stop = offsets[row], offsets[row + 1]
        first, end_word = doc_offsets[row], doc_offsets[row + 1]
        windows = firsts[row + 1] - firsts[row]
        edge, word = low, first
        tokens[0], tokens[1] = _ZERO, _ZERO
        for window in range(windows):
            begin = edge
            edge = low + (stop - low) * (window + 1) // windows
            for _ in range(3):
                if edge < stop and (data[edge] & 0xC0) == 0x80:
                    edge += 1
            tallies, characters = _tally(data, begin, edge, ascii_, classes, lanes)
            stats[row, 0] += characters
            for lane in range(1, _STATS):
                stats[row, lane] += np.int64(tallies & _LANE_MASK)
                tallies >>= _LANE
            if table is None and window:
                continue
            place = found if table is not None else out[written:]
            span = edge, stop, first, word, end_word
            tables = ascii_, fold, common
            count, word = _words(data, span, views, tables, table, kinds, marked, tokens, place)
            if table is None:
                written += count
                counts[row] = count
            else:
                total, known = _summed(found, count, seen)
                sums[firsts[row] + window] = total / np.sqrt(max(known, 1))
    return sums, counts, stats
