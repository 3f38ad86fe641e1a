"""Repetition inside documents: n-grams of words and whole lines, exact, after Gopher.

Source: Rae et al. 2021, Scaling Language Models (arXiv:2112.11446), appendix A1.1, which filters on the characters in
the most frequent 2- to 4-gram, in all duplicate 5- to 10-grams, and on duplicate lines. Where it leaves room:

- characters are the code points of words; those between words count neither above nor below the line;
- a duplicate n-gram is one that occurs at least twice in the document, and every occurrence of it counts, the first too
  (datatrove counts only the later ones, and only those that do not overlap);
- no character counts twice, neither in overlapping duplicates nor in the top n-gram;
- the top n-gram is the most frequent one; of equally frequent ones the longest in characters, then the earliest. It
  counts only if it occurs at least twice (datatrove: always);
- n-grams cross sentences and lines.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import compiled, load8, read_only, trailing_zeros
from detectors.words import Words, find_or_add, refill

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
    _ngrams(words.doc_offsets, words.ids, words.types, words.characters, *found)
    return found


def line_repetition(data: U8, offsets: I64) -> LineRepetition:
    """Measure line repetition of every document in `data[offsets[i] : offsets[i + 1]]`."""
    out = np.full((2, len(offsets) - 1), np.nan)
    _lines(read_only(data), read_only(offsets), out)
    return LineRepetition(*out)


@compiled
def _ngrams(doc_offsets: I64, ids: I32, types: I32, characters: I32, distinct: F64, top: F64, duplicate: F64) -> None:
    longest = 0
    for document in range(types.size):
        longest = max(longest, doc_offsets[document + 1] - doc_offsets[document])
    table = np.zeros(1024, np.uint64)
    keys = np.empty(longest, np.uint64)
    counts = np.empty(longest, np.int32)
    # Where n-grams of the current n stand that may occur again, and which n-gram that is.
    at = np.empty(longest, np.int32)
    gram = np.empty(longest, np.int32)
    for document in range(types.size):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        n = end - first
        if n == 0:
            continue
        lengths = characters[first:end]
        total = 0
        for length in lengths:
            total += length
        distinct[0, document] = types[document] / n
        alive = _repeated_words(ids[first:end], types[document], counts, at, gram)
        for size in range(2, min(LONGEST, n) + 1):
            grams = n - size + 1
            candidates, different = 0, 0
            if alive:
                slots = 64
                while slots < 2 * alive:
                    slots *= 2
                if slots > table.size:
                    table = np.zeros(slots, np.uint64)
                table[:slots] = 0
                candidates, different = _lengthen(table, slots, keys, counts, at, gram, alive)
            if size <= LONGEST_DISTINCT:
                # Those that were ruled out occur once each.
                distinct[size - 1, document] = (grams - candidates + different) / grams
            alive = _repeated(counts, at, gram, candidates)
            duplicate[size - 2, document] = _covered(lengths, at, gram, alive, size, -1) / total
            if size <= LONGEST_TOP:
                best = _most_frequent(lengths, counts, at, gram, alive, size)
                top[size - 2, document] = _covered(lengths, at, gram, alive, size, best) / total if best >= 0 else 0.0


@compiled
def _repeated_words(ids: I32, types: int, counts: I32, at: I32, gram: I32) -> int:
    counts[:types] = 0
    for word in ids:
        counts[word] += 1
    alive = 0
    for i in range(ids.size):
        if counts[ids[i]] > 1:
            at[alive], gram[alive] = i, ids[i]
            alive += 1
    return alive


@compiled
def _lengthen(table: U64, slots: int, keys: U64, counts: I32, at: I32, gram: I32, alive: int) -> tuple[int, int]:
    """From repeated n-grams to (n + 1)-grams, in place: one can occur twice only where both of its n-grams do."""
    mask = np.uint64(slots - 1)
    candidates, different = 0, 0
    for k in range(alive - 1):
        if at[k + 1] == at[k] + 1:
            key = np.uint64(gram[k]) << np.uint64(32) | np.uint64(gram[k + 1])
            name = find_or_add(table, mask, keys, different, key)
            if name == different:
                counts[name] = 0
                different += 1
            counts[name] += 1
            at[candidates], gram[candidates] = at[k], name
            candidates += 1
    return candidates, different


@compiled
def _repeated(counts: I32, at: I32, gram: I32, candidates: int) -> int:
    alive = 0
    for k in range(candidates):
        if counts[gram[k]] > 1:
            at[alive], gram[alive] = at[k], gram[k]
            alive += 1
    return alive


@compiled
def _covered(lengths: I32, at: I32, gram: I32, alive: int, size: int, only: int) -> int:
    """Characters of all words in the n-grams listed (in that one if `only` >= 0), each once."""
    covered, reached = 0, 0
    for k in range(alive):
        if only < 0 or gram[k] == only:
            for i in range(max(reached, at[k]), at[k] + size):
                covered += lengths[i]
            reached = at[k] + size
    return covered


@compiled
def _most_frequent(lengths: I32, counts: I32, at: I32, gram: I32, alive: int, size: int) -> int:
    """The n-gram that occurs most often, then is longest, then comes first; -1 when none is listed."""
    best, most, widest = -1, 0, 0
    for k in range(alive):
        count = counts[gram[k]]
        if count >= most and gram[k] != best:
            width = 0
            for i in range(at[k], at[k] + size):
                width += lengths[i]
            if count > most or width > widest:
                best, most, widest = gram[k], count, width
    return best


@compiled
def _lines(data: U8, offsets: I64, out: F64) -> None:
    table = np.zeros(256, np.uint64)
    keys = np.empty(128, np.uint64)
    for document in range(offsets.size - 1):
        at, end = offsets[document], offsets[document + 1]
        size, used = 256, 0
        table[:size] = 0
        lines, repeated, repeated_bytes, total_bytes = 0, 0, 0, 0
        while at < end:
            newline = _newline(data, at, end)
            first, last = _stripped(data, at, newline)
            at = newline + 1
            if first == last:
                continue
            if 2 * used >= size:
                size *= 4
                if size > table.size:
                    table = np.zeros(size, np.uint64)
                    keys = np.concatenate((keys[:used], np.empty(size // 2 - used, np.uint64)))
                refill(table, size, keys, used)
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


@compiled
def _newline(data: U8, at: int, end: int) -> int:
    """Position of the first newline in `[at, end)`; `end` without one."""
    while at + 8 <= end:
        block = load8(data, at) ^ np.uint64(0x0A0A0A0A0A0A0A0A)
        zeros = (block - np.uint64(0x0101010101010101)) & ~block & np.uint64(0x8080808080808080)
        if zeros:
            return at + (trailing_zeros(zeros) >> 3)
        at += 8
    while at < end and data[at] != 10:
        at += 1
    return at


@compiled
def _stripped(data: U8, first: int, last: int) -> tuple[int, int]:
    while first < last and (data[first] == 32 or 9 <= data[first] <= 13):
        first += 1
    while first < last and (data[last - 1] == 32 or 9 <= data[last - 1] <= 13):
        last -= 1
    return first, last


@compiled
def _hash_bytes(data: U8, at: int, end: int) -> np.uint64:
    state = np.uint64(end - at) * np.uint64(0x9E3779B97F4A7C15)
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
    return state
