"""The pass over words and bytes that finds anchors of `detectors.residue_anchors`."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, inlined, trailing_zeros
from detectors.ngrams import ngram_hash
from detectors.residue_masks import residue_masks

__all__ = ["CORE", "EDGE", "HEAD", "LONGEST", "LONG_CORE_BYTES", "TAIL", "edge_hash", "find_anchors", "key_place"]

U8 = npt.NDArray[np.uint8]
U16 = npt.NDArray[np.uint16]
U32 = npt.NDArray[np.uint32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
# pivots, pivot_shapes, ngrams, ngram_edges, shapes, edges, edge_bits, edge_shapes of `Anchors`; powers of the base of
# n-gram hashes
Hashed = tuple[U64, U16, U64, U16, I64, U32, U64, I64, U64]
# tails, heads, cores and key_bits of `Anchors`
Spelled = tuple[U64, U64, U64, U64]
# doc_offsets, start, end, hashes, prefix of `Words`
Spans = tuple[I64, I64, I64, U64, U64]

LONGEST = 4
TAIL, HEAD, CORE, EDGE = 4, 6, 4, 3
LONG_CORE_BYTES = 24

_FIRST = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xD6E8FEB86659FD93)
_EXCLAMATION = 0x21
_BLOCK = 64
_CHUNK = 1024
_NONE, _ONE, _SIX = np.uint64(0), np.uint64(1), np.uint64(6)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_BITMAP, _EDGES, _BIT = np.uint64(8191), np.uint64(4095), np.uint64(63)


@bare
def find_anchors(
    hashed: Hashed, spelled: Spelled, data: U8, offsets: I64, words: Spans, scratch: tuple[I64, U8], found: I64
) -> int:
    """Write document, index in `Anchors.owners` and place of every anchor into the rows of `found`; how many there are.

    Those that `found` has no room for are counted, not written. The place is that of a byte within the anchor, -1 where
    only the word is known. `scratch` is room for 1024 words and 64 bytes.
    """
    used = _find_spelled(hashed, spelled, data, offsets, words, scratch[1], found)
    return _find_hashed(hashed, data, words, scratch[0], found, used)


@inlined
def _find_spelled(
    hashed: Hashed, spelled: Spelled, data: U8, offsets: I64, words: Spans, padded: U8, found: I64
) -> int:
    """Tails, heads and cores: at `!`, `:` and digits after an `n`, and in all words of other scripts."""
    base, used = hashed[5].size, 0
    word_offsets, starts, ends, _, _ = words
    for document in range(offsets.size - 1):
        start, end = offsets[np.uint64(document)], offsets[np.uint64(document + 1)]
        foreign, letter = _NONE, _NONE
        for at in range(start, end, _BLOCK):
            if at + _BLOCK <= data.size:
                stops, digits, letters, scripts = residue_masks(data, at)
            else:
                for k in range(_BLOCK):
                    padded[np.uint64(k)] = data[np.uint64(at + k)] if at + k < end else 0
                stops, digits, letters, scripts = residue_masks(padded, 0)
            inside = _ALL if at + _BLOCK <= end else (_ONE << np.uint64(end - at)) - _ONE
            hits = (stops | digits & (letters << _ONE | letter)) & inside
            foreign |= scripts & inside
            letter = letters >> _BIT
            while hits:
                place = at + trailing_zeros(hits)
                hits &= hits - _ONE
                used = _find_at(spelled, base, data, start, place, document, found, used)
        if foreign:
            for word in range(word_offsets[np.uint64(document)], word_offsets[np.uint64(document + 1)]):
                first, last = starts[np.uint64(word)], ends[np.uint64(word)]
                if last - first >= TAIL:
                    used = _find_foreign(spelled, base, data, first, last, document, found, used)
    return used


@inlined
def _find_at(spelled: Spelled, base: int, data: U8, start: int, at: int, document: int, found: I64, used: int) -> int:
    """Look before a digit for a core; else for a tail, there and before what a phrase takes for white space."""
    tails, heads, cores, bits = spelled
    if at - TAIL < start:
        return used
    byte = data[np.uint64(at)]
    if 0x30 <= byte <= 0x39:
        core = _find_key(cores, bits, _key(data, at - CORE, CORE))
        return _add(found, used, document, core, base + tails.size + heads.size, at - CORE)
    after = _NONE
    if byte == _EXCLAMATION:
        following = at + 1
        while following < data.size and _is_space(data[np.uint64(following)]):
            following += 1
        if following + 2 > data.size:
            return used
        after = _key(data, following, 2) << np.uint64(32)
    used = _add(found, used, document, _find_key(tails, bits, _key(data, at - TAIL, TAIL) | after), base, at - TAIL)
    if _is_space(data[np.uint64(at - 1)]):
        while at - TAIL > start and _is_space(data[np.uint64(at - 1)]):
            at -= 1
        tail = _find_key(tails, bits, _key(data, at - TAIL, TAIL) | after)
        used = _add(found, used, document, tail, base, at - TAIL)
    return used


@inlined
def _is_space(byte: int) -> bool:
    """Whether a phrase takes the byte for part of white space."""
    return byte <= 0x20 or byte == 0xA0 or byte == 0xC2 or byte == 0xE3 or byte == 0x80


@inlined
def _find_foreign(
    spelled: Spelled, base: int, data: U8, start: int, end: int, document: int, found: I64, used: int
) -> int:
    tails, heads, cores, bits = spelled
    if data[np.uint64(end - 1)] >= 0x80:
        tail = _find_key(tails, bits, _key(data, end - TAIL, TAIL))
        used = _add(found, used, document, tail, base, end - TAIL)
    if end - start >= HEAD and data[np.uint64(start)] >= 0x80:
        head = _find_key(heads, bits, _key(data, start, HEAD))
        used = _add(found, used, document, head, base + tails.size, start)
    if end - start >= LONG_CORE_BYTES:
        for at in range(start, end - CORE + 1):
            core = _find_key(cores, bits, _key(data, at, CORE))
            if core >= 0:
                return _add(found, used, document, core, base + tails.size + heads.size, -1)
    return used


@inlined
def _find_hashed(hashed: Hashed, data: U8, words: Spans, scratch: I64, found: I64, used: int) -> int:
    """N-grams, by way of the words that may be pivots of some."""
    pivots = hashed[0]
    word_offsets, hashes = words[0], words[3]
    document = 0
    for first in range(0, hashes.size, _CHUNK):
        count = np.uint64(0)
        for word in range(first, min(first + _CHUNK, hashes.size)):
            code = hashes[np.uint64(word)]
            scratch[count] = word
            count += pivots[code >> np.uint64(54)] >> (code >> np.uint64(48) & _BIT) & _ONE
        for k in range(np.int64(count)):
            word = scratch[np.uint64(k)]
            while word_offsets[np.uint64(document + 1)] <= word:
                document += 1
            used = _find_ngrams(hashed, data, words, word, document, found, used)
    return used


@inlined
def _find_ngrams(hashed: Hashed, data: U8, words: Spans, word: int, document: int, found: I64, used: int) -> int:
    """Add all anchors that have this word as their pivot."""
    _, pivot_shapes, ngrams, ngram_edges, shapes, edges, edge_bits, edge_shapes, powers = hashed
    _, starts, ends, hashes, prefix = words
    left_shapes = np.uint64(pivot_shapes[hashes[np.uint64(word)] >> np.uint64(54)])
    while left_shapes:
        shape = np.uint64(trailing_zeros(left_shapes))
        left_shapes &= left_shapes - _ONE
        n, first = shapes[shape, np.uint64(0)], word - shapes[shape, np.uint64(1)]
        after = first + n
        if first < 0 or after > hashes.size:
            continue
        code = ngram_hash(prefix, first, n, powers[np.uint64(n)])
        if not ngrams[code >> _SIX & _BITMAP] >> (code & _BIT) & _ONE:
            continue
        left_edges = np.uint64(ngram_edges[code & _EDGES])
        while left_edges:
            edge = np.uint64(trailing_zeros(left_edges))
            left_edges &= left_edges - _ONE
            tail, head = edge_shapes[edge, np.uint64(0)], edge_shapes[edge, np.uint64(1)]
            if tail and (first == 0 or ends[np.uint64(first - 1)] - starts[np.uint64(first - 1)] < tail):
                continue
            if head and (after == hashes.size or ends[np.uint64(after)] - starts[np.uint64(after)] < head):
                continue
            left = _key(data, ends[np.uint64(first - 1)] - tail, tail) if tail else _NONE
            right = _key(data, starts[np.uint64(after)], head) if head else _NONE
            key = edge_hash(code, left, right, 8 * tail + head)
            if edge_bits[key >> _SIX & _BITMAP] >> (key & _BIT) & _ONE:
                used = _add(found, used, document, _find(edges, key), 0, starts[np.uint64(first)])
    return used


@inlined
def edge_hash(code: np.uint64, before: np.uint64, after: np.uint64, shape: int) -> np.uint64:
    """32-bit hash of an n-gram with the bytes before and after it."""
    code ^= (before * _FIRST + after) * _SECOND + np.uint64(shape)
    code ^= code >> np.uint64(32)
    return code * _FIRST >> np.uint64(32)


@inlined
def key_place(key: np.uint64) -> np.uint64:
    """Which of the 4096 bits of `key_bits` stands for a tail, a head or a core."""
    return key * _FIRST >> np.uint64(52)


@inlined
def _add(found: I64, used: int, document: int, at: int, base: int, place: int) -> int:
    if at >= 0:
        if used < found.shape[0]:
            row = np.uint64(used)
            found[row, np.uint64(0)], found[row, np.uint64(1)], found[row, np.uint64(2)] = document, base + at, place
        return used + 1
    return used


@inlined
def _key(data: U8, at: int, size: int) -> np.uint64:
    """`size` bytes from `at` on, in lower case where they are ASCII letters."""
    key = _NONE
    for k in range(size):
        key |= np.uint64(data[np.uint64(at + k)] | 0x20) << np.uint64(8 * k)
    return key


@inlined
def _find_key(ascending: U64, bits: U64, key: np.uint64) -> int:
    """Position of a tail, a head or a core; -1 when it is not there."""
    place = key_place(key)
    if bits[place >> _SIX] >> (place & _BIT) & _ONE:
        return _find(ascending, key)
    return -1


@inlined
def _find(ascending: npt.NDArray[np.unsignedinteger], value: np.uint64) -> int:
    """Position of `value`; -1 when it is not there."""
    low, high = 0, ascending.size
    while low < high:
        middle = (low + high) >> 1
        if np.uint64(ascending[np.uint64(middle)]) < value:
            low = middle + 1
        else:
            high = middle
    return low if low < ascending.size and np.uint64(ascending[np.uint64(low)]) == value else -1
