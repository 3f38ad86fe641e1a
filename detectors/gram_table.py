"""The 8-grams of items, laid out for lookup: which are kept, and a table that says where each of them stands.

A run of words that a document shares with an item counts when it holds an 8-gram that is *kept* for that item. Kept are
all 8-grams but

- stop-grams, which stand in texts that cannot have the benchmark in them (`detectors.stop_grams`): phrases that anybody
  writes;
- for each 8-gram that stands in more than `MOST_ITEMS` items, its places in all but the first so many of them: what
  thousands of items have in common is their form, and comparing a document with each of them tells nothing new; and
- of an 8-gram that one item holds again and again, all places but the first `MOST_PLACES`.

So every entry of a table is worth verifying, and a document cannot make a lookup cost more than `MOST_ITEMS` items.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detectors.jit import bare, inlined, read_only
from detectors.ngrams import ngram_hash, power

__all__ = ["GRAM_WORDS", "MOST_ITEMS", "MOST_PLACES", "WIDE", "GramTable", "bit", "gram_keys", "gram_places"]

U32 = npt.NDArray[np.uint32]
U64 = npt.NDArray[np.uint64]
I32 = npt.NDArray[np.int32]
I64 = npt.NDArray[np.int64]

GRAM_WORDS = 8
"""Words that are looked up at once; the shortest n-gram that can be searched for."""
MOST_ITEMS = 64
"""Of the items that hold one and the same 8-gram, so many are found by it: those that come first."""
MOST_PLACES = 8
"""Of the places of an 8-gram within one item, so many are kept: the first ones."""
WIDE = np.uint64(20)
"""Bit of the key at which the address within the second bitmap begins."""

_WORD_BITS, _WORD_MASK, _ONE = np.uint64(6), np.uint64(63), np.uint64(1)


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


@inlined
def bit(bitmap: U64, at: np.uint64) -> np.uint64:
    """Bit `at` of a bitmap."""
    word = bitmap[at >> _WORD_BITS]
    return np.uint64(word >> (at & _WORD_MASK)) & _ONE
