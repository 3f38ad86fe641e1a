"""The 8-grams of items, laid out for lookup: which are kept, and a table that says where each of them stands.

A run of words that a document shares with an item counts when it holds an 8-gram that is *kept* for that item. Kept are
all 8-grams but

- stop-grams, which stand in texts that cannot have the benchmark in them (`detectors.stop_grams`): phrases that anybody
  writes; and
- for each 8-gram that stands in more than `MOST_ITEMS` items, its places in all but the first so many of them: what
  thousands of items have in common is their form, and comparing a document with each of them tells nothing new.

So every entry of a table is worth verifying, and a document cannot make a lookup cost more than `MOST_ITEMS` items.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, inlined, read_only
from detectors.ngrams import ngram_hash, power

__all__ = ["GRAM_WORDS", "MOST_ITEMS", "WIDE", "GramTable", "bit", "gram_keys", "gram_places", "kept_grams", "lay_out"]

U8 = npt.NDArray[np.uint8]
U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

GRAM_WORDS = 8
"""Words that are looked up at once; the shortest n-gram that can be searched for."""
MOST_ITEMS = 64
"""Of the items that hold one and the same 8-gram, so many are found by it: those that come first."""
WIDE = np.uint64(20)
"""Bit of the key at which the address within the second bitmap begins."""

_SMALLEST, _LARGEST = 1 << 10, 1 << 23  # bits of the first bitmap: at most 1 MB, to stay in the second-level cache
_SPARSE = 4  # binary logarithm of the bits for each entry, or up to twice as many: of the first bitmap, while it may
# grow, and of the second one, whose size is not limited
_WORD_BITS, _WORD_MASK, _ONE = np.uint64(6), np.uint64(63), np.uint64(1)
_TAG = np.uint64(0xFFFFFFFF)


class GramTable(NamedTuple):
    """8-grams of items. Key k is in bucket `k >> shift`: entries `directory[bucket]` to `directory[bucket + 1]`.

    First a bitmap says which keys can be there, then a wide one, which takes a load from memory but errs less often.
    An entry has the low half of its key, the place of its 8-gram among the words of all items, and its item. Item -1
    marks an 8-gram of which the table does not hold every place.
    """

    bitmap: U64
    wide: U64
    directory: I32
    shift: np.uint64
    tags: U32
    places: I32
    items: I32


def gram_places(offsets: I64) -> tuple[I64, I32]:
    """int64[g], int32[g]: where each 8-gram of the items begins, in order, and its item."""
    grams = np.maximum(np.diff(offsets) - (GRAM_WORDS - 1), 0)
    items = np.repeat(np.arange(len(grams), dtype=np.int32), grams)
    first = offsets[:-1] - (np.cumsum(grams) - grams)
    return first[items] + np.arange(len(items)), items


def gram_keys(prefix: U64, places: I64) -> U64:
    """uint64[g]: hash of the 8-gram at each place."""
    keys = np.empty(len(places), np.uint64)
    _hash_places(read_only(prefix), read_only(places), keys)
    return keys


@bare
def _hash_places(prefix: U64, places: I64, keys: U64) -> None:
    base = power(GRAM_WORDS)
    for i in range(keys.size):
        keys[i] = ngram_hash(prefix, places[i], GRAM_WORDS, base)


def kept_grams(keys: U64, items: I32, stopped: Bools) -> Bools:
    """bool[g]: which 8-grams, in order of items, are kept; see the module.

    Args:
        keys: hash of each.
        items: item of each, ascending.
        stopped: which are stop-grams.
    """
    if not len(keys):
        return np.zeros(0, np.bool_)
    order = np.argsort(keys, kind="stable")
    key, item = keys[order], items[order]
    new_key = np.r_[True, key[1:] != key[:-1]]
    holders = np.cumsum(new_key | np.r_[True, item[1:] != item[:-1]])
    before = holders[np.flatnonzero(new_key)][np.cumsum(new_key) - 1]
    kept = np.empty(len(keys), np.bool_)
    kept[order] = holders - before < MOST_ITEMS
    return kept & ~stopped


def lay_out(keys: U64, places: I64, items: I32) -> GramTable:
    """A table of these entries, in this order within a bucket."""
    total = len(keys)
    bits = max(total.bit_length() - 1, 1)
    size = max(1 << (bits + _SPARSE), _SMALLEST)
    bitmap, wide = np.zeros(min(size, _LARGEST) >> 6, np.uint64), np.zeros(size >> 6, np.uint64)
    directory = np.zeros((1 << bits) + 1, np.int32)
    shift = np.uint64(64 - bits)
    tags, spots, owners = np.empty(total, np.uint32), np.empty(total, np.int32), np.empty(total, np.int32)
    table = GramTable(bitmap, wide, directory, shift, tags, spots, owners)
    _fill(read_only(keys), read_only(places), read_only(items), table)
    shared = read_only(bitmap), read_only(wide), read_only(directory)
    return GramTable(*shared, shift, read_only(tags), read_only(spots), read_only(owners))


@inlined
def _set_bit(bitmap: U64, at: np.uint64) -> None:
    bitmap[at >> _WORD_BITS] |= _ONE << (at & _WORD_MASK)


@inlined
def bit(bitmap: U64, at: np.uint64) -> np.uint64:
    """Bit `at` of a bitmap."""
    word = bitmap[at >> _WORD_BITS]
    return np.uint64(word >> (at & _WORD_MASK)) & _ONE


@bare
def _fill(keys: U64, places: I64, items: I32, table: GramTable) -> None:
    bitmap, wide, directory, shift, tags, spots, owners = table
    mask, wide_mask = np.uint64(bitmap.size * 64 - 1), np.uint64(wide.size * 64 - 1)
    for i in range(keys.size):
        key = keys[i]
        _set_bit(bitmap, key & mask)
        _set_bit(wide, (key >> WIDE) & wide_mask)
        directory[key >> shift] += 1
    total = 0
    for bucket in range(directory.size):
        total += directory[bucket]
        directory[bucket] = total
    # Filled from the back, each bucket's end becomes its beginning and its entries lie in order.
    for i in range(keys.size - 1, -1, -1):
        key = keys[i]
        entry = directory[key >> shift] - 1
        directory[key >> shift] = entry
        tags[entry] = np.uint32(key & _TAG)
        spots[entry] = places[i]
        owners[entry] = items[i]
