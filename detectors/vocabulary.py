"""Dense word ids of each document, how often each word occurs, and links from every word to its neighbours in kind."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, compiled, read_only
from detectors.simd import opaque

__all__ = ["NEVER", "Links", "link"]

I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]

NEVER = 0x7FFFFFFF
"""Where the next occurrence of a word is said to be after its last one."""
_FIRST_SLOTS = 2048


class Links(NamedTuple):
    """Vocabularies of n documents of m words in all, which have v different words when each document counts its own."""

    ids: I32
    """int32[m]: which word of its document's vocabulary, numbered from 0 in order of first appearance."""
    previous: I32
    """int32[m]: position within the document where the same word stood last; -1 at its first appearance."""
    following: I32
    """int32[m]: position within the document where the same word stands next; NEVER at its last appearance."""
    types: I32
    """int32[n]: different words of each document."""
    occurrences: I32
    """int32[v]: how often each word occurs in its document, in order of ids, document after document."""


def link(hashes: U64, doc_offsets: I64) -> Links:
    """Number and link the words of documents, given their hashes (uint64[m]) and offsets (int64[n + 1])."""
    m = len(hashes)
    found = Links(
        np.empty(m, np.int32),
        np.empty(m, np.int32),
        np.empty(m, np.int32),
        np.zeros(len(doc_offsets) - 1, np.int32),
        np.zeros(m, np.int32),
    )
    used = _link(hashes, doc_offsets, *found)
    ids, previous, following, types = (read_only(array) for array in found[:4])
    return Links(ids, previous, following, types, read_only(found.occurrences[:used]))


@compiled
def _link(hashes: U64, doc_offsets: I64, ids: I32, previous: I32, following: I32, types: I32, occurrences: I32) -> int:
    # One slot: hash of the word in `keys`; in `places` its last position above its id plus one, or 0 where empty.
    keys = np.zeros(_FIRST_SLOTS, np.uint64)
    places = np.zeros(_FIRST_SLOTS, np.uint64)
    base = 0
    for document in range(types.size):
        first, end = doc_offsets[document], doc_offsets[document + 1]
        size = 64
        while size < min(4 * (end - first), _FIRST_SLOTS):
            size *= 2
        places[:size] = np.uint64(0)
        at, used = first, 0
        while at < end:
            if 2 * used >= size:
                # A table as large as the vocabulary asks for, not as the document: it stays in cache.
                keys, places = _grown(keys, places, size)
                size *= 4
            at, used = _link_run(
                hashes, ids, previous, following, occurrences, keys, places, size, first, at, end, base, used
            )
        types[document] = used
        base += used
    return base


@bare
def _link_run(
    hashes: U64,
    ids: I32,
    previous: I32,
    following: I32,
    occurrences: I32,
    keys: U64,
    places: U64,
    size: int,
    first: int,
    at: int,
    end: int,
    base: int,
    used: int,
) -> tuple[int, int]:
    """Link words from `at` on until `end` or until the table is half full; return where, and the vocabulary's size."""
    mask, half, one = np.uint64(size - 1), np.uint64(32), np.uint64(1)
    low = np.uint64(0xFFFFFFFF)
    limit = size // 2
    while at < end and used < limit:
        key = hashes[at]
        slot = key & mask
        place = places[slot]
        while opaque(int(place != 0) & int(keys[slot] != key)):
            slot = (slot + one) & mask
            place = places[slot]
        # No branch on whether the word is new: that is a coin toss, and a wrong guess costs more than the arithmetic.
        new = int(place == 0)
        old = new - 1
        word = (used & ~old) | ((int(place & low) - 1) & old)
        last = (int(place >> half) & old) | ~old
        position = at - first
        keys[slot] = key
        places[slot] = np.uint64(position) << half | np.uint64(word + 1)
        ids[at] = word
        previous[at] = last
        following[at] = NEVER
        # Of a new word this writes what stands there anyway.
        following[(at & ~old) | ((first + last) & old)] = (NEVER & ~old) | (position & old)
        occurrences[np.uint64(base + word)] += np.int32(1)
        used += new
        at += 1
    return at, used


@compiled
def _grown(keys: U64, places: U64, size: int) -> tuple[U64, U64]:
    """Tables in which the first `size` slots of these fill the first `4 * size` slots."""
    larger = 4 * size
    mask = np.uint64(larger - 1)
    new_keys = np.zeros(max(larger, places.size), np.uint64)
    new_places = np.zeros(max(larger, places.size), np.uint64)
    for old in range(size):
        if places[old]:
            slot = keys[old] & mask
            while new_places[slot]:
                slot = (slot + np.uint64(1)) & mask
            new_keys[slot], new_places[slot] = keys[old], places[old]
    return new_keys, new_places
