"""Counts the characters of documents by kind, and their entropy: ASCII by a histogram of bytes, the rest one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, compiled, load8, read_only
from detectors.segmentation import INVALID, decode
from detectors.sentences import CAPITAL
from detectors.simd import count_ones, high_mask
from detectors.unicode_classes import LOWER, NEWLINE, SPACE, UPPER

__all__ = ["CharacterCounts", "CharacterTables", "character_tables", "count_capitalised", "count_characters_of"]

U8 = npt.NDArray[np.uint8]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
F64 = npt.NDArray[np.float64]

_LOGS = 1 << 14
_REPLACEMENT = 0xFFFD
_CODE_POINTS = 0x110000
_CAPITALS = np.uint64(0x0101010101010101 * CAPITAL)


class CharacterCounts(NamedTuple):
    """One value a document; all int64[n] but the entropy."""

    characters: I64
    upper: I64
    """Capital and title-case letters."""
    lower: I64
    punctuation: I64
    digits: I64
    """ASCII digits."""
    spaces: I64
    """White space and line breaks."""
    beyond: I64
    """Characters beyond ASCII."""
    entropy: F64
    """float64[n], bits a character; 0 without characters."""


class CharacterTables(NamedTuple):
    """What `count_characters_of` looks characters up in, and scratch that it keeps."""

    classes: U8
    """Of `detectors.unicode_classes.class_table`."""
    punctuation: U8
    """uint8[0x20000], 1 where a code point is punctuation."""
    plain_kinds: I64
    """int64[6 * 128]: which ASCII characters count in each of the first six columns."""
    logs: F64
    """float64: c * log2(c) for small counts c, 0 for 0."""
    spare: list[U32]
    """uint32[0x110000] of zeros each, left as it was found: one for each thread that has counted at the same time."""


def character_tables(classes: U8, punctuation: U8) -> CharacterTables:
    """Make the tables, once a worker."""
    counts = np.arange(_LOGS, dtype=np.float64)
    counts[1:] *= np.log2(counts[1:])
    return CharacterTables(classes, punctuation, _plain_kinds(classes, punctuation), read_only(counts), [])


def count_characters_of(data: U8, offsets: I64, tables: CharacterTables) -> CharacterCounts:
    """Count the characters of documents `data[offsets[i] : offsets[i + 1]]`.

    Args:
        data: UTF-8; a byte outside valid UTF-8 counts as one U+FFFD.
        offsets: int64[n + 1].
        tables: of `character_tables`.
    """
    n = len(offsets) - 1
    counts, entropy = np.zeros((n, 7), np.int64), np.zeros(n)
    try:
        scratch = tables.spare.pop()
    except IndexError:
        scratch = np.zeros(_CODE_POINTS, np.uint32)
    _count(read_only(data), read_only(offsets), *tables[:-1], scratch, counts, entropy)
    tables.spare.append(scratch)
    total, upper, lower, marks, digits, spaces, beyond = np.ascontiguousarray(counts.T)
    return CharacterCounts(total, upper, lower, marks, digits, spaces, beyond, entropy)


def _plain_kinds(classes: U8, punctuation: U8) -> I64:
    """int64[6 * 128]: which ASCII characters count in each of the first six columns."""
    plain = classes[:128]
    digits = (np.arange(128) >= ord("0")) & (np.arange(128) <= ord("9"))
    white = (plain == SPACE) | (plain == NEWLINE)
    rows = [np.ones(128), plain == UPPER, plain == LOWER, punctuation[:128], digits, white]
    return read_only(np.concatenate([np.asarray(row, np.int64) for row in rows]))


@bare
def _count_plain_blocks(data: U8, at: int, end: int, bytes_of: U32) -> int:
    """Count the bytes of 64-byte blocks up to the first that is not all ASCII, or is not whole; return where it is."""
    low, one = np.uint64(0xFF), np.uint32(1)
    while at + 64 <= end and high_mask(data, at) == 0:
        for eight in range(8):
            chunk = load8(data, at + 8 * eight)
            bytes_of[chunk & low] += one
            bytes_of[(chunk >> np.uint64(8) & low) + np.uint64(256)] += one
            bytes_of[(chunk >> np.uint64(16) & low) + np.uint64(512)] += one
            bytes_of[(chunk >> np.uint64(24) & low) + np.uint64(768)] += one
            bytes_of[chunk >> np.uint64(32) & low] += one
            bytes_of[(chunk >> np.uint64(40) & low) + np.uint64(256)] += one
            bytes_of[(chunk >> np.uint64(48) & low) + np.uint64(512)] += one
            bytes_of[(chunk >> np.uint64(56)) + np.uint64(768)] += one
        at += 64
    return at


@bare
def _count_document(data: U8, at: int, end: int, bytes_of: U32, others: U32, seen: U32) -> int:
    """Count ASCII in `bytes_of` and other characters in `others`; return how many different ones `seen` has."""
    bytes_of[:] = np.uint32(0)
    different = 0
    while at < end:
        at = _count_plain_blocks(data, at, end, bytes_of)
        stop = min(end, at + 64)
        while at < stop:
            byte = data[np.uint64(at)]
            if byte < 0x80:
                bytes_of[np.uint64(byte)] += np.uint32(1)
                at += 1
                continue
            point, width = decode(data, at, end)
            slot = np.uint64(_REPLACEMENT if point == INVALID else point)
            count = others[slot]
            seen[np.uint64(different)] = slot
            different += count == 0
            others[slot] = count + np.uint32(1)
            at += width
    return different


@bare
def _tally(
    bytes_of: U32, plain: U32, kinds: I64, others: U32, seen: U32, classes: U8, punctuation: U8, logs: F64, found: I64
) -> float:
    """Add up the counts of one document in `found`, and leave `others` as it was; return sum of c * log2(c)."""
    sum_of_logs = 0.0
    for byte in range(128):
        plain[byte] = bytes_of[byte] + bytes_of[byte + 256] + bytes_of[byte + 512] + bytes_of[byte + 768]
    for row in range(6):
        part = np.int64(0)
        for byte in range(128):
            part += np.int64(plain[byte]) * kinds[128 * row + byte]
        found[row] = part
    for byte in range(128):
        count = np.uint64(plain[byte])
        sum_of_logs += logs[count] if count < _LOGS else count * np.log2(count)
    for point in seen:
        slot = np.uint64(point)
        times = int(others[slot])
        others[slot] = np.uint32(0)
        kind = classes[slot]
        found[0] += times
        found[1] += times * (kind == UPPER)
        found[2] += times * (kind == LOWER)
        found[3] += times * (punctuation[slot] if slot < punctuation.size else 0)
        found[5] += times * (kind in (SPACE, NEWLINE))
        found[6] += times
        sum_of_logs += logs[np.uint64(times)] if times < _LOGS else times * np.log2(times)
    return sum_of_logs


@compiled
def _count(
    data: U8,
    offsets: I64,
    classes: U8,
    punctuation: U8,
    kinds: I64,
    logs: F64,
    others: U32,
    counts: I64,
    entropy: F64,
) -> None:
    # Four histograms of bytes, so that runs of one letter do not wait for one another.
    bytes_of, plain = np.zeros(1024, np.uint32), np.zeros(128, np.uint32)
    longest = 0
    for document in range(entropy.size):
        longest = max(longest, int(offsets[document + 1] - offsets[document]))
    seen = np.empty(min(longest, _CODE_POINTS) + 1, np.uint32)
    for document in range(entropy.size):
        different = _count_document(data, offsets[document], offsets[document + 1], bytes_of, others, seen)
        found = counts[document]
        sums = _tally(bytes_of, plain, kinds, others, seen[:different], classes, punctuation, logs, found)
        if found[0]:
            entropy[document] = max(0.0, np.log2(found[0]) - sums / found[0])


@compiled
def count_capitalised(flags: U8, doc_offsets: I64) -> I64:
    """int64[n]: words of each document that begin with a capital."""
    counts = np.zeros(doc_offsets.size - 1, np.int64)
    for document in range(counts.size):
        at, end, count = doc_offsets[document], doc_offsets[document + 1], 0
        while at + 8 <= end:
            count += count_ones(load8(flags, at) & _CAPITALS)
            at += 8
        for i in range(at, end):
            count += (flags[i] & CAPITAL) != 0
        counts[document] = count
    return counts
