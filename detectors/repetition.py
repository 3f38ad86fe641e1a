"""Repetition inside documents: n-grams of words and whole lines, exact, after Gopher.

Source: Rae et al. 2021, Scaling Language Models (arXiv:2112.11446), appendix A1.1, which filters on the characters in
the most frequent 2- to 4-gram, in all duplicate 5- to 10-grams, and on duplicate lines. Where it leaves room:

- characters are the code points of words; those between words count neither above nor below the line;
- a duplicate n-gram is one that occurs at least twice in the document, and every occurrence of it counts, the first too
  (datatrove counts only the later ones, and only those that do not overlap);
- no character counts twice, neither in overlapping duplicates nor in the top n-gram;
- the top n-gram is the most frequent one; of equally frequent ones the longest in characters where it first occurs,
  then the earliest. It counts only if it occurs at least twice (datatrove: always);
- n-grams cross sentences and lines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, compiled, inlined, load8, read_only, trailing_zeros
from detectors.simd import equal_mask, opaque
from detectors.words import Words

__all__ = ["LineRepetition", "NgramRepetition", "line_repetition", "ngram_repetition"]

U8 = npt.NDArray[np.uint8]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]
F64 = npt.NDArray[np.float64]

LONGEST = 10
LONGEST_TOP = 4
LONGEST_DISTINCT = 3


class NgramRepetition(NamedTuple):
    """float64[k, n] each, NaN where a document has fewer than n words."""

    distinct: F64
    """[3, n] for 1- to 3-grams: different n-grams / n-grams (distinct-n, Li et al. 2016)."""
    top: F64
    """[3, n] for 2- to 4-grams: share of characters in the most frequent n-gram, 0 when none occurs twice."""
    duplicate: F64
    """[9, n] for 2- to 10-grams: share of characters in n-grams that occur at least twice."""


class LineRepetition(NamedTuple):
    """float64[n] each, NaN in documents without lines.

    A line is stripped of ASCII white space; one that is empty then does not count.
    """

    lines: F64
    """Share of lines that repeat an earlier line byte for byte."""
    bytes: F64
    """Share of the lines' bytes that stand in such lines."""


def ngram_repetition(words: Words) -> NgramRepetition:
    """Measure n-gram repetition of every document. Memory: about 30 bytes for each word of the longest one."""
    n = len(words.counts)
    found = NgramRepetition(np.full((3, n), np.nan), np.full((3, n), np.nan), np.full((9, n), np.nan))
    links = words.links
    _ngrams(words.doc_offsets, links.ids, links.types, links.occurrences, words.characters, *found)
    return found


def line_repetition(data: U8, offsets: I64) -> LineRepetition:
    """Measure line repetition of every document in `data[offsets[i] : offsets[i + 1]]`."""
    out = np.full((2, len(offsets) - 1), np.nan)
    _lines(read_only(data), read_only(offsets), out)
    return LineRepetition(*out)


@inlined
def find_or_add(table: U64, mask: np.uint64, keys: U64, used: int, key: np.uint64) -> int:
    """Index of `key` among `keys[:used]`; `used` itself when it is new, and then it is stored.

    `table` is an open-addressing hash table of `mask + 1` slots (a power of two), zeroed before the first call and
    never full: a slot holds the index of a key plus one. `keys` has room for one more than there are.
    """
    slot = _mixed(key) & mask
    low = np.uint64(0xFFFFFFFF)
    while True:
        entry = table[slot]
        # An empty slot names the next key to come, so that new and known keys go the same way.
        new = int(entry == 0)
        named = (int(entry & low) - 1) & (new - 1) | used & -new
        keys[np.uint64(used)] = key
        if opaque(int(keys[np.uint64(named)] == key)):
            table[slot] = np.uint64(named + 1)
            return named
        slot = (slot + np.uint64(1)) & mask


@inlined
def _mixed(key: np.uint64) -> np.uint64:
    key = key * np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(29))


@compiled
def _ngrams(
    doc_offsets: I64, ids: I32, types: I32, occurrences: I32, characters: I32, distinct: F64, top: F64, duplicate: F64
) -> None:
    longest = 0
    for document in range(types.size):
        longest = max(longest, doc_offsets[document + 1] - doc_offsets[document])
    table = np.zeros(1024, np.uint64)
    sieve = np.zeros(1024, np.uint8)
    keys = np.empty(longest + 1, np.uint64)
    pairs = np.empty(longest + 1, np.uint64)
    counts = np.empty(longest + 1, np.int32)
    # Where n-grams of the current n stand that may occur again, and which n-gram that is.
    at = np.empty(longest + 1, np.int32)
    gram = np.empty(longest + 1, np.int32)
    base = 0
    for document in range(types.size):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        n = end - first
        if n == 0:
            continue
        lengths = characters[first:end]
        total = 0
        for length in lengths:
            total += int(length)
        distinct[0, document] = types[document] / n
        candidates = _pairs_of_words(ids[first:end], occurrences[base : base + types[document]], at, pairs)
        base += types[document]
        for size in range(2, min(LONGEST, n) + 1):
            grams, different = n - size + 1, 0
            if candidates:
                slots = 256
                while slots < 4 * candidates:
                    slots *= 2
                if slots > sieve.size:
                    sieve = np.zeros(slots, np.uint8)
                candidates = _sifted(sieve, slots, at, pairs, candidates)
                slots = 64
                while slots < 2 * candidates:
                    slots *= 2
                if slots > table.size:
                    table = np.zeros(slots, np.uint64)
                table[:slots] = np.uint64(0)
                different = _named(table, slots, keys, counts, pairs, gram, candidates)
            if size <= LONGEST_DISTINCT:
                # Those that were ruled out occur once each.
                distinct[size - 1, document] = (grams - candidates + different) / grams
            alive = _repeated(counts, at, gram, candidates)
            duplicate[size - 2, document] = _covered(lengths, at, gram, alive, size, -1) / total
            if size <= LONGEST_TOP:
                best = _most_frequent(lengths, counts, at, gram, alive, size)
                top[size - 2, document] = _covered(lengths, at, gram, alive, size, best) / total if best >= 0 else 0.0
            candidates = _pairs(at, gram, pairs, alive) if alive else 0


@bare
def _pairs_of_words(ids: I32, occurrences: I32, at: I32, pairs: U64) -> int:
    """Pairs of neighbouring words that both occur again; no other pair can."""
    candidates, word = 0, ids[0]
    again = occurrences[np.uint64(word)] > 1
    for i in range(ids.size - 1):
        follower = ids[i + 1]
        follows = occurrences[np.uint64(follower)] > 1
        slot = np.uint64(candidates)
        # Written always and kept by counting: no branch to guess.
        at[slot], pairs[slot] = i, np.uint64(word) << np.uint64(32) | np.uint64(follower)
        candidates += again & follows
        word, again = follower, follows
    return candidates


@bare
def _pairs(at: I32, gram: I32, pairs: U64, alive: int) -> int:
    """(n + 1)-grams of neighbouring repeated n-grams, in place: one that occurs twice has n-grams that both do."""
    candidates = 0
    here, name = at[0], gram[0]
    for k in range(alive - 1):
        beyond, follower = at[k + 1], gram[k + 1]
        slot = np.uint64(candidates)
        at[slot] = here
        pairs[slot] = np.uint64(name) << np.uint64(32) | np.uint64(follower)
        candidates += beyond == here + 1
        here, name = beyond, follower
    return candidates


@bare
def _sifted(sieve: U8, slots: int, at: I32, pairs: U64, candidates: int) -> int:
    """Drop, in place, pairs that share their slot of the sieve with no other: they occur once."""
    sieve[:slots] = np.uint8(0)
    mask = np.uint64(slots - 1)
    for k in range(candidates):
        slot = _mixed(pairs[k]) & mask
        seen = sieve[slot]
        sieve[slot] = seen + np.uint8(seen < 2)
    kept = 0
    for k in range(candidates):
        key, slot = pairs[k], np.uint64(kept)
        at[slot], pairs[slot] = at[k], key
        kept += sieve[_mixed(key) & mask] > 1
    return kept


@bare
def _named(table: U64, slots: int, keys: U64, counts: I32, pairs: U64, gram: I32, candidates: int) -> int:
    """Number the different pairs, count them, and note the number of each; return how many there are."""
    mask = np.uint64(slots - 1)
    counts[:candidates] = np.int32(0)
    different = 0
    for k in range(candidates):
        name = find_or_add(table, mask, keys, different, pairs[k])
        gram[k] = name
        counts[np.uint64(name)] += np.int32(1)
        different += name == different
    return different


@bare
def _repeated(counts: I32, at: I32, gram: I32, candidates: int) -> int:
    alive = 0
    for k in range(candidates):
        name, slot = gram[k], np.uint64(alive)
        at[slot], gram[slot] = at[k], name
        alive += counts[np.uint64(name)] > 1
    return alive


@bare
def _covered(lengths: I32, at: I32, gram: I32, alive: int, size: int, only: int) -> int:
    """Characters of all words in the n-grams listed (in that one if `only` >= 0), each once."""
    covered, reached = 0, 0
    for k in range(alive):
        if only < 0 or gram[k] == only:
            for i in range(max(reached, at[k]), at[k] + size):
                covered += lengths[i]
            reached = at[k] + size
    return covered


@bare
def _most_frequent(lengths: I32, counts: I32, at: I32, gram: I32, alive: int, size: int) -> int:
    """The n-gram that occurs most often, then is longest, then comes first; -1 when none is listed."""
    best, most, widest, newest = -1, 0, 0, -1
    for k in range(alive):
        # Numbers rise from one first occurrence to the next, and only these count: format characters that are part of
        # no word's hash make later ones longer or shorter.
        name = gram[k]
        if name > newest:
            newest = name
            count = counts[np.uint64(name)]
            if count >= most:
                width = 0
                for i in range(at[k], at[k] + size):
                    width += lengths[i]
                if count > most or width > widest:
                    best, most, widest = name, count, width
    return best


@compiled
def _lines(data: U8, offsets: I64, out: F64) -> None:
    table = np.zeros(256, np.uint64)
    keys = np.empty(128, np.uint64)
    for document in range(offsets.size - 1):
        at, end = offsets[document], offsets[document + 1]
        size, used = 256, 0
        newline = _newline(data, at, end)
        if newline == end:
            first, last = _stripped(data, at, end)
            if first < last:
                out[0, document] = out[1, document] = 0.0
            continue
        table[:size] = np.uint64(0)
        lines, repeated, repeated_bytes, total_bytes = 0, 0, 0, 0
        while at < end:
            first, last = _stripped(data, at, newline)
            at = newline + 1
            newline = _newline(data, at, end)
            if first == last:
                continue
            if 2 * used >= size:
                size *= 4
                if size > table.size:
                    table = np.zeros(size, np.uint64)
                    keys = np.concatenate((keys[:used], np.empty(size // 2 - used, np.uint64)))
                _refill(table, size, keys, used)
            lines += 1
            total_bytes += last - first
            if find_or_add(table, np.uint64(size - 1), keys, used, _hash_bytes(data, first, last)) == used:
                used += 1
            else:
                repeated += 1
                repeated_bytes += last - first
        if lines:
            out[0, document] = repeated / lines
            out[1, document] = repeated_bytes / total_bytes


@bare
def _refill(table: U64, size: int, keys: U64, used: int) -> None:
    """Clear the first `size` slots of `table` and store `keys[:used]` there, for `find_or_add`."""
    table[:size] = np.uint64(0)
    for k in range(used):
        find_or_add(table, np.uint64(size - 1), keys, k, keys[k])


@inlined
def _newline(data: U8, at: int, end: int) -> int:
    """Position of the first newline in `[at, end)`; `end` without one."""
    while at + 64 <= end:
        mask = equal_mask(data, at, 10)
        if mask:
            return at + trailing_zeros(mask)
        at += 64
    while at < end and data[at] != 10:
        at += 1
    return at


@inlined
def _stripped(data: U8, first: int, last: int) -> tuple[int, int]:
    while first < last and (data[first] == 32 or 9 <= data[first] <= 13):
        first += 1
    while first < last and (data[last - 1] == 32 or 9 <= data[last - 1] <= 13):
        last -= 1
    return first, last


@inlined
def _hash_bytes(data: U8, at: int, end: int) -> np.uint64:
    state = np.uint64(end - at) * np.uint64(0x9E3779B97F4A7C15)
    other = state
    while at + 16 <= end:
        # Two chains of multiplications, for one waits on itself.
        state = (state ^ load8(data, at)) * np.uint64(0xD6E8FEB86659FD93)
        other = (other ^ load8(data, at + 8)) * np.uint64(0xFF51AFD7ED558CCD)
        state ^= state >> np.uint64(32)
        other ^= other >> np.uint64(32)
        at += 16
    while at < end:
        if at + 8 <= end:
            chunk = load8(data, at)
        else:
            chunk = np.uint64(0)
            for i in range(at, end):
                chunk |= np.uint64(data[i]) << np.uint64(8 * (i - at))
        state = (state ^ chunk) * np.uint64(0xD6E8FEB86659FD93)
        state ^= state >> np.uint64(32)
        at += 8
    return (state ^ (other << np.uint64(32) | other >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)
